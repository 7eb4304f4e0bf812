//! A resolved playbook: plays with the bound resources of each host, the input of the runner.

use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};

use super::{DrainRule, ResourceBinding};
use crate::diagnostic::{Diagnostics, SourceSpan};
use crate::kinds::{is_local, scope};
use crate::model::{Resource, ResourceScope};
use crate::names::HostName;

/// Plays with bound resources: the input of the runner.
#[derive(Debug, Default)]
pub struct ResolvedPlaybook {
    /// Plays in the order in which they run.
    pub plays: Vec<ResolvedPlay>,
    /// Warnings, which do not stop the run.
    pub warnings: Diagnostics,
}

/// A play with its hosts.
#[derive(Debug)]
pub struct ResolvedPlay {
    /// Name of the play.
    pub name: String,
    /// File name of the playbook, as named on the command line; empty for a play of skep itself.
    pub playbook: Arc<str>,
    /// Number of hosts processed at once; `None` means as many as there are forks.
    pub serial: Option<usize>,
    /// Number of hosts that may fail before the play stops; `None` means no limit.
    pub max_fail: Option<usize>,
    /// The playbook's own decision about the barrier before the play; see
    /// [`ResolvedPlay::has_barrier`].
    pub barrier: Option<bool>,
    /// `None` if Engines restart without a drain of their nodes.
    pub drain: Option<DrainRule>,
    /// Hosts of the play, in the order of the inventory.
    pub hosts: Vec<HostName>,
    /// Resources of each host, in order; every host has an entry.
    pub host_resources: IndexMap<HostName, Vec<HostResource>>,
    /// Delegate: the host that runs the cluster-scoped resources; `None` if that host is not among
    /// `hosts`.
    pub delegate: Option<HostName>,
    /// Cluster-scoped resources as bound for each fallback host, which takes over if the delegate
    /// cannot be read; managers come first. A resource whose content would differ on a fallback
    /// host is left out of its list.
    pub fallbacks: IndexMap<HostName, Vec<HostResource>>,
}

/// A resource of one host.
#[derive(Debug, Clone)]
pub struct HostResource {
    /// Tags of the resource.
    pub tags: Vec<String>,
    /// Place of the resource in the playbook; prints as `file:line:column`.
    pub place: SourceSpan,
    /// The resource, bound or deferred.
    pub resource: ResourceBinding,
}

impl HostResource {
    /// Returns the scope of the resource's kind; `None` for a resource of no known kind.
    #[must_use]
    pub fn scope(&self) -> Option<ResourceScope> {
        scope(self.kind())
    }

    fn kind(&self) -> &str {
        match &self.resource {
            ResourceBinding::Bound(resource) => resource.kind(),
            ResourceBinding::Deferred(deferred) => deferred.kind(),
        }
    }
}

impl ResolvedPlay {
    /// Returns true if a host that has finished the earlier plays waits for the other hosts before
    /// this play: unless the playbook says so, only a play of local resources does not.
    #[must_use]
    pub fn has_barrier(&self) -> bool {
        let is_local = || {
            let mut resources = self.host_resources.values().flatten();
            resources.all(|resource| is_local(resource.kind()))
        };
        self.barrier.unwrap_or_else(|| !is_local())
    }
}

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
        let of_play = |play: &'a ResolvedPlay| play.host_resources.get(host).into_iter().flatten();
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
