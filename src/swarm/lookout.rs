//! The swarm's part in `check`: hears what its members' Engines say, reads the list of nodes once, and reports what differs
//! as drift of `cluster[swarm]`, shown with the manager that listed the nodes.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::certificate::Validity;
use super::drift::{Sighting, cluster_drift, mends};
use super::{EngineView, Node};
use crate::engine::outcome::ChangeView;
use crate::engine::{Cause, Engines, Lookout, Outcome, ResourceOutcome};
use crate::inventory::HostName;
use crate::resource::{Action, Answers, Disturbance, EngineAnswer, Query};

/// The node's own certificate and its authority's behind it; the key is in another file. Engines whose `data-root` is elsewhere
/// have none here, and then nothing is said.
const CERTIFICATE: &str = "/var/lib/docker/swarm/certificates/swarm-node.crt";

/// Looks at one swarm.
pub struct SwarmLookout {
    /// Hosts that should be members, and whether the playbook says how available each is.
    members: BTreeMap<HostName, bool>,
    /// Whether all hosts of the inventory are looked at.
    everything: bool,
    /// Seconds since 1970.
    now: i64,
    heard: Mutex<BTreeMap<HostName, Sighting>>,
}

impl SwarmLookout {
    /// Looks at these members.
    #[must_use]
    pub fn new(members: BTreeMap<HostName, bool>, everything: bool, now: i64) -> Self {
        Self { members, everything, now, heard: Mutex::default() }
    }

    /// Hosts that were not heard are unreachable.
    fn sightings(&self) -> BTreeMap<HostName, Sighting> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        self.members
            .iter()
            .map(|(host, says)| {
                let unheard = || Sighting {
                    engine: EngineView::Unreachable("it was not reached".into()),
                    certificate: None,
                    says_availability: *says,
                };
                (host.clone(), heard.get(host).cloned().unwrap_or_else(unheard))
            })
            .collect()
    }
}

#[async_trait]
impl Lookout for SwarmLookout {
    fn queries(&self, host: &HostName) -> Vec<Query> {
        if self.members.contains_key(host) {
            vec![Query::engine("/info"), Query::content(CERTIFICATE)]
        } else {
            Vec::new()
        }
    }

    fn hear(&self, host: &HostName, answers: &Answers) {
        let Some(says_availability) = self.members.get(host).copied() else { return };
        let engine = match answers.engine("/info") {
            Ok(answer) => EngineView::read(answer),
            Err(error) => EngineView::Unreachable(error.to_string()),
        };
        let file = answers.path(CERTIFICATE).ok().flatten();
        let certificate = file.and_then(|file| Validity::read(file.content.as_deref()?));
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.insert(host.clone(), Sighting { engine, certificate, says_availability });
    }

    async fn findings(&self, engines: &dyn Engines) -> Vec<(HostName, ResourceOutcome)> {
        let sightings = self.sightings();
        let managers: Vec<&HostName> =
            sightings.iter().filter(|(_, one)| one.engine.is_manager()).map(|(host, _)| host).collect();
        let mut why = String::from("no manager answers");
        for manager in managers.iter().copied() {
            match engines.get(manager, "/nodes").await {
                EngineAnswer::Response { status: 200..=299, body } => match Node::list(&body) {
                    Ok(nodes) => {
                        let fields = cluster_drift(&sightings, &nodes, self.everything, self.now);
                        return vec![(manager.clone(), outcome(fields))];
                    }
                    Err(error) => why = format!("{manager}: {error}"),
                },
                EngineAnswer::Response { status, body } => why = super::sight::error_text(status, &body),
                EngineAnswer::Absent => {}
                EngineAnswer::Down(error) | EngineAnswer::Unreachable(error) => why = format!("{manager}: {error}"),
            }
        }
        // A member whose managers are silent: the swarm is there, and cannot be judged. With no member at all there is none
        // yet, and a check of some hosts only may have left the managers out.
        let member = sightings.iter().find(|(_, one)| one.engine.info().is_some_and(|info| !info.node_id.is_empty()));
        match member {
            Some((host, _)) if self.everything || !managers.is_empty() => {
                let hint = "look at `skep status` and at `journalctl -u docker` on the managers".into();
                vec![(host.clone(), named(Outcome::Failed { why: format!("the nodes are not known: {why}"), hint }))]
            }
            _ => Vec::new(),
        }
    }
}

fn named(outcome: Outcome) -> ResourceOutcome {
    ResourceOutcome::new("the cluster", "cluster[swarm]", outcome)
}

fn outcome(fields: Vec<crate::resource::FieldChange>) -> ResourceOutcome {
    if fields.is_empty() {
        return named(Outcome::Unchanged);
    }
    let mut notes = vec!["no resource of the playbook mends this: see `skep status`".to_owned()];
    notes.extend(mends(&fields));
    let change = ChangeView {
        action: Action::Update,
        fields,
        steps: Vec::new(),
        disturbs: Disturbance::Nothing,
        repeats: false,
        notes,
    };
    // Nobody applies it, so no playbook has got ahead of it.
    let cause = Some(Cause::ChangedBehindOurBack);
    ResourceOutcome { change: Some(change), cause, ..named(Outcome::Differs) }
}
