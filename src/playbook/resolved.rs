//! Access to a resolved playbook for the runner: by host, over all plays.

use std::sync::Arc;

use indexmap::IndexSet;

use super::{HostResource, ResolvedPlaybook, ResourceBinding};
use crate::model::Resource;
use crate::names::HostName;

impl ResolvedPlaybook {
    /// Returns the hosts of all plays, in the order in which the plays name them.
    #[must_use]
    pub fn hosts(&self) -> Vec<HostName> {
        let hosts: IndexSet<&HostName> = self.plays.iter().flat_map(|play| &play.hosts).collect();
        hosts.into_iter().cloned().collect()
    }

    /// Leaves out the resources of all hosts but one, as `--limit` does.
    pub fn limit_to(&mut self, host: &HostName) {
        for play in &mut self.plays {
            play.hosts.retain(|one| one == host);
            play.host_resources.retain(|one, _| one == host);
            play.fallbacks.clear();
            play.delegate = play.delegate.take().filter(|one| one == host);
        }
    }

    /// Returns a host's resources over all plays, in order, each with the index of its play.
    pub fn host_resources<'a>(
        &'a self,
        host: &HostName,
    ) -> impl Iterator<Item = (usize, &'a HostResource)> {
        let of_play =
            |play: &'a super::ResolvedPlay| play.host_resources.get(host).into_iter().flatten();
        self.plays
            .iter()
            .enumerate()
            .flat_map(move |(index, play)| {
                of_play(play).map(move |host_resource| (index, host_resource))
            })
    }
}

impl HostResource {
    /// Returns the resource if it is bound, and `None` if it still needs facts.
    #[must_use]
    pub fn ready(&self) -> Option<Arc<dyn Resource>> {
        match &self.resource {
            ResourceBinding::Bound(resource) => Some(resource.clone()),
            ResourceBinding::Deferred(_) => None,
        }
    }

    /// Returns the resource's ID, or its kind and place if it is not bound yet.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.resource {
            ResourceBinding::Bound(resource) => resource.id(),
            ResourceBinding::Deferred(deferred) => format!("{}[{}]", deferred.kind(), self.place),
        }
    }
}
