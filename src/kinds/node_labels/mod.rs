//! `node_labels`: labels of the host's node in the swarm, set through a live manager. The node is
//! found by node ID, never by host name. Labels that a person added stay, unless `mode = "exact"`.

mod data;
mod leaving;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::Error as _;

use self::data::{DeclaredVolumes, VolumeState};
use super::DataVolume;
use super::cluster::default_managers;
use crate::model::{
    Action, Change, DisplayValue, DockerCall, ForeignData, GeneratedValue, HostAnswers,
    HostContext, InvalidField, Observation, Operation, ProbeError, Query, Refusal, ResourceKind,
    STEP_TIMEOUT, ShellQuery, Step,
};
use crate::names::HostName;
use crate::swarm::{
    ManagerAddresses, Membership, MembershipObservation, SwarmView, observe_membership,
};

/// Treatment of labels that the playbook does not name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LabelMode {
    /// Other labels stay.
    #[default]
    Merge,
    /// Other labels are removed.
    Exact,
}

/// Labels of a node: `{ "web2py.tier.db" = "true" }`, or the long form with `labels`, `mode`,
/// `absent`, `managers`, `data`.
///
/// The table is the long form when it has a key `labels` that is a table, or a key `absent` that is
/// a list: a label's value is neither, and a label named `labels` is therefore possible in the
/// short form.
#[derive(Debug, Clone)]
pub struct NodeLabelsResource {
    labels: BTreeMap<String, String>,
    absent: BTreeSet<String>,
    mode: LabelMode,
    managers: String,
    data: DeclaredVolumes,
    host: HostName,
    ours: ManagerAddresses,
    /// Hosts whose directories can be read.
    known: BTreeSet<HostName>,
}

/// The long form of the table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LongForm {
    #[serde(default)]
    labels: toml::Table,
    #[serde(default)]
    absent: BTreeSet<String>,
    #[serde(default)]
    mode: LabelMode,
    #[serde(default = "default_managers")]
    managers: String,
    data: Option<toml::Value>,
}

impl<'de> Deserialize<'de> for NodeLabelsResource {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = toml::Table::deserialize(deserializer)?;
        let is_long = table.get("labels").is_some_and(toml::Value::is_table)
            || table.get("absent").is_some_and(toml::Value::is_array);
        let long = if is_long {
            LongForm::deserialize(table).map_err(|error| D::Error::custom(error.message()))?
        } else {
            LongForm {
                labels: table,
                absent: BTreeSet::new(),
                mode: LabelMode::Merge,
                managers: default_managers(),
                data: None,
            }
        };
        let mut labels = BTreeMap::new();
        for (key, value) in long.labels {
            let value = match value {
                toml::Value::String(text) => text,
                toml::Value::Boolean(value) => value.to_string(),
                toml::Value::Integer(value) => value.to_string(),
                other => {
                    let message = format!(
                        "the label `{key}` is of type {}; a label's value is text (a key with dots needs quotes: \"a.b\" = \"true\")",
                        other.type_str()
                    );
                    return Err(D::Error::custom(message));
                }
            };
            labels.insert(key, value);
        }
        Ok(Self {
            labels,
            absent: long.absent,
            mode: long.mode,
            managers: long.managers,
            data: long
                .data
                .map_or_else(|| Ok(DeclaredVolumes::default()), DeclaredVolumes::read)
                .map_err(D::Error::custom)?,
            host: HostName::new(""),
            ours: ManagerAddresses::default(),
            known: BTreeSet::new(),
        })
    }
}

impl ResourceKind for NodeLabelsResource {
    const NAME: &'static str = "node_labels";
    type Observed = NodeLabelsState;

    fn name(&self) -> String {
        let keys: Vec<&str> = self
            .labels
            .keys()
            .chain(&self.absent)
            .map(String::as_str)
            .collect();
        keys.join(",")
    }

    fn bind(&mut self, context: &HostContext<'_>) -> Result<(), InvalidField> {
        if self.labels.is_empty() && self.absent.is_empty() && self.mode == LabelMode::Merge {
            return Err(InvalidField::new("labels", "no label is given")
                .hint("for example { \"web2py.tier.db\" = \"true\" }"));
        }
        for (key, value) in &self.labels {
            check_key(key)?;
            if value.chars().any(char::is_control) {
                return Err(InvalidField::new(
                    key,
                    format!("the value of the label `{key}` contains a control character"),
                )
                .hint("labels are one line of text"));
            }
        }
        for key in &self.absent {
            check_key(key)?;
            if self.labels.contains_key(key) {
                return Err(InvalidField::new(
                    "absent",
                    format!("the label `{key}` is in both `labels` and `absent`"),
                )
                .hint("name it in one of them"));
            }
        }
        self.data.check()?;
        self.data.promised_by(leaving::pairs(&self.labels));
        self.ours = ManagerAddresses::of_group(context.roster, &self.managers);
        if self.ours.managers.is_empty() {
            return Err(InvalidField::new(
                "managers",
                format!("no host is in the group `{}`", self.managers),
            )
            .hint("name the group whose hosts manage the swarm"));
        }
        self.host = context.host.clone();
        self.known = context.roster.hosts.keys().cloned().collect();
        Ok(())
    }

    fn data_directories(&self) -> Vec<String> {
        self.data.directories()
    }

    fn accepting(&self, data: ForeignData) -> Option<Self> {
        Some(Self {
            data: self.data.accepting(data),
            ..self.clone()
        })
    }

    fn queries(&self) -> Vec<Query> {
        let mut queries = SwarmView::queries(&self.host, &self.ours.names());
        // The addresses of the host must agree with those at which the managers see its node.
        queries.push(Query::Shell(ShellQuery::Facts));
        queries.extend(self.data.queries());
        queries
    }

    fn observe(&self, answers: &HostAnswers) -> Result<Observation<Self::Observed>, ProbeError> {
        match SwarmView::read(&self.host, &self.ours.names(), answers)? {
            Observation::Needs(queries) => Ok(Observation::Needs(queries)),
            Observation::Known(view) => {
                let membership = observe_membership(&view, &self.ours)?;
                let status = membership.status().ok();
                let volumes = match status.and_then(|status| status.swarm.as_ref()) {
                    Some(swarm) => self.data.observe(&self.host, &self.known, swarm, answers)?,
                    None => Observation::Known(Vec::new()),
                };
                let held = match status.map(|status| (status.node(), &status.swarm)) {
                    Some((Some(node), Some(swarm))) => leaving::observe(
                        &self.host,
                        (node, swarm),
                        &self.wanted(&node.labels),
                        answers,
                    )?,
                    _ => Observation::Known(Vec::new()),
                };
                Ok(match (volumes, held) {
                    (Observation::Known(volumes), Observation::Known(held)) => {
                        Observation::Known(NodeLabelsState {
                            membership,
                            volumes,
                            held,
                        })
                    }
                    (volumes, held) => Observation::Needs([needs(volumes), needs(held)].concat()),
                })
            }
        }
    }

    fn plan(&self, observed: &Self::Observed) -> Result<Option<Change>, Refusal> {
        let status = observed.membership.status()?;
        let (Some(node), Some(swarm)) = (status.node(), &status.swarm) else {
            return Ok(self.forecast(&status.membership));
        };
        let wanted = self.wanted(&node.labels);
        let mut change = Change::new(Action::Update);
        let keys: BTreeSet<&String> = wanted.keys().chain(node.labels.keys()).collect();
        for key in keys {
            let (before, after) = (node.labels.get(key), wanted.get(key));
            if before != after {
                let shown =
                    |value: Option<&String>| value.map_or(DisplayValue::Absent, DisplayValue::text);
                change = change.field(format!("label {key}"), shown(before), shown(after));
            }
        }
        if let Some(volume) = observed.held.first() {
            let hold = leaving::hold(&self.host, volume);
            if let Operation::Blocked { why, .. } = &hold.act {
                change
                    .notes
                    .push(format!("{why}; the label stays until the volume has moved"));
            }
            return Ok(Some(change.step(hold)));
        }
        let labels = change.fields.len();
        // The data comes first, because the label brings services to it.
        if let Some(lacks) = self.data.plan(
            &self.name(),
            &self.host,
            (node, swarm),
            &observed.volumes,
            &mut change,
        )? {
            change.steps = vec![lacks];
            return Ok(Some(change));
        }
        if labels == 0 {
            return Ok((!change.fields.is_empty()).then_some(change));
        }
        let mut spec = node.spec.clone();
        spec["Labels"] = wanted
            .into_iter()
            .map(|(key, value)| (key, value.into()))
            .collect::<serde_json::Map<_, _>>()
            .into();
        Ok(Some(change.step(Step {
            summary: format!("label node {} ({})", node.short_id(), self.host),
            act: Operation::DockerApi(DockerCall {
                managers: swarm.peers_of(&self.host),
                method: "POST",
                path: format!("/nodes/{}/update?version={}", node.id, node.version),
                body: Some(spec),
                late: Vec::new(),
                made: GeneratedValue::Nothing,
                timeout: STEP_TIMEOUT,
            }),
        })))
    }
}

impl NodeLabelsResource {
    /// Returns the desired labels of the node, given its present labels.
    fn wanted(&self, live: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut wanted = match self.mode {
            LabelMode::Merge => live.clone(),
            LabelMode::Exact => BTreeMap::new(),
        };
        wanted.retain(|key, _| !self.absent.contains(key));
        wanted.extend(self.labels.clone());
        wanted
    }

    /// Returns the change for a host that has no node yet; its node ID is known only after it has
    /// joined.
    fn forecast(&self, membership: &Membership) -> Option<Change> {
        if self.labels.is_empty() {
            return None;
        }
        let stopped = matches!(membership, Membership::Stopped(_));
        let mut change = Change::new(if stopped {
            Action::Update
        } else {
            Action::Create
        });
        for (key, value) in &self.labels {
            let before = if stopped {
                DisplayValue::text("unknown (the Engine does not answer)")
            } else {
                DisplayValue::Absent
            };
            change = change.field(format!("label {key}"), before, DisplayValue::text(value));
        }
        self.data.forecast(&mut change);
        Some(change.step(Step::known_after_apply(format!(
            "label the node of {}, once it is in the swarm",
            self.host
        ))))
    }
}

/// This host's membership in the swarm, and the volumes that its labels declare.
#[derive(Debug)]
pub struct NodeLabelsState {
    membership: MembershipObservation,
    volumes: Vec<VolumeState>,
    /// Volumes on this node whose labels are to be removed.
    held: Vec<DataVolume>,
}

fn needs<T>(observation: Observation<T>) -> Vec<Query> {
    match observation {
        Observation::Needs(queries) => queries,
        Observation::Known(_) => Vec::new(),
    }
}

/// Refuses label names that the docker command and placement constraints could not use, before any
/// host is changed.
fn check_key(key: &str) -> Result<(), InvalidField> {
    let why = if key.trim().is_empty() {
        "is empty"
    } else if key
        .chars()
        .any(|character| character.is_whitespace() || character.is_control())
    {
        "contains white space or a control character"
    } else if key.contains('=') {
        "contains `=`, which ends a label's name"
    } else {
        return Ok(());
    };
    Err(
        InvalidField::new("labels", format!("the name of the label {key:?} {why}"))
            .hint("for example \"web2py.tier.db\""),
    )
}

#[cfg(test)]
mod tests;
