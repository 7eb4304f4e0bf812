//! How the engine reads what was resolved: by host, over all plays.

use std::sync::Arc;

use indexmap::IndexSet;

use super::{HostResource, ResolvedPlaybook, ResourceBinding};
use crate::model::Resource;
use crate::names::HostName;

impl ResolvedPlaybook {
    /// Every host of any play, in the order in which plays name them.
    #[must_use]
    pub fn hosts(&self) -> Vec<HostName> {
        let hosts: IndexSet<&HostName> = self.plays.iter().flat_map(|play| &play.hosts).collect();
        hosts.into_iter().cloned().collect()
    }

    /// A host's resources over all plays, in order, with the index of the play.
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
    /// The resource, when it does not wait for facts.
    #[must_use]
    pub fn ready(&self) -> Option<Arc<dyn Resource>> {
        match &self.resource {
            ResourceBinding::Bound(resource) => Some(resource.clone()),
            ResourceBinding::Deferred(_) => None,
        }
    }

    /// What to call the resource before it has a name: its kind and place.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.resource {
            ResourceBinding::Bound(resource) => resource.id(),
            ResourceBinding::Deferred(deferred) => format!("{}[{}]", deferred.kind(), self.place),
        }
    }
}
