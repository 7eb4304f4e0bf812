//! Checks over all hosts and plays of a run: claims that only one host may make, contradictions,
//! settings that no node of a swarm survives, and hosts in no play.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};

use crate::diagnostic::SourceSpan;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::nearest;
use crate::inventory::{Host, Inventory};
use crate::model::Resource;
use crate::names::{HostName, short_list};

use super::Playbook;

/// Number of hosts that a note names.
const NAMED_HOSTS: usize = 5;

/// Claims and contents of the resources seen so far.
#[derive(Default)]
pub(super) struct RunChecks {
    claims: IndexMap<String, IndexMap<HostName, SourceSpan>>,
    contents: HashMap<HostName, HashMap<String, (Arc<serde_json::Value>, SourceSpan)>>,
    /// Place of the resource that makes a host a member of the swarm.
    members: HashMap<HostName, SourceSpan>,
    /// Settings with which Docker Engine does not start on a node of a swarm.
    conflicts: Vec<(HostName, String, SourceSpan)>,
}

impl RunChecks {
    /// Records a resource of a host. Warns if the same resource was already given to the host with
    /// different content.
    pub(super) fn note(
        &mut self,
        host: &HostName,
        resource: &dyn Resource,
        content: &Arc<serde_json::Value>,
        place: &SourceSpan,
        diagnostics: &mut Diagnostics,
    ) {
        if let Some(claim) = resource.singleton_claim() {
            self.claim(host, claim, place);
        }
        if resource.expected_member().is_some() {
            self.member(host, place);
        }
        if let Some(setting) = resource.swarm_conflict() {
            self.conflict(host, setting, place);
        }
        for warning in resource.warnings() {
            diagnostics.push(Diagnostic::warning(warning).at(place.clone()).on_host(host));
        }
        let id = resource.id();
        let of_host = self.contents.entry(host.clone()).or_default();
        if let Some((other, first)) = of_host.get(&id) {
            if other != content {
                let warning =
                    Diagnostic::warning(format!("{id} is given twice with different content"))
                        .at(place.clone());
                let warning = warning
                    .related(first.clone(), "first given here")
                    .on_host(host);
                diagnostics
                    .push(warning.hint("each run would switch between the two; keep one of them"));
            }
        } else {
            of_host.insert(id, (Arc::clone(content), place.clone()));
        }
    }

    /// Records a claim of a host.
    pub(super) fn claim(&mut self, host: &HostName, claim: String, place: &SourceSpan) {
        self.claims
            .entry(claim)
            .or_default()
            .entry(host.clone())
            .or_insert_with(|| place.clone());
    }

    /// Records that a resource makes its host a member of the swarm.
    pub(super) fn member(&mut self, host: &HostName, place: &SourceSpan) {
        self.members
            .entry(host.clone())
            .or_insert_with(|| place.clone());
    }

    /// Records a setting of a host that no member of a swarm survives.
    pub(super) fn conflict(&mut self, host: &HostName, setting: String, place: &SourceSpan) {
        self.conflicts.push((host.clone(), setting, place.clone()));
    }

    /// Reports settings of members of the swarm with which Docker Engine does not start.
    fn report_conflicts(&self, diagnostics: &mut Diagnostics) {
        for (host, setting, place) in &self.conflicts {
            let Some(member) = self.members.get(host) else {
                continue;
            };
            let message = format!(
                "`{setting}` and swarm mode exclude each other: Docker Engine does not start with both"
            );
            let error = Diagnostic::error(message)
                .at(place.clone())
                .related(
                    member.clone(),
                    "the host becomes a member of the swarm here",
                )
                .on_host(host);
            diagnostics.push(error.hint("remove the setting, or `swarm_member`"));
        }
    }

    /// Reports each claim that several hosts make, and settings that no node of a swarm survives.
    pub(super) fn report(self, diagnostics: &mut Diagnostics) {
        self.report_conflicts(diagnostics);
        for (claim, hosts) in self.claims {
            let names: Vec<String> = hosts.keys().map(ToString::to_string).collect();
            let mut places = hosts.into_values();
            if let (Some(first), Some(second)) = (places.next(), places.next()) {
                let message = format!(
                    "{} hosts claim `{claim}`, but only one host may: {}",
                    names.len(),
                    names.join(", ")
                );
                let mut error = Diagnostic::error(message).at(second.clone());
                if first != second {
                    error = error.related(first, format!("{} claims it here", names[0]));
                }
                diagnostics.push(
                    error.hint("narrow the play to one host, e.g. `hosts = \"managers[0]\"`"),
                );
            }
        }
    }
}

/// Reports variables that two playbooks give to one included file with different values. The file
/// runs once, so one of the values would be ignored. The inventory is stronger than both playbooks.
pub(super) fn include_conflicts(
    inventory: &Inventory,
    playbook: &Playbook,
    diagnostics: &mut Diagnostics,
) {
    for conflict in &playbook.conflicts {
        let is_overridden = inventory
            .hosts()
            .all(|(_, host)| host.vars.get(&conflict.name).is_some());
        if is_overridden {
            continue;
        }
        let [(first, first_place), (second, second_place)] = &conflict.values;
        let message = format!(
            "{} and {} give different values of `{}` to {}, which runs once for both",
            first.display(),
            second.display(),
            conflict.name,
            conflict.file.display()
        );
        let mut error = Diagnostic::error(message);
        if let Some(place) = second_place.as_ref().or(first_place.as_ref()) {
            error = error.at(place.clone());
        }
        if let (Some(_), Some(place)) = (second_place, first_place) {
            error = error.related(place.clone(), "the other value");
        }
        diagnostics.push(error.hint(
            "run the playbooks one at a time, give both the same value, or set the variable in the inventory",
        ));
    }
}

/// Reports hosts that no play selects, as a note: a run may be meant for some hosts, and nothing
/// else would tell that skep does not check the others.
pub(super) fn unreached(
    inventory: &Inventory,
    reached: &IndexSet<HostName>,
    playbook: &Playbook,
    diagnostics: &mut Diagnostics,
) {
    let patterns = playbook
        .plays
        .iter()
        .flat_map(|play| play.hosts.iter().map(|(pattern, _)| pattern.as_str()));
    let is_name = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let named: Vec<&str> = patterns
        .flat_map(|pattern| pattern.split(move |letter| !is_name(letter)))
        .collect();
    let mut unreached: IndexMap<Option<String>, Vec<(&HostName, &Host)>> = IndexMap::new();
    let hosts = inventory.hosts();
    for (name, host) in hosts.filter(|(name, host)| !reached.contains(*name) && !host.unmanaged) {
        let typo = host
            .groups
            .iter()
            .find_map(|group| Some((group, nearest(group, named.iter().copied())?)));
        let question = typo.map(|(group, near)| format!("is `{group}` meant to be `{near}`? "));
        unreached.entry(question).or_default().push((name, host));
    }
    for (question, hosts) in unreached {
        let names: Vec<&str> = hosts.iter().map(|(name, _)| name.as_str()).collect();
        let Some((_, host)) = hosts.first() else {
            continue;
        };
        let message = match names.as_slice() {
            [name] => {
                let groups = match host.groups.as_slice() {
                    [] => "it is in no group".to_owned(),
                    groups => format!("its groups are {}", groups.join(", ")),
                };
                format!("no play reaches the host `{name}`: {groups}")
            }
            names => {
                let shown = short_list(names.iter().copied(), NAMED_HOSTS);
                format!("no play reaches {} hosts: {shown}", names.len())
            }
        };
        let hint = format!(
            "{}set `unmanaged = true` on a host that no playbook manages",
            question.unwrap_or_default()
        );
        diagnostics.push(Diagnostic::note(message).at(host.place.clone()).hint(hint));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::diagnostic::SourceFile;
    use crate::model::{Examination, ExamineError, ExpectedMember, HostAnswers, Query};

    #[derive(Default)]
    struct ClaimingResource {
        claim: Option<&'static str>,
        conflict: Option<&'static str>,
        member: bool,
    }

    impl Resource for ClaimingResource {
        fn id(&self) -> String {
            "claims[x]".into()
        }
        fn kind(&self) -> &'static str {
            "claims"
        }
        fn queries(&self) -> Vec<Query> {
            Vec::new()
        }
        fn examine(&self, _: &HostAnswers) -> Result<Examination, ExamineError> {
            Ok(Examination::InSync)
        }
        fn singleton_claim(&self) -> Option<String> {
            self.claim.map(str::to_owned)
        }
        fn swarm_conflict(&self) -> Option<String> {
            self.conflict.map(str::to_owned)
        }
        fn expected_member(&self) -> Option<ExpectedMember> {
            self.member.then_some(ExpectedMember {
                says_availability: false,
                may_manage: false,
            })
        }
    }

    fn reported(claims: &[(&str, usize, Option<&'static str>)]) -> Diagnostics {
        let resources = claims.iter().map(|(host, offset, claim)| {
            let resource = ClaimingResource {
                claim: *claim,
                ..ClaimingResource::default()
            };
            (*host, *offset, resource)
        });
        report_of(resources)
    }

    fn report_of<'a>(
        resources: impl IntoIterator<Item = (&'a str, usize, ClaimingResource)>,
    ) -> Diagnostics {
        let source = SourceFile::new("site.toml", "first\nsecond\n");
        let (mut checks, mut diagnostics) = (RunChecks::default(), Diagnostics::default());
        for (host, offset, resource) in resources {
            let place = SourceSpan::new(&source, offset..offset + 5);
            checks.note(
                &HostName::new(host),
                &resource,
                &Arc::default(),
                &place,
                &mut diagnostics,
            );
        }
        checks.report(&mut diagnostics);
        diagnostics
    }

    #[test]
    fn a_claim_of_two_hosts_is_an_error_with_both_places() {
        let diagnostics = reported(&[
            ("a", 0, Some("swarm init")),
            ("b", 6, Some("swarm init")),
            ("c", 6, None),
        ]);
        let only = diagnostics.iter().next().unwrap();
        assert_eq!(diagnostics.len(), 1);
        assert_eq!(
            only.message,
            "2 hosts claim `swarm init`, but only one host may: a, b"
        );
        assert_eq!(only.place.as_ref().unwrap().to_string(), "site.toml:2:1");
        assert_eq!(only.related[0].0.to_string(), "site.toml:1:1");
    }

    #[test]
    fn repeated_claims_of_one_host_and_different_claims_are_allowed() {
        assert!(
            reported(&[
                ("a", 0, Some("swarm init")),
                ("a", 6, Some("swarm init")),
                ("b", 0, Some("other"))
            ])
            .is_empty()
        );
    }

    #[test]
    fn setting_that_no_member_survives_is_an_error_for_members_only() {
        let conflicts = |host, offset| {
            let resource = ClaimingResource {
                conflict: Some("live-restore = true"),
                ..ClaimingResource::default()
            };
            (host, offset, resource)
        };
        let member = |host, offset| {
            let resource = ClaimingResource {
                member: true,
                ..ClaimingResource::default()
            };
            (host, offset, resource)
        };
        // The order of the two resources does not matter.
        let diagnostics = report_of([
            conflicts("a", 0),
            member("a", 6),
            member("b", 6),
            conflicts("b", 0),
            conflicts("alone", 0),
            member("c", 6),
        ]);
        let only = diagnostics.iter().next().unwrap();
        assert_eq!(diagnostics.len(), 1, "{diagnostics:?}");
        assert!(
            only.message
                .starts_with("`live-restore = true` and swarm mode"),
            "{}",
            only.message
        );
        assert_eq!(
            only.hosts.iter().map(HostName::as_str).collect::<Vec<_>>(),
            ["a", "b"]
        );
        assert_eq!(only.place.as_ref().unwrap().to_string(), "site.toml:1:1");
        assert_eq!(only.related[0].0.to_string(), "site.toml:2:1");
    }
}
