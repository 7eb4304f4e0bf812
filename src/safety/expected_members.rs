//! The members of the swarm that a resolved playbook declares. No host is contacted.

use std::collections::BTreeMap;

use crate::kinds::swarm_member::SwarmMemberResource;
use crate::model::{ExpectedMember, ResourceKind as _};
use crate::names::HostName;
use crate::playbook::{ResolvedPlaybook, ResourceBinding};

/// Returns the hosts that should be members of the swarm, with the playbook's declarations.
#[must_use]
pub fn expected_members(work: &ResolvedPlaybook) -> BTreeMap<HostName, ExpectedMember> {
    let mut members = BTreeMap::new();
    for host in work.hosts() {
        for (_, host_resource) in work.host_resources(&host) {
            let member = match &host_resource.resource {
                ResourceBinding::Bound(resource) => resource.expected_member(),
                // Its fields depend on facts of the host: both differences are left to the
                // resource, which reports them itself.
                ResourceBinding::Deferred(deferred) => {
                    (deferred.kind() == SwarmMemberResource::NAME).then_some(ExpectedMember {
                        says_availability: true,
                        may_manage: true,
                    })
                }
            };
            if let Some(member) = member {
                members.insert(host.clone(), member);
            }
        }
    }
    members
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::safety::samples::prepared;

    #[test]
    fn members_of_bound_and_deferred_resources() {
        let work = prepared(
            "[hosts.a]\naddress = '192.0.2.1'\ngroups = ['managers']\n[hosts.b]\naddress = '192.0.2.2'\n\
             [hosts.c]\naddress = '192.0.2.3'\n[hosts.d]\naddress = '192.0.2.4'\n",
            "[[plays]]\nhosts = 'a'\nresources = [{ swarm_member = { role = 'manager' } }]\n\
             [[plays]]\nhosts = 'b'\nresources = [{ swarm_member = { role = 'worker', availability = 'active' } }]\n\
             [[plays]]\nhosts = 'c'\nresources = [{ swarm_member = { role = 'worker', advertise = '{{ facts.addresses[0] }}' } }]\n\
             [[plays]]\nhosts = 'd'\nresources = [{ package = { name = 'curl' } }]\n",
        )
        .resolved;
        let members: Vec<(String, bool, bool)> = expected_members(&work)
            .into_iter()
            .map(|(host, member)| {
                (
                    host.to_string(),
                    member.says_availability,
                    member.may_manage,
                )
            })
            .collect();
        assert_eq!(
            members,
            [
                ("a".into(), false, true),
                ("b".into(), true, false),
                ("c".into(), true, true),
            ]
        );
    }
}
