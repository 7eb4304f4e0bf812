//! `daemon_json`: keys of the Engine's configuration file. They are merged three ways, validated by
//! the Engine, swapped as one transaction, and rolled back if the Engine does not come back as the
//! node that it was. A file that is not JSON is only overwritten with `replace_invalid`.

mod document;
mod merge;
mod node;
mod running;
mod spelling;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::Deserialize;
use serde::de::Error as _;
use sha2::{Digest as _, Sha256};

use self::document::{JsonObject, JsonValue};
use self::merge::{KeyDifference, MergeResult};
use self::node::EngineNode;
use super::engine_settings::{DAEMON_JSON, incompatible_with_swarm, swarm_state_file};
use crate::base::hex;
use crate::base::path_script;
use crate::model::{
    Action, Change, DisplayValue, Disruption, HostAnswers, HostContext, InvalidField, Observation,
    PathState, PathType, ProbeError, Query, Refusal, ResourceKind, ShellQuery, Step,
};

/// Configuration file of the Engine.
const PATH: &str = DAEMON_JSON;
/// Record of the keys that skep set last; readable by root only.
const RECORD: &str = "/var/lib/skep/daemon.json";
/// Files of a change that is under way. They stay if its machine loses its power.
const UNFINISHED: [&str; 2] = [
    "/etc/docker/daemon.json.skep-new",
    "/etc/docker/daemon.json.skep-old",
];
const SWAP: &str = include_str!("swap.sh");
const VALIDATE: &str = include_str!("validate.sh");
/// Time limit within which the Engine must answer again after its start or a reload, in seconds.
const PATIENCE: u64 = 60;
/// Time limit for the stop of the Engine, in seconds: systemd ends it after 90 s.
const STOP_PATIENCE: u64 = 100;
/// Time limit of the step: the swap and a rollback each wait for a stop and a start. There is room
/// left for commands that take 5 s each.
const SWAP_TIMEOUT: Duration = Duration::from_secs(2 * (PATIENCE + STOP_PATIENCE) + 100);

/// Keys of daemon.json, written as Docker writes them (with hyphens). Keys with an underscore are
/// skep's own options.
#[derive(Debug, Clone)]
pub struct DaemonJsonResource {
    wanted: JsonObject,
    /// True if a file that is not JSON may be replaced (a copy is kept). Default false.
    replace_invalid: bool,
}

impl<'de> Deserialize<'de> for DaemonJsonResource {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table = toml::Table::deserialize(deserializer)?;
        let replace_invalid = match table.remove("replace_invalid") {
            None => false,
            Some(toml::Value::Boolean(value)) => value,
            Some(other) => {
                let message = format!(
                    "invalid type: {}, expected a boolean for `replace_invalid`",
                    other.type_str()
                );
                return Err(D::Error::custom(message));
            }
        };
        let mut wanted = JsonObject::new();
        for (key, value) in table {
            let value = document::from_toml(value)
                .map_err(|why| D::Error::custom(format!("`{key}`: {why}")))?;
            wanted.insert(key, value);
        }
        Ok(Self {
            wanted,
            replace_invalid,
        })
    }
}

/// Observed state of the host.
#[derive(Debug)]
pub struct DaemonJsonState {
    file: Option<PathState>,
    last: JsonObject,
    /// True if the Engine's service runs, so that a change must reach it.
    running: bool,
    node: EngineNode,
    /// True if the folder that the new file names as the Engine's data holds the state of a node.
    has_swarm_state: bool,
    /// Wanted keys that a running Engine does not show. Each difference tells whether a reload is
    /// enough.
    not_loaded: Vec<KeyDifference>,
    /// Files of an interrupted change.
    unfinished: Vec<&'static str>,
    notes: Vec<String>,
}

impl ResourceKind for DaemonJsonResource {
    const NAME: &'static str = "daemon_json";
    type Observed = DaemonJsonState;

    fn name(&self) -> String {
        PATH.into()
    }

    fn bind(&mut self, _context: &HostContext<'_>) -> Result<(), InvalidField> {
        for (key, value) in &self.wanted {
            check(key, value)?;
        }
        Ok(())
    }

    fn swarm_conflict(&self) -> Option<String> {
        let settings = serde_json::to_value(JsonValue::Table(self.wanted.clone())).ok()?;
        incompatible_with_swarm(&settings).map(str::to_owned)
    }

    fn queries(&self) -> Vec<Query> {
        let mut queries = vec![
            Query::content(PATH),
            Query::content(RECORD),
            Query::Shell(ShellQuery::Unit("docker".into())),
            Query::Shell(ShellQuery::Program("dockerd".into())),
            Query::docker("/info"),
        ];
        queries.extend(UNFINISHED.map(Query::path));
        queries
    }

    fn observe(&self, answers: &HostAnswers) -> Result<Observation<DaemonJsonState>, ProbeError> {
        let mut notes = Vec::new();
        let last = match answers
            .path(RECORD)?
            .and_then(|record| record.content.as_deref())
            .map(document::read)
        {
            None => JsonObject::new(),
            Some(Ok(record)) => record,
            Some(Err(why)) => {
                notes.push(format!("the record {RECORD} is not readable ({why}): skep treats every key as set by somebody else"));
                JsonObject::new()
            }
        };
        let file = answers.path(PATH)?.cloned();
        let live = file.as_ref().and_then(|file| file.content.as_deref());
        let live = live.and_then(|content| document::read(content).ok());
        let live = live.unwrap_or_default();
        let installed = answers.program("dockerd")?.is_some();
        let running = installed && answers.unit("docker")?.is_active();
        let mut needs = Vec::new();
        let mut exists = |path: String| {
            let query = Query::path(&path);
            if answers.contains(&query) {
                return answers.path(&path).map(|state| state.is_some());
            }
            needs.push(query);
            Ok(false)
        };
        let info = if running {
            // A change could not be told to an Engine that does not answer.
            let info = answers.engine("/info")?.json();
            Some(info.map_err(|error| ProbeError::silent_engine(&error))?)
        } else {
            None
        };
        let node = match info {
            Some(info) => EngineNode::running(info),
            None => EngineNode {
                installed,
                in_swarm: installed && exists(node::stopped_state_file(&live))?,
                ..EngineNode::default()
            },
        };
        let new = merge::merge(&last, &live, &self.wanted).document;
        let has_swarm_state = match node.new_root(&live, &new) {
            Some(root) if node.in_swarm => exists(swarm_state_file(&root))?,
            _ => false,
        };
        if !needs.is_empty() {
            return Ok(Observation::Needs(needs));
        }
        let mut unfinished = Vec::new();
        for path in UNFINISHED {
            if answers.path(path)?.is_some() {
                unfinished.push(path);
            }
        }
        let not_loaded = info.map_or_else(Vec::new, |info| running::missing(&self.wanted, info));
        Ok(Observation::Known(DaemonJsonState {
            file,
            last,
            running,
            node,
            has_swarm_state,
            not_loaded,
            unfinished,
            notes,
        }))
    }

    fn plan(&self, seen: &DaemonJsonState) -> Result<Option<Change>, Refusal> {
        let (live, invalid) = self.live(seen.file.as_ref())?;
        let MergeResult {
            document,
            differences,
            notes,
        } = merge::merge(&seen.last, &live, &self.wanted);
        // A setting that is in the file already is refused as well: the next start would fail.
        let costs = seen.node.judge(&live, &document, seen.has_swarm_state)?;
        let is_new = seen.file.is_none() && !document.is_empty();
        let mut change = Change::new(if seen.file.is_none() {
            Action::Create
        } else {
            Action::Update
        });
        let mut keep = String::new();
        if let Some((why, content)) = invalid {
            keep = format!("{PATH}.skep-invalid-{}", short_hash(content));
            change = change.field(
                "content",
                DisplayValue::text(format!("not JSON ({why})")),
                DisplayValue::text("valid JSON"),
            );
            change = change.note(format!("a copy of the invalid file is kept as {keep}"));
        }
        for difference in &differences {
            change = show(change, &difference.key, difference);
        }
        // The file may be right while the Engine runs with an older version: somebody edited it
        // without a reload.
        let pending: Vec<&KeyDifference> = seen
            .not_loaded
            .iter()
            .filter(|missing| !differences.iter().any(|known| known.key == missing.key))
            .collect();
        for difference in &pending {
            change = show(
                change,
                &format!("{} (in the running Engine)", difference.key),
                difference,
            );
        }
        // The swap removes these files and writes the record, which an interrupted swap did not.
        for path in &seen.unfinished {
            change = change.field(
                *path,
                DisplayValue::text("left by an interrupted change"),
                DisplayValue::Absent,
            );
        }
        if change.fields.is_empty() && !is_new {
            return Ok(None);
        }
        let mode = match () {
            () if !seen.running => "none",
            () if keep.is_empty() && differences.is_empty() && pending.is_empty() => "none",
            () if keep.is_empty()
                && differences
                    .iter()
                    .chain(pending)
                    .all(KeyDifference::is_reloadable) =>
            {
                "reload"
            }
            () => "restart",
        };
        change.disturbs = match mode {
            "restart" => Disruption::EngineRestart,
            "reload" => Disruption::Reload,
            _ => Disruption::Nothing,
        };
        let notes = notes.into_iter().chain(costs);
        for note in notes.chain(seen.notes.iter().cloned()) {
            change = change.note(note);
        }
        let content = document::write(&document);
        let arguments = [
            PATH.into(),
            RECORD.into(),
            mode.to_owned(),
            content.len().to_string(),
            keep,
            PATIENCE.to_string(),
            STOP_PATIENCE.to_string(),
            seen.node.node_id.clone(),
            seen.node.cluster_id.clone(),
        ];
        // Without an Engine that reads it, the swap only writes files.
        if mode == "none" {
            change = change.altering(PATH).altering(RECORD);
            for path in &seen.unfinished {
                change = change.altering(*path);
            }
        }
        let summary = match mode {
            "none" => format!("write {PATH}"),
            mode => format!("write {PATH} and {mode} the Engine"),
        };
        if mode == "restart" {
            let arguments = [
                PATH.to_owned(),
                content.len().to_string(),
                PATIENCE.to_string(),
            ];
            let summary = format!("validate the new {PATH}");
            change = change
                .preparing(Step::script(summary, VALIDATE, arguments).with_stdin(content.clone()));
        }
        let record = document::write(&document::masked(&self.wanted));
        let stdin = [content, record].concat();
        Ok(Some(
            change.step(
                Step::script(summary, path_script(SWAP), arguments)
                    .with_stdin(stdin)
                    .with_timeout(SWAP_TIMEOUT),
            ),
        ))
    }
}

impl DaemonJsonResource {
    /// Returns the live document. For a file that is not JSON but may be replaced, also returns the
    /// reason and the bytes.
    #[expect(clippy::type_complexity, reason = "used once, just above")]
    fn live<'a>(
        &self,
        file: Option<&'a PathState>,
    ) -> Result<(JsonObject, Option<(String, &'a [u8])>), Refusal> {
        let Some(file) = file else {
            return Ok((JsonObject::new(), None));
        };
        let Some(content) = file
            .content
            .as_deref()
            .filter(|_| file.kind == PathType::File)
        else {
            return Err(Refusal {
                why: format!(
                    "{PATH} is not a file that skep can read (a link, a directory, or larger than 1 MiB)"
                ),
                hint: "replace it with a regular file".into(),
            });
        };
        match document::read(content) {
            Ok(live) => Ok((live, None)),
            Err(why) if self.replace_invalid => Ok((JsonObject::new(), Some((why, content)))),
            Err(why) => Err(Refusal {
                why: format!("{PATH} is not valid JSON: {why}"),
                hint: "correct the file by hand, or set replace_invalid = true (a copy is kept)"
                    .into(),
            }),
        }
    }
}

fn show(change: Change, field: &str, difference: &KeyDifference) -> Change {
    let shown = |value: &Option<JsonValue>| {
        value.as_ref().map_or(DisplayValue::Absent, |value| {
            DisplayValue::text(value.masked(&difference.key).to_string())
        })
    };
    change.field(field, shown(&difference.before), shown(&difference.after))
}

fn short_hash(content: &[u8]) -> String {
    hex(&Sha256::digest(content)[..4])
}

/// Refuses a key that the Engine would refuse, or that would keep the Engine from starting.
fn check(key: &str, value: &JsonValue) -> Result<(), InvalidField> {
    let invalid = |message: String, hint: String| Err(InvalidField::new(key, message).hint(hint));
    if key.contains('_') {
        return invalid(
            format!("`{key}` is neither a key of daemon.json nor an option of this kind"),
            format!(
                "Docker's keys use hyphens: {}; the only option of this kind is replace_invalid",
                key.replace('_', "-")
            ),
        );
    }
    match key {
        "hosts" => invalid(
            "`hosts` conflicts with `-H fd://` in docker.service: the Engine would not start (moby/moby#25471)".into(),
            "change the unit with a drop-in instead".into(),
        ),
        "insecure-registries" | "registry-mirrors" => match value {
            JsonValue::List(elements) if elements.iter().all(|element| element.as_text().is_some()) => Ok(()),
            _ => invalid(format!("`{key}` must be a list of strings"), format!("write {key} = [\"docker01:5000\"]")),
        },
        "log-opts" => match value {
            JsonValue::Table(options) if options.values().all(|option| option.as_text().is_some()) => Ok(()),
            _ => invalid(
                "`log-opts` must be a table of strings; the Engine refuses numbers and booleans there".into(),
                "write log-opts = { max-size = \"10m\", max-file = \"3\" }".into(),
            ),
        },
        _ => Ok(()),
    }
}
