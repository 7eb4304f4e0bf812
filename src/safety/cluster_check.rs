//! The swarm's part in `check`: reads the state of every member's Engine, lists the nodes once, and
//! reports the differences as drift of `cluster[swarm]`, shown with the manager that listed the
//! nodes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::future::join_all;

use super::host_upkeep::HostUpkeep;
use super::tokens::{self, TokenDigests};
use crate::model::{
    Action, Disruption, DockerError, ExpectedMember, FieldChange, HostAnswers, Query, ShellQuery,
};
use crate::names::HostName;
use crate::runner::outcome::ChangeView;
use crate::runner::{
    Baseline, BaselineEntry, ClusterCheck, DockerReader, DriftCause, Outcome, ResourceOutcome,
};
use crate::swarm::CertificateValidity;
use crate::swarm::{DockerStatus, SwarmNode};
use crate::swarm::{EngineFacts, MemberObservation, cluster_drift};

/// Path of the node's own certificate, followed by the certificate of its authority; the key is in
/// another file. Engines with another `data-root` have no file here, and nothing is reported for
/// them.
const CERTIFICATE: &str = "/var/lib/docker/swarm/certificates/swarm-node.crt";

/// Note for findings that no resource of a playbook is about.
const NO_RESOURCE: &str = "no resource of the playbook fixes this: see `skep status`";

/// Findings about the swarm as a whole.
const CLUSTER: &str = "cluster[swarm]";

/// Checks one swarm.
pub struct SwarmCheck {
    members: BTreeMap<HostName, ExpectedMember>,
    /// Certificates as earlier checks read them, for members that cannot be read now.
    earlier: BTreeMap<HostName, CertificateValidity>,
    /// True if all hosts of the inventory are checked.
    everything: bool,
    /// Seconds since 1970.
    now: i64,
    /// `None` if due maintenance is not reported; true if waiting updates are a part of it.
    asks_upkeep: Option<bool>,
    heard: Mutex<CollectedObservations>,
}

/// Observations that have been collected up to now.
#[derive(Default)]
struct CollectedObservations {
    members: BTreeMap<HostName, MemberObservation>,
    /// Nodes by the manager that listed them.
    nodes: BTreeMap<HostName, Vec<SwarmNode>>,
    /// Maintenance that may be due on each member.
    upkeep: BTreeMap<HostName, HostUpkeep>,
    /// Digests of the join tokens that were read ahead.
    tokens: BTreeMap<HostName, TokenDigests>,
}

/// Observations of the whole swarm, after every host was read.
pub struct SwarmSnapshot {
    /// State of each member's Engine.
    pub engines: BTreeMap<HostName, DockerStatus>,
    /// Nodes as one manager lists them; `None` when no manager listed them.
    pub nodes: Option<Vec<SwarmNode>>,
    /// Certificates by member. For a member that could not be read, the certificate is that of an
    /// earlier check.
    pub certificates: BTreeMap<HostName, CertificateValidity>,
}

impl SwarmCheck {
    /// Creates a check of these members. `now` is in seconds since 1970.
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
            asks_upkeep: None,
            heard: Mutex::default(),
        }
    }

    /// Also reports maintenance that is due on the hosts. With `asks_updates`, apt is asked on each
    /// host for security updates.
    #[must_use]
    pub fn with_upkeep(mut self, asks_updates: bool) -> Self {
        self.asks_upkeep = Some(asks_updates);
        self
    }

    /// Returns the due maintenance of each host.
    fn upkeep(&self) -> Vec<(HostName, ResourceOutcome)> {
        let Ok(facts) = EngineFacts::built_in() else {
            return Vec::new();
        };
        let heard = self.heard();
        let hosts = heard.upkeep.iter().filter_map(|(host, upkeep)| {
            let (fields, remedies) = upkeep.due(host, &facts);
            // Nobody has changed a host whose reboot is due, so the drift has no cause.
            let outcome = finding("host[upkeep]", fields, remedies, None);
            outcome.change.is_some().then(|| (host.clone(), outcome))
        });
        hosts.collect()
    }

    /// Returns the collected observations, for reports.
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

    /// Returns the members that may manage the swarm.
    fn managers(&self) -> impl Iterator<Item = &HostName> {
        let members = self.members.iter();
        members
            .filter(|(_, wanted)| wanted.may_manage)
            .map(|(host, _)| host)
    }

    fn heard(&self) -> MutexGuard<'_, CollectedObservations> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns an observation for every member; a member that was not read counts as unreachable.
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

    /// Returns the nodes and the first manager that lists them, or the reason why no manager does.
    /// Kinds have mostly sent this query already, and their answer is used.
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
            match engines.get(manager, "/nodes").await.json() {
                Ok(body) => match SwarmNode::list(body) {
                    Ok(nodes) => {
                        self.heard().nodes.insert(manager.clone(), nodes.clone());
                        return Ok((manager.clone(), nodes));
                    }
                    Err(error) => why = format!("{manager}: {error}"),
                },
                Err(DockerError::Absent) => {}
                Err(error) => why = format!("{manager}: {error}"),
            }
        }
        Err(why)
    }
}

#[async_trait]
impl ClusterCheck for SwarmCheck {
    fn queries(&self, host: &HostName) -> Vec<Query> {
        if self.members.contains_key(host) {
            let mut queries = vec![Query::docker("/info"), Query::content(CERTIFICATE)];
            if self.asks_upkeep.is_some() {
                queries.push(Query::Shell(ShellQuery::RebootState));
            }
            if self.asks_upkeep == Some(true) {
                queries.push(Query::Shell(ShellQuery::PackageUpdates));
            }
            queries
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
        if let Some(asks_updates) = self.asks_upkeep {
            let version = engine.info().map(|info| info.server_version.clone());
            let updates = answers.package_updates().ok().filter(|_| asks_updates);
            let upkeep = HostUpkeep {
                reboot: answers.reboot_state().ok().cloned(),
                engine: version.unwrap_or_default(),
                updates: updates.cloned(),
            };
            heard.upkeep.insert(host.clone(), upkeep);
        }
        // Kinds read the nodes from one of the managers; the first list that arrives is kept.
        for manager in self
            .members
            .iter()
            .filter(|(_, wanted)| wanted.may_manage)
            .map(|(name, _)| name)
        {
            if heard.nodes.contains_key(manager) {
                continue;
            }
            let own = manager == host && answers.contains(&Query::docker("/nodes"));
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

    async fn read_ahead(&self, engines: &dyn DockerReader) {
        let Some(manager) = self.managers().next() else {
            return;
        };
        if let Some(tokens) = tokens_of(manager, engines).await {
            self.heard().tokens.insert(manager.clone(), tokens);
        }
    }

    async fn findings(
        &self,
        engines: &dyn DockerReader,
        memory: &dyn Baseline,
    ) -> Vec<(HostName, ResourceOutcome)> {
        let mut found = self.upkeep();
        let sightings = self.sightings();
        let managers: Vec<&HostName> = sightings
            .iter()
            .filter(|(_, one)| one.engine.is_manager())
            .map(|(host, _)| host)
            .collect();
        let why = match self.nodes(&managers, engines).await {
            Ok((manager, nodes)) => {
                let mut drift = cluster_drift(&sightings, &nodes, self.everything, self.now);
                let ahead = self.heard().tokens.get(&manager).copied();
                let tokens = match ahead {
                    Some(tokens) => Some(tokens),
                    None => tokens_of(&manager, engines).await,
                };
                if let Some(tokens) = tokens {
                    drift
                        .fields
                        .extend(tokens.rotated(managers.iter().copied(), memory));
                }
                // No resource declares the state of the swarm, so the cause of its drift cannot be
                // a playbook that is not yet applied.
                let cause = Some(DriftCause::ChangedBehindOurBack);
                let mut notes = vec![NO_RESOURCE.to_owned()];
                notes.extend(drift.remedies);
                found.push((manager, finding(CLUSTER, drift.fields, notes, cause)));
                return found;
            }
            Err(why) => why,
        };
        // With a member but no answer from its managers, the swarm exists and cannot be judged.
        // With no member at all there is no swarm yet, and a check of some hosts only may have left
        // the managers out.
        let member = sightings.iter().find(|(_, one)| {
            one.engine
                .info()
                .is_some_and(|info| !info.node_id.is_empty())
        });
        if let Some((host, _)) = member
            && (self.everything || !managers.is_empty())
        {
            let hint = "run `skep status`, and read `journalctl -u docker` on the managers".into();
            let failed = Outcome::Failed {
                why: format!("the nodes are unknown: {why}"),
                hint,
            };
            found.push((host.clone(), named(CLUSTER, failed)));
        }
        found
    }

    async fn baseline_entries(&self, engines: &dyn DockerReader) -> Vec<BaselineEntry> {
        let read = self.managers().map(async |manager| {
            let tokens = tokens_of(manager, engines).await;
            tokens.map(|tokens| (manager, tokens))
        });
        let mut baseline_entries = Vec::new();
        for (manager, tokens) in join_all(read).await.into_iter().flatten() {
            baseline_entries.extend(tokens.baseline_entries(manager));
        }
        baseline_entries
    }
}

/// Reads the join tokens of a manager.
async fn tokens_of(manager: &HostName, engines: &dyn DockerReader) -> Option<TokenDigests> {
    let answer = engines.get(manager, tokens::PATH).await;
    answer.ok().and_then(TokenDigests::read)
}

fn named(resource: &str, outcome: Outcome) -> ResourceOutcome {
    ResourceOutcome::new("the cluster", resource, outcome)
}

fn finding(
    resource: &str,
    fields: Vec<FieldChange>,
    notes: Vec<String>,
    cause: Option<DriftCause>,
) -> ResourceOutcome {
    if fields.is_empty() {
        return named(resource, Outcome::Unchanged);
    }
    let change = ChangeView {
        action: Action::Update,
        fields,
        steps: Vec::new(),
        disturbs: Disruption::Nothing,
        repeats: false,
        notes,
    };
    ResourceOutcome {
        change: Some(change),
        cause,
        ..named(resource, Outcome::Differs)
    }
}
