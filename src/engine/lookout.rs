//! A look at the whole beside the resources: what is wrong with a cluster though every resource of every host is as asked.
//! What is wrong is the swarm's to say (`swarm::lookout`); the engine asks its questions with everybody else's.

use super::guard::Engines;
use super::outcome::ResourceOutcome;
use crate::inventory::HostName;
use crate::resource::{Answers, Query};

/// Who looks at the whole during `check`.
#[async_trait::async_trait]
pub trait Lookout: Send + Sync {
    /// What is to be asked of this host, in the exec that asks for its resources.
    fn queries(&self, host: &HostName) -> Vec<Query>;

    /// A host's answers: its own questions', and all that its resources asked.
    fn hear(&self, host: &HostName, answers: &Answers);

    /// Called when every host was heard or is known to be unreachable; what was found, each with the host that shows it.
    async fn findings(&self, engines: &dyn Engines) -> Vec<(HostName, ResourceOutcome)>;
}
