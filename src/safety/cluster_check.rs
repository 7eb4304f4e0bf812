//! The swarm's part in `check`: hears what its members' Engines say, reads the list of nodes once, and reports what differs
//! as drift of `cluster[swarm]`, shown with the manager that listed the nodes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::tokens::{self, TokenDigests};
use crate::model::{Action, Disruption, DockerAnswer, HostAnswers, Query};
use crate::names::HostName;
use crate::runner::outcome::ChangeView;
use crate::runner::{
    Baseline, BaselineEntry, ClusterCheck, DockerReader, DriftCause, Outcome, ResourceOutcome,
};
use crate::swarm::CertificateValidity;
use crate::swarm::{DockerStatus, SwarmNode};
use crate::swarm::{MemberObservation, cluster_drift, mends};

/// The node's own certificate and its authority's behind it; the key is in another file. Engines whose `data-root` is elsewhere
/// have none here, and then nothing is said.
const CERTIFICATE: &str = "/var/lib/docker/swarm/certificates/swarm-node.crt";

/// What the playbook says of a host that should be a member.
#[derive(Debug, Clone, Copy)]
pub struct ExpectedMember {
    /// Whether it says how available the node is.
    pub says_availability: bool,
    /// Whether it may be a manager.
    pub may_manage: bool,
}

/// Looks at one swarm.
pub struct SwarmCheck {
    members: BTreeMap<HostName, ExpectedMember>,
    /// Certificates as earlier checks saw them, for members that cannot be asked now.
    earlier: BTreeMap<HostName, CertificateValidity>,
    /// Whether all hosts of the inventory are looked at.
    everything: bool,
    /// Seconds since 1970.
    now: i64,
    heard: Mutex<CollectedObservations>,
}

/// What was heard so far.
#[derive(Default)]
struct CollectedObservations {
    members: BTreeMap<HostName, MemberObservation>,
    /// The nodes, by the manager that listed them.
    nodes: BTreeMap<HostName, Vec<SwarmNode>>,
}

/// What is known when every host was heard.
pub struct SwarmSnapshot {
    /// The members' Engines.
    pub engines: BTreeMap<HostName, DockerStatus>,
    /// Nodes as one manager lists them.
    pub nodes: Option<Vec<SwarmNode>>,
    /// Certificates, those of members that could not be asked as an earlier check saw them.
    pub certificates: BTreeMap<HostName, CertificateValidity>,
}

impl SwarmCheck {
    /// Looks at these members.
    #[must_use]
    pub fn new(
        members: BTreeMap<HostName, ExpectedMember>,
        earlier: BTreeMap<HostName, CertificateValidity>,
        everything: bool,
        now: i64,
    ) -> Self {
        Self {
            members,
            earlier,
            everything,
            now,
            heard: Mutex::default(),
        }
    }

    /// What was seen, for reports.
    #[must_use]
    pub fn seen(&self) -> SwarmSnapshot {
        let sightings = self.sightings();
        let nodes = self.heard().nodes.values().next().cloned();
        SwarmSnapshot {
            nodes,
            certificates: sightings
                .iter()
                .filter_map(|(host, one)| Some((host.clone(), one.certificate?)))
                .collect(),
            engines: sightings
                .into_iter()
                .map(|(host, one)| (host, one.engine))
                .collect(),
        }
    }

    fn heard(&self) -> MutexGuard<'_, CollectedObservations> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hosts that were not heard are unreachable.
    fn sightings(&self) -> BTreeMap<HostName, MemberObservation> {
        let heard = self.heard();
        let unheard = |host: &HostName, wanted: &ExpectedMember| MemberObservation {
            engine: DockerStatus::Unreachable("it was not reached".into()),
            certificate: self.earlier.get(host).copied(),
            certificate_is_old: true,
            says_availability: wanted.says_availability,
        };
        self.members
            .iter()
            .map(|(host, wanted)| {
                (
                    host.clone(),
                    heard
                        .members
                        .get(host)
                        .cloned()
                        .unwrap_or_else(|| unheard(host, wanted)),
                )
            })
            .collect()
    }

    /// The nodes as the first manager lists them that did or does, with its name; else why none did. Kinds have mostly asked
    /// already.
    async fn nodes(
        &self,
        managers: &[&HostName],
        engines: &dyn DockerReader,
    ) -> Result<(HostName, Vec<SwarmNode>), String> {
        let heard = |manager: &&&HostName| self.heard().nodes.get(**manager).cloned();
        if let Some((manager, nodes)) = managers
            .iter()
            .find_map(|manager| Some((*manager, heard(&manager)?)))
        {
            return Ok((manager.clone(), nodes));
        }
        let mut why = String::from("no manager answers");
        for manager in managers.iter().copied() {
            match engines.get(manager, "/nodes").await {
                DockerAnswer::Response {
                    status: 200..=299,
                    body,
                } => match SwarmNode::list(&body) {
                    Ok(nodes) => {
                        self.heard().nodes.insert(manager.clone(), nodes.clone());
                        return Ok((manager.clone(), nodes));
                    }
                    Err(error) => why = format!("{manager}: {error}"),
                },
                DockerAnswer::Response { status, body } => {
                    why = crate::swarm::error_text(status, &body)
                }
                DockerAnswer::Absent => {}
                DockerAnswer::Down(error) | DockerAnswer::Unreachable(error) => {
                    why = format!("{manager}: {error}")
                }
            }
        }
        Err(why)
    }
}

#[async_trait]
impl ClusterCheck for SwarmCheck {
    fn queries(&self, host: &HostName) -> Vec<Query> {
        if self.members.contains_key(host) {
            vec![Query::engine("/info"), Query::content(CERTIFICATE)]
        } else {
            Vec::new()
        }
    }

    fn record(&self, host: &HostName, answers: &HostAnswers) {
        let Some(wanted) = self.members.get(host).copied() else {
            return;
        };
        let engine = match answers.engine("/info") {
            Ok(answer) => DockerStatus::read(answer),
            Err(error) => DockerStatus::Unreachable(error.to_string()),
        };
        let file = answers.path(CERTIFICATE).ok().flatten();
        let certificate = file.and_then(|file| CertificateValidity::read(file.content.as_deref()?));
        let says_availability = wanted.says_availability;
        let mut heard = self.heard();
        // Kinds ask one of the managers for the nodes; the list is read once, whoever brings it.
        for manager in self
            .members
            .iter()
            .filter(|(_, wanted)| wanted.may_manage)
            .map(|(name, _)| name)
        {
            if heard.nodes.contains_key(manager) {
                continue;
            }
            let own = manager == host && answers.contains(&Query::engine("/nodes"));
            let answer = if own {
                answers.engine("/nodes")
            } else {
                answers.docker_of(manager, "/nodes")
            };
            if let Some(nodes) = answer
                .ok()
                .and_then(|answer| SwarmNode::list(answer.ok()?).ok())
            {
                heard.nodes.insert(manager.clone(), nodes);
            }
        }
        heard.members.insert(
            host.clone(),
            MemberObservation {
                engine,
                certificate,
                certificate_is_old: false,
                says_availability,
            },
        );
    }

    async fn findings(
        &self,
        engines: &dyn DockerReader,
        memory: &dyn Baseline,
    ) -> Vec<(HostName, ResourceOutcome)> {
        let sightings = self.sightings();
        let managers: Vec<&HostName> = sightings
            .iter()
            .filter(|(_, one)| one.engine.is_manager())
            .map(|(host, _)| host)
            .collect();
        let why = match self.nodes(&managers, engines).await {
            Ok((manager, nodes)) => {
                let mut fields = cluster_drift(&sightings, &nodes, self.everything, self.now);
                let tokens = engines.get(&manager, tokens::PATH).await;
                if let Some(tokens) = tokens.ok().and_then(TokenDigests::read) {
                    fields.extend(tokens.rotated(managers.iter().copied(), memory));
                }
                return vec![(manager, outcome(fields))];
            }
            Err(why) => why,
        };
        // A member whose managers are silent: the swarm is there, and cannot be judged. With no member at all there is none
        // yet, and a check of some hosts only may have left the managers out.
        let member = sightings.iter().find(|(_, one)| {
            one.engine
                .info()
                .is_some_and(|info| !info.node_id.is_empty())
        });
        match member {
            Some((host, _)) if self.everything || !managers.is_empty() => {
                let hint =
                    "look at `skep status` and at `journalctl -u docker` on the managers".into();
                vec![(
                    host.clone(),
                    named(Outcome::Failed {
                        why: format!("the nodes are not known: {why}"),
                        hint,
                    }),
                )]
            }
            _ => Vec::new(),
        }
    }

    async fn baseline_entries(&self, engines: &dyn DockerReader) -> Vec<BaselineEntry> {
        let mut baseline_entries = Vec::new();
        for manager in self
            .members
            .iter()
            .filter(|(_, wanted)| wanted.may_manage)
            .map(|(host, _)| host)
        {
            if let Some(tokens) = engines
                .get(manager, tokens::PATH)
                .await
                .ok()
                .and_then(TokenDigests::read)
            {
                baseline_entries.extend(tokens.baseline_entries(manager));
            }
        }
        baseline_entries
    }
}

fn named(outcome: Outcome) -> ResourceOutcome {
    ResourceOutcome::new("the cluster", "cluster[swarm]", outcome)
}

fn outcome(fields: Vec<crate::model::FieldChange>) -> ResourceOutcome {
    if fields.is_empty() {
        return named(Outcome::Unchanged);
    }
    let mut notes = vec!["no resource of the playbook mends this: see `skep status`".to_owned()];
    notes.extend(mends(&fields));
    let change = ChangeView {
        action: Action::Update,
        fields,
        steps: Vec::new(),
        disturbs: Disruption::Nothing,
        repeats: false,
        notes,
    };
    // Nobody applies it, so no playbook has got ahead of it.
    let cause = Some(DriftCause::ChangedBehindOurBack);
    ResourceOutcome {
        change: Some(change),
        cause,
        ..named(Outcome::Differs)
    }
}
