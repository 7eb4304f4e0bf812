//! The labels of the nodes after a rebuild: services that are bound to labels start on the node as
//! soon as it has them, and must not start without their data. Pure.

use super::{RebuildConsent, SwarmFate};
use crate::model::ForeignData;
use crate::names::HostName;
use crate::playbook::{HostResource, ResolvedPlaybook, ResourceBinding};

/// Treatment of the labels that declare data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelPlan {
    /// The labels of the rebuilt host wait until its data directories are not empty.
    pub wait_for_data: bool,
    /// Empty directories of the rebuilt host become its volumes.
    pub accept_empty: bool,
    /// Volumes on the other hosts, which the lost cluster has marked, become volumes of the new
    /// cluster.
    pub inherit: bool,
}

/// Decides the treatment of the labels; `directories` are the data directories of the rebuilt host.
#[must_use]
pub fn plan_labels(directories: &[String], fate: SwarmFate, consent: RebuildConsent) -> LabelPlan {
    LabelPlan {
        wait_for_data: !directories.is_empty() && !consent.data_empty,
        accept_empty: consent.data_empty,
        inherit: fate == SwarmFate::StartsAnew,
    }
}

/// Returns the directories whose content the host's resources declare. Resources that wait for
/// facts are not known yet and declare none.
#[must_use]
pub fn data_directories(resolved: &ResolvedPlaybook, host: &HostName) -> Vec<String> {
    resolved
        .host_resources(host)
        .flat_map(|(_, host_resource)| declared(host_resource))
        .collect()
}

impl LabelPlan {
    /// Changes the resources of a resolved playbook accordingly.
    pub fn change(self, resolved: &mut ResolvedPlaybook, rebuilt: &HostName) {
        for play in &mut resolved.plays {
            for (host, host_resources) in &mut play.host_resources {
                let is_rebuilt = host == rebuilt;
                if is_rebuilt && self.wait_for_data {
                    host_resources.retain(|host_resource| declared(host_resource).is_empty());
                }
                let data = match (is_rebuilt, self.accept_empty, self.inherit) {
                    (true, true, _) => ForeignData::EmptyDirectories,
                    (false, _, true) => ForeignData::FormerCluster,
                    _ => continue,
                };
                for host_resource in host_resources {
                    accept(host_resource, data);
                }
            }
        }
    }
}

/// Makes all resources accept that the former cluster is lost: a new swarm may start, and volumes
/// that the former cluster has marked become volumes of the new one.
pub fn accept_lost_cluster(resolved: &mut ResolvedPlaybook) {
    for play in &mut resolved.plays {
        for host_resources in play.host_resources.values_mut() {
            for host_resource in host_resources {
                accept(host_resource, ForeignData::FormerCluster);
            }
        }
    }
}

fn declared(host_resource: &HostResource) -> Vec<String> {
    host_resource
        .ready()
        .map(|resource| resource.data_directories())
        .unwrap_or_default()
}

fn accept(host_resource: &mut HostResource, data: ForeignData) {
    if let Some(changed) = host_resource
        .ready()
        .and_then(|resource| resource.accepting(data))
    {
        host_resource.resource = ResourceBinding::Bound(changed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safety::samples::prepared;

    const INVENTORY: &str = "[hosts.docker01]\naddress = '192.0.2.1'\ngroups = ['managers']\n\
         [hosts.docker02]\naddress = '192.0.2.2'\n";
    const PLAYBOOK: &str = "[[plays]]\nhosts = 'all'\nresources = [{ package = { name = 'curl' } }]\n\
         [[plays]]\nhosts = 'docker01'\n\
         resources = [{ node_labels = { labels = { a = 'true' }, data = { one = '/srv/one' } } }]\n\
         [[plays]]\nhosts = 'docker02'\n\
         resources = [{ node_labels = { labels = { b = 'true' }, data = ['/srv/b', '/srv/c'] } }, { node_labels = { c = 'true' } }]\n";

    fn host(name: &str) -> HostName {
        HostName::new(name)
    }

    fn consent(data_empty: bool) -> RebuildConsent {
        RebuildConsent {
            data_empty,
            ..RebuildConsent::default()
        }
    }

    #[test]
    fn plans() {
        let data = vec!["/srv/b".to_owned()];
        for (directories, fate, data_empty, expected) in [
            (&data, SwarmFate::Continues, false, (true, false, false)),
            (&data, SwarmFate::Continues, true, (false, true, false)),
            (&data, SwarmFate::StartsAnew, false, (true, false, true)),
            (&data, SwarmFate::StartsAnew, true, (false, true, true)),
            (&vec![], SwarmFate::Continues, false, (false, false, false)),
        ] {
            let plan = plan_labels(directories, fate, consent(data_empty));
            let shown = (plan.wait_for_data, plan.accept_empty, plan.inherit);
            assert_eq!(shown, expected, "{directories:?} {fate:?} {data_empty}");
        }
    }

    #[test]
    fn directories_of_a_host() {
        let resolved = prepared(INVENTORY, PLAYBOOK).resolved;
        assert_eq!(data_directories(&resolved, &host("docker01")), ["/srv/one"]);
        assert_eq!(
            data_directories(&resolved, &host("docker02")),
            ["/srv/b", "/srv/c"]
        );
    }

    /// Returns the IDs of the resources, and marks those that were replaced.
    fn changes(plan: LabelPlan) -> Vec<String> {
        let mut resolved = prepared(INVENTORY, PLAYBOOK).resolved;
        let pointers = |resolved: &ResolvedPlaybook| -> Vec<_> {
            ["docker01", "docker02"]
                .into_iter()
                .flat_map(|name| {
                    let resources: Vec<_> = resolved
                        .host_resources(&host(name))
                        .filter_map(|(_, host_resource)| host_resource.ready())
                        .collect();
                    resources.into_iter().map(move |one| (name, one))
                })
                .collect()
        };
        let before = pointers(&resolved);
        plan.change(&mut resolved, &host("docker02"));
        pointers(&resolved)
            .into_iter()
            .map(|(name, resource)| {
                let same = before
                    .iter()
                    .any(|(_, one)| std::sync::Arc::ptr_eq(one, &resource));
                let mark = if same { "" } else { " changed" };
                // The table of the playbook is the same, and so is its digest.
                assert!(resource.definition().is_some());
                format!("{name} {}{mark}", resource.id())
            })
            .collect()
    }

    #[test]
    fn labels_that_declare_data_wait() {
        let plan = LabelPlan {
            wait_for_data: true,
            accept_empty: false,
            inherit: false,
        };
        assert_eq!(
            changes(plan),
            [
                "docker01 package[curl]",
                "docker01 node_labels[a]",
                "docker02 package[curl]",
                "docker02 node_labels[c]",
            ]
        );
    }

    #[test]
    fn labels_accept_empty_directories_and_volumes_of_the_lost_cluster() {
        let plan = LabelPlan {
            wait_for_data: false,
            accept_empty: true,
            inherit: true,
        };
        assert_eq!(
            changes(plan),
            [
                "docker01 package[curl]",
                "docker01 node_labels[a] changed",
                "docker02 package[curl]",
                "docker02 node_labels[b] changed",
                "docker02 node_labels[c] changed",
            ]
        );
    }
}
