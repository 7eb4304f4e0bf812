//! Settings of Docker Engine with which no node of a swarm starts, and the folder of its data. The
//! rules hold for `daemon.json`, whichever resource writes it. The sources are those of Docker
//! Engine: `IsSwarmCompatible` of `daemon/config/config_linux.go`.

use serde_json::Value;

use crate::model::{HostAnswers, Observation, Operation, ProbeError, Query, Step};

/// Configuration file of Docker Engine.
pub(super) const DAEMON_JSON: &str = "/etc/docker/daemon.json";
/// Folder of Docker Engine's data if no setting names another one.
pub(super) const DEFAULT_DATA_ROOT: &str = "/var/lib/docker";
/// Folder of the drop-ins of Docker Engine's unit.
const DROP_INS: &str = "/etc/systemd/system/docker.service.d/";

/// Returns the setting of daemon.json with which Docker Engine does not start on a node of a swarm.
/// A running Docker Engine accepts both from a reload, so that only its next start fails.
pub(super) fn incompatible_with_swarm(settings: &Value) -> Option<&'static str> {
    let is = |key: &str, value: bool| settings.get(key).and_then(Value::as_bool) == Some(value);
    if is("live-restore", true) {
        return Some("live-restore = true");
    }
    let nftables = settings.get("firewall-backend").and_then(Value::as_str) == Some("nftables");
    let supported = settings.pointer("/features/swarm-nftables") == Some(&Value::Bool(true));
    (nftables && !supported && !is("iptables", false)).then_some("firewall-backend = \"nftables\"")
}

/// Returns the folder of Docker Engine's data that daemon.json names; `graph` is its name before
/// Docker Engine 23.0.
pub(super) fn data_root(settings: &Value) -> Option<&str> {
    let root = ["data-root", "graph"]
        .into_iter()
        .find_map(|key| settings.get(key)?.as_str());
    root.filter(|root| !root.is_empty())
}

/// Returns the file below the folder of Docker Engine's data that exists while the host is a node
/// of a swarm. Docker Engine removes it when the node leaves.
pub(super) fn swarm_state_file(data_root: &str) -> String {
    format!(
        "{}/swarm/docker-state.json",
        data_root.trim_end_matches('/')
    )
}

/// Returns the setting in a file's content with which Docker Engine does not start on a node of a
/// swarm, if the file is daemon.json or a drop-in of Docker Engine's unit.
pub(super) fn incompatible_file(path: &str, content: &[u8]) -> Option<&'static str> {
    if path == DAEMON_JSON {
        return incompatible_with_swarm(&serde_json::from_slice(content).ok()?);
    }
    let text = std::str::from_utf8(content).ok()?;
    let is_drop_in = path.starts_with(DROP_INS) && path.ends_with(".conf");
    is_drop_in
        .then(|| text.lines().find_map(incompatible_start))
        .flatten()
}

/// Returns the flag of an `ExecStart=` line with which Docker Engine does not start.
fn incompatible_start(line: &str) -> Option<&'static str> {
    let command = line.trim_start().strip_prefix("ExecStart=")?;
    command.split_whitespace().find_map(|word| match word {
        "--live-restore" | "--live-restore=true" => Some("--live-restore"),
        "--firewall-backend=nftables" => Some("--firewall-backend=nftables"),
        _ => None,
    })
}

/// Reason why Docker Engine would not come back from its next start as the node that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RestartHazard {
    why: String,
    hint: String,
}

impl RestartHazard {
    /// Returns the step that stands in the place of a start: it does nothing and fails. An earlier
    /// resource of the same run may remove the hazard, so that the plan is not refused.
    pub(super) fn step(&self, summary: String) -> Step {
        Step {
            summary,
            act: Operation::Blocked {
                why: self.why.clone(),
                hint: self.hint.clone(),
            },
        }
    }
}

/// Returns the queries of [`restart_hazard`].
pub(super) fn restart_queries() -> Vec<Query> {
    vec![
        Query::content(DAEMON_JSON),
        Query::docker("/info"),
        Query::path(swarm_state_file(DEFAULT_DATA_ROOT)),
    ]
}

/// Returns the reason why the next start of Docker Engine would fail or cost the host its
/// membership in the swarm, according to daemon.json; `None` if there is none, or if the host is in
/// no swarm.
///
/// # Errors
/// [`ProbeError`] if a file could not be read.
pub(super) fn restart_hazard(
    answers: &HostAnswers,
) -> Result<Observation<Option<RestartHazard>>, ProbeError> {
    let file = answers.path(DAEMON_JSON)?;
    let content = file.and_then(|file| file.content.as_deref());
    let settings: Option<Value> = content.and_then(|content| serde_json::from_slice(content).ok());
    let Some(settings) = settings else {
        return Ok(Observation::Known(None));
    };
    let info = answers.engine("/info")?.ok();
    let text = |pointer: &str| info.and_then(|info| info.pointer(pointer)?.as_str());
    let in_swarm = match text("/Swarm/LocalNodeState") {
        Some(state) => !matches!(state, "" | "inactive"),
        None => answers
            .path(&swarm_state_file(DEFAULT_DATA_ROOT))?
            .is_some(),
    };
    if !in_swarm {
        return Ok(Observation::Known(None));
    }
    if let Some(setting) = incompatible_with_swarm(&settings) {
        return Ok(Observation::Known(Some(RestartHazard {
            why: format!(
                "{DAEMON_JSON} has `{setting}`, with which no node of a swarm starts: Docker Engine would not come back"
            ),
            hint: format!("remove the setting from {DAEMON_JSON}, then run again"),
        })));
    }
    let (Some(root), Some(present)) = (data_root(&settings), text("/DockerRootDir")) else {
        return Ok(Observation::Known(None));
    };
    let root = root.trim_end_matches('/');
    // `userns-remap` adds a folder. Another path may be a link to the same folder.
    if present == root || present.starts_with(&format!("{root}/")) {
        return Ok(Observation::Known(None));
    }
    let query = Query::path(swarm_state_file(root));
    if !answers.contains(&query) {
        return Ok(Observation::Needs(vec![query]));
    }
    if answers.path(&swarm_state_file(root))?.is_some() {
        return Ok(Observation::Known(None));
    }
    Ok(Observation::Known(Some(RestartHazard {
        why: format!(
            "{DAEMON_JSON} names the data folder {root}, but Docker Engine runs with {present}: after its next start, the host would no longer be a node of its swarm"
        ),
        hint: format!("remove `data-root` from {DAEMON_JSON}, or copy the data first"),
    })))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::super::trial;
    use super::*;
    use crate::model::{DockerAnswer, QueryAnswer};

    fn hazard(settings: &str, info: Option<Value>, state: bool, copied: bool) -> Option<String> {
        let there = |exists: bool| match exists {
            true => trial::file_answer("{}"),
            false => QueryAnswer::Path(None),
        };
        let engine = match info {
            Some(body) => DockerAnswer::Response { status: 200, body },
            None => DockerAnswer::Down("stopped".into()),
        };
        let answers = HostAnswers::default()
            .with(Query::content(DAEMON_JSON), trial::file_answer(settings))
            .with(Query::docker("/info"), QueryAnswer::Engine(engine))
            .with(
                Query::path("/var/lib/docker/swarm/docker-state.json"),
                there(state),
            )
            .with(
                Query::path("/srv/docker/swarm/docker-state.json"),
                there(copied),
            );
        match restart_hazard(&answers).unwrap() {
            Observation::Known(hazard) => hazard.map(|hazard| hazard.why),
            Observation::Needs(queries) => panic!("{queries:?}"),
        }
    }

    #[test]
    fn restart_is_a_hazard_for_a_node_of_a_swarm_only() {
        let node = |state: &str| {
            let swarm = json!({"LocalNodeState": state});
            Some(json!({"Swarm": swarm, "DockerRootDir": "/var/lib/docker"}))
        };
        let live = r#"{"live-restore": true}"#;
        assert!(hazard(live, node("active"), false, false).is_some());
        assert!(hazard(live, node("inactive"), true, false).is_none());
        assert!(hazard(live, None, true, false).is_some());
        assert!(hazard(live, None, false, false).is_none());
        assert!(hazard("{}", node("active"), false, false).is_none());
        assert!(hazard("{", node("active"), false, false).is_none());
        let moved = r#"{"data-root": "/srv/docker"}"#;
        let why = hazard(moved, node("active"), false, false).unwrap();
        assert!(why.contains("runs with /var/lib/docker"), "{why}");
        assert!(hazard(moved, node("active"), false, true).is_none());
        assert!(hazard(moved, node("inactive"), false, false).is_none());
        let same = r#"{"data-root": "/var/lib/docker/"}"#;
        assert!(hazard(same, node("active"), false, false).is_none());
    }

    #[test]
    fn incompatible_settings_are_found_in_each_place() {
        for (content, setting) in [
            (r#"{"live-restore": true}"#, Some("live-restore = true")),
            (r#"{"live-restore": false}"#, None),
            (
                r#"{"firewall-backend": "nftables"}"#,
                Some("firewall-backend = \"nftables\""),
            ),
            (
                r#"{"firewall-backend": "nftables", "iptables": false}"#,
                None,
            ),
            (
                r#"{"firewall-backend": "nftables", "features": {"swarm-nftables": true}}"#,
                None,
            ),
            (r#"{"firewall-backend": "iptables"}"#, None),
            ("{", None),
        ] {
            assert_eq!(
                incompatible_file(DAEMON_JSON, content.as_bytes()),
                setting,
                "{content}"
            );
        }
        let drop_in = "/etc/systemd/system/docker.service.d/live.conf";
        let start = b"[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -H fd:// --live-restore\n";
        assert_eq!(incompatible_file(drop_in, start), Some("--live-restore"));
        assert_eq!(incompatible_file("/etc/motd", start), None);
        let off = b"[Service]\nExecStart=/usr/bin/dockerd --live-restore=false\n# --live-restore\n";
        assert_eq!(incompatible_file(drop_in, off), None);
    }

    #[test]
    fn folder_of_the_data_has_two_names() {
        for (settings, root) in [
            (serde_json::json!({"data-root": "/a"}), Some("/a")),
            (serde_json::json!({"graph": "/b"}), Some("/b")),
            (serde_json::json!({"data-root": ""}), None),
            (serde_json::json!({}), None),
        ] {
            assert_eq!(data_root(&settings), root);
        }
        assert_eq!(swarm_state_file("/a/"), "/a/swarm/docker-state.json");
    }
}
