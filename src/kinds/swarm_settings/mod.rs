//! `swarm`: the settings of the swarm that an Engine can change. Settings that the playbook does
//! not name stay as they are.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::cluster::{ClusterSite, ClusterState, default_managers, request};
use crate::model::{
    Action, Change, DisplayValue, HostAnswers, HostContext, InvalidField, Observation, ProbeError,
    Query, Refusal, ResourceKind, ResourceScope, Step,
};
use crate::names::HostName;

/// Path of the swarm; its answer has the join tokens, which are neither kept nor shown.
const PATH: &str = "/swarm";
/// Shortest validity of a node's certificate that a manager accepts (swarmkit,
/// `ca.MinNodeCertExpiration`).
const SHORTEST_EXPIRY: Duration = Duration::from_secs(3600);
/// Shortest time between two signs of life (moby, `daemon/cluster/convert`).
const SHORTEST_HEARTBEAT: Duration = Duration::from_secs(1);

/// Settings of the swarm.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwarmSettingsResource {
    /// Managers need the unlock key after each restart of their Engine.
    autolock: Option<bool>,
    /// Validity of the nodes' certificates, such as `"90d"`; at least an hour.
    cert_expiry: Option<String>,
    /// Time between two signs of life of a node, such as `"5s"`; at least a second.
    dispatcher_heartbeat: Option<String>,
    /// Number of old tasks that are kept for each slot of a service.
    task_history_limit: Option<u32>,
    /// Number of log entries between two snapshots of the Raft log.
    snapshot_interval: Option<u32>,
    /// Number of old snapshots that are kept.
    max_snapshots: Option<u32>,
    /// Labels of the swarm; other labels stay.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// Group whose hosts manage the swarm. Default `managers`.
    #[serde(default = "default_managers")]
    managers: String,
    #[serde(skip)]
    site: ClusterSite,
    /// Settings that the playbook names.
    #[serde(skip)]
    wanted: Vec<WantedSetting>,
}

/// A setting that the playbook names.
#[derive(Debug, Clone, PartialEq, Eq)]
struct WantedSetting {
    field: String,
    /// Names on the way from the specification to the value.
    path: Vec<String>,
    value: Value,
    unit: SettingUnit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SettingUnit {
    Plain,
    Nanoseconds,
}

/// The swarm, as a manager reports it.
#[derive(Debug, Clone, PartialEq)]
pub struct SwarmSpecification {
    version: u64,
    spec: Value,
}

impl ResourceKind for SwarmSettingsResource {
    const NAME: &'static str = "swarm";
    const SCOPE: ResourceScope = ResourceScope::Cluster;
    type Observed = ClusterState<Option<SwarmSpecification>>;

    fn name(&self) -> String {
        "settings".into()
    }

    fn bind(&mut self, context: &HostContext<'_>) -> Result<(), InvalidField> {
        self.wanted = self.wanted_settings()?;
        if self.wanted.is_empty() {
            return Err(InvalidField::new("autolock", "no setting is given").hint(
                "give one of `autolock`, `cert_expiry`, `dispatcher_heartbeat`, `task_history_limit`, `snapshot_interval`, \
                 `max_snapshots` and `labels`",
            ));
        }
        self.site = ClusterSite::of(context, &self.managers)?;
        Ok(())
    }

    fn queries(&self) -> Vec<Query> {
        self.site.queries(&[PATH.to_owned()])
    }

    fn observe(&self, answers: &HostAnswers) -> Result<Observation<Self::Observed>, ProbeError> {
        let read = |bodies: &[Value]| bodies.first().and_then(SwarmSpecification::read);
        self.site.observe(&[PATH.to_owned()], answers, read)
    }

    fn plan(&self, observed: &Self::Observed) -> Result<Option<Change>, Refusal> {
        match observed {
            ClusterState::Refused(refusal) => Err(refusal.clone()),
            ClusterState::NoSwarm => {
                let mut change = Change::new(Action::Update);
                for setting in &self.wanted {
                    change = change.field(
                        &setting.field,
                        DisplayValue::Absent,
                        setting.display(Some(&setting.value)),
                    );
                }
                let step = Step::known_after_apply("change the swarm, once there is one");
                Ok(Some(change.step(step)))
            }
            ClusterState::Live(None, managers) => {
                let names: Vec<&str> = managers.iter().map(HostName::as_str).collect();
                Err(Refusal {
                    why: format!(
                        "{} did not tell the settings of the swarm",
                        names.join(", ")
                    ),
                    hint: "`docker info` on a manager says more".into(),
                })
            }
            ClusterState::Live(Some(live), managers) => Ok(self.compare(live, managers)),
        }
    }
}

impl SwarmSettingsResource {
    fn wanted_settings(&self) -> Result<Vec<WantedSetting>, InvalidField> {
        let mut wanted = Vec::new();
        let mut add = |field: &str, path: &[&str], value: Value, unit: SettingUnit| {
            wanted.push(WantedSetting {
                field: field.to_owned(),
                path: path.iter().map(|name| (*name).to_owned()).collect(),
                value,
                unit,
            });
        };
        if let Some(autolock) = self.autolock {
            let path = ["EncryptionConfig", "AutoLockManagers"];
            add("autolock", &path, autolock.into(), SettingUnit::Plain);
        }
        let times = [
            (
                "cert_expiry",
                &self.cert_expiry,
                ["CAConfig", "NodeCertExpiry"],
                SHORTEST_EXPIRY,
            ),
            (
                "dispatcher_heartbeat",
                &self.dispatcher_heartbeat,
                ["Dispatcher", "HeartbeatPeriod"],
                SHORTEST_HEARTBEAT,
            ),
        ];
        for (field, text, path, shortest) in times {
            if let Some(text) = text {
                let nanoseconds = nanoseconds(field, text, shortest)?;
                add(field, &path, nanoseconds.into(), SettingUnit::Nanoseconds);
            }
        }
        let numbers = [
            (
                "task_history_limit",
                self.task_history_limit,
                ["Orchestration", "TaskHistoryRetentionLimit"],
            ),
            (
                "snapshot_interval",
                self.snapshot_interval,
                ["Raft", "SnapshotInterval"],
            ),
            (
                "max_snapshots",
                self.max_snapshots,
                ["Raft", "KeepOldSnapshots"],
            ),
        ];
        for (field, number, path) in numbers {
            if let Some(number) = number {
                add(field, &path, number.into(), SettingUnit::Plain);
            }
        }
        for (key, value) in &self.labels {
            let field = format!("label {key}");
            add(
                &field,
                &["Labels", key],
                value.as_str().into(),
                SettingUnit::Plain,
            );
        }
        Ok(wanted)
    }

    fn compare(&self, live: &SwarmSpecification, managers: &[HostName]) -> Option<Change> {
        let mut change = Change::new(Action::Update);
        let mut spec = live.spec.clone();
        for setting in &self.wanted {
            let before = setting.find(&live.spec);
            // An Engine leaves a value out that is 0, false or empty.
            if before == Some(&setting.value) || (before.is_none() && is_zero(&setting.value)) {
                continue;
            }
            change = change.field(
                &setting.field,
                setting.display(before),
                setting.display(Some(&setting.value)),
            );
            setting.put(&mut spec);
        }
        if change.fields.is_empty() {
            return None;
        }
        let locks = change
            .fields
            .iter()
            .any(|field| field.field == "autolock" && self.autolock == Some(true));
        if locks {
            change = change.note(
                "managers will need the unlock key after each restart: `skep swarm rotate unlock-key --to FILE` makes one and keeps it",
            );
        }
        let path = format!("/swarm/update?version={}", live.version);
        let summary = "change the settings of the swarm".to_owned();
        Some(change.step(request(summary, managers, "POST", path, Some(spec))))
    }
}

impl WantedSetting {
    fn find<'a>(&self, spec: &'a Value) -> Option<&'a Value> {
        let mut value = spec;
        for name in &self.path {
            value = value.get(name)?;
        }
        Some(value)
    }

    fn put(&self, spec: &mut Value) {
        let mut value = spec;
        for name in &self.path {
            if !value.is_object() {
                *value = Value::Object(serde_json::Map::new());
            }
            value = &mut value[name.as_str()];
        }
        *value = self.value.clone();
    }

    fn display(&self, value: Option<&Value>) -> DisplayValue {
        match (value, self.unit) {
            (None | Some(Value::Null), _) => DisplayValue::Absent,
            (Some(value), SettingUnit::Nanoseconds) => {
                let time = Duration::from_nanos(value.as_u64().unwrap_or(0));
                DisplayValue::text(in_words(time))
            }
            (Some(Value::Bool(value)), _) => DisplayValue::text(if *value { "yes" } else { "no" }),
            (Some(Value::String(value)), _) => DisplayValue::text(value),
            (Some(value), _) => DisplayValue::text(value.to_string()),
        }
    }
}

impl SwarmSpecification {
    fn read(body: &Value) -> Option<Self> {
        Some(Self {
            version: body.pointer("/Version/Index")?.as_u64()?,
            spec: body.get("Spec").filter(|spec| spec.is_object())?.clone(),
        })
    }
}

/// Returns a time as a playbook has it: humantime would write 90 days as months.
fn in_words(time: Duration) -> String {
    const DAY: u64 = 24 * 3600;
    let seconds = time.as_secs();
    if time.subsec_nanos() == 0 && seconds >= DAY && seconds.is_multiple_of(DAY) {
        return format!("{}d", seconds / DAY);
    }
    humantime::format_duration(time).to_string()
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Bool(value) => !value,
        Value::Number(value) => value.as_u64() == Some(0),
        Value::String(value) => value.is_empty(),
        _ => false,
    }
}

/// Reads a time of at least `shortest`, in nanoseconds.
fn nanoseconds(field: &str, text: &str, shortest: Duration) -> Result<u64, InvalidField> {
    let shown = humantime::format_duration(shortest);
    let time = humantime::parse_duration(text).map_err(|error| {
        InvalidField::new(field, format!("{text:?} is no duration: {error}"))
            .hint("write a number with a unit, such as \"90d\" or \"5s\"")
    })?;
    if time < shortest {
        return Err(InvalidField::new(field, format!("{text} is below {shown}"))
            .hint(format!("Docker Engine accepts {shown} and longer")));
    }
    u64::try_from(time.as_nanos())
        .ok()
        .filter(|time| i64::try_from(*time).is_ok())
        .ok_or_else(|| InvalidField::new(field, format!("{text} is too long")))
}

#[cfg(test)]
mod tests;
