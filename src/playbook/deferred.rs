//! Resources that need facts of their host before they can be bound.

use std::sync::Arc;

use super::ResourceDecl;
use super::expand::{HostScope, expand};
use super::template::FactsView;
use crate::diagnostic::Diagnostics;
use crate::model::{HostFacts, Resource};

/// A resource of one host, as far as it can be known without asking the host.
#[derive(Clone)]
pub enum ResourceBinding {
    /// Known.
    Bound(Arc<dyn Resource>),
    /// Uses `facts`: bound once they were gathered.
    Deferred(Arc<DeferredResource>),
}

/// A resource that uses `facts`.
pub struct DeferredResource {
    pub(super) declaration: Arc<ResourceDecl>,
    pub(super) site: HostScope,
}

impl DeferredResource {
    /// The kind's name.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.declaration.kind
    }

    /// Binds it: no resource when its condition is false, several with a `loop`.
    ///
    /// # Errors
    /// Everything that is wrong with it on a host with these facts.
    pub fn bind(&self, facts: &HostFacts) -> Result<Vec<Arc<dyn Resource>>, Diagnostics> {
        let bound = expand(&self.declaration, &self.site, &FactsView::known(facts))?;
        Ok(bound.into_iter().map(|bound| bound.resource).collect())
    }
}

impl std::fmt::Debug for ResourceBinding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bound(resource) => write!(formatter, "Bound({})", resource.id()),
            Self::Deferred(deferred) => write!(formatter, "Deferred({})", deferred.kind()),
        }
    }
}
