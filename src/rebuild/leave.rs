//! The play by which the other hosts leave a swarm that was lost with its only manager, so that the
//! playbook can join them to the new swarm. Pure.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::diagnostic::{Diagnostics, SourceFile, SourceSpan};
use crate::inventory::Inventory;
use crate::kinds::command::CommandResource;
use crate::model::Resource;
use crate::names::HostName;
use crate::playbook::{HostResource, ResolvedPlay, ResolvedPlaybook, ResourceBinding};

/// Leaves the swarm. Without `--force`, Docker refuses this on a manager: a host of the inventory
/// may manage another swarm, which must not end.
const LEAVE: &str = "docker swarm leave";

/// Ends with status 0 if the host is in no swarm: without Docker, or with an inactive Engine.
const IS_OUTSIDE: &str = "! command -v docker >/dev/null || \
     docker info --format '{{.Swarm.LocalNodeState}}' | grep -qx inactive";

/// Returns the play for all hosts but the rebuilt host; `None` if there is no other host. The
/// command is in no playbook, so it has no definition digest and no entry in the applied record.
#[must_use]
pub fn leave_lost_swarm(inventory: &Inventory, rebuilt: &HostName) -> Option<ResolvedPlaybook> {
    let hosts: Vec<HostName> = inventory
        .hosts()
        .map(|(name, _)| name.clone())
        .filter(|name| name != rebuilt)
        .collect();
    if hosts.is_empty() {
        return None;
    }
    let command: Arc<dyn Resource> = Arc::new(CommandResource::with_condition(LEAVE, IS_OUTSIDE));
    let leave = HostResource {
        tags: Vec::new(),
        place: SourceSpan::new(&SourceFile::new("skep node rebuild", LEAVE), 0..LEAVE.len()),
        resource: ResourceBinding::Bound(command),
    };
    let host_resources = hosts
        .iter()
        .map(|host| (host.clone(), vec![leave.clone()]))
        .collect();
    let play = ResolvedPlay {
        name: "Leave the swarm that is gone".into(),
        playbook: Arc::default(),
        serial: None,
        max_fail: None,
        barrier: None,
        drain: None,
        delegate: hosts.first().cloned(),
        hosts,
        host_resources,
        fallbacks: IndexMap::new(),
    };
    Some(ResolvedPlaybook {
        plays: vec![play],
        warnings: Diagnostics::default(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::{Examination, HostAnswers, Query, QueryAnswer, ShellQuery};
    use crate::safety::samples::prepared;

    fn leave(inventory: &str) -> Option<ResolvedPlaybook> {
        let plays = "[[plays]]\nhosts = 'all'\nresources = [{ package = { name = 'curl' } }]\n";
        let inventory = prepared(inventory, plays).inventory;
        leave_lost_swarm(&inventory, &HostName::new("b"))
    }

    #[test]
    fn all_other_hosts_leave() {
        let hosts = "[hosts.a]\naddress = '192.0.2.1'\n[hosts.b]\naddress = '192.0.2.2'\n\
             [hosts.c]\naddress = '192.0.2.3'\n";
        let playbook = leave(hosts).unwrap();
        assert_eq!(playbook.hosts(), [HostName::new("a"), HostName::new("c")]);
        for host in playbook.hosts() {
            let resources: Vec<_> = playbook
                .host_resources(&host)
                .filter_map(|(_, host_resource)| host_resource.ready())
                .collect();
            assert_eq!(resources.len(), 1);
            let resource = &resources[0];
            assert_eq!(resource.id(), "command[docker swarm leave]");
            assert!(resource.definition().is_none());
            for (status, in_sync) in [(0, true), (1, false)] {
                let query = Query::Shell(ShellQuery::Test {
                    script: IS_OUTSIDE.into(),
                });
                let answers = HostAnswers::default().with(query, QueryAnswer::Test(status));
                let examined = resource.examine(&answers).unwrap();
                assert_eq!(matches!(examined, Examination::InSync), in_sync);
            }
        }
    }

    #[test]
    fn no_play_without_another_host() {
        assert!(leave("[hosts.b]\naddress = '192.0.2.2'\n").is_none());
    }
}
