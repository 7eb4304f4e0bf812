//! `systemd_service`: a unit that is enabled and runs, and that was started after the last write of
//! the files it depends on. Undeclared properties are left unchanged.

use serde::Deserialize;

use super::AbsolutePath;
use super::engine_settings::{RestartHazard, restart_hazard, restart_queries};
use crate::model::{
    Action, Change, DisplayValue, Disruption, DockerError, HostAnswers, HostContext, InvalidField,
    Observation, ProbeError, Query, Refusal, ResourceKind, ShellQuery, Step, UnitState,
};

/// A systemd unit.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SystemdServiceResource {
    /// Name of the unit; `.service` is added when it has no suffix.
    name: String,
    /// Start at boot. Default: left unchanged.
    enabled: Option<bool>,
    /// Run now. Default: left unchanged.
    running: Option<bool>,
    /// Mask the unit. Default: left unchanged.
    masked: Option<bool>,
    /// Files and folders; the unit is restarted if one of them was modified after the unit's start
    /// (in whole seconds).
    #[serde(default)]
    restart_when_newer: Vec<AbsolutePath>,
}

/// State of the unit, and the files that are newer than its start.
#[derive(Debug)]
pub struct SystemdServiceState {
    unit: UnitState,
    newer: Vec<String>,
    /// Reason why Docker Engine would not come back from a start.
    hazard: Option<RestartHazard>,
}

/// Units whose restart stops containers, or makes a manager unavailable.
const ENGINE: &[&str] = &["docker.service", "docker.socket", "containerd.service"];

/// Types of units (systemd.unit(5)).
const SUFFIXES: &[&str] = &[
    ".service",
    ".socket",
    ".timer",
    ".mount",
    ".automount",
    ".path",
    ".target",
    ".swap",
    ".slice",
];

const RELOAD: &str = "systemctl daemon-reload\n";

/// Arguments: `$1` the verb, `$2` the unit.
const CHANGE: &str = r#"if ! systemctl cat -- "$2" >/dev/null 2>&1 && [ "$1" != unmask ]; then
  printf 'there is no unit %s on this host; is its package installed?\n' "$2" >&2
  exit 1
fi
systemctl "$1" -- "$2"
"#;

/// Arguments: `$1` is `start` or `restart`, `$2` the unit. A unit that failed too often starts
/// again only after `reset-failed`, and so does a unit that it requires. An error begins with
/// systemctl's own reason, then come the last errors of the unit's processes. A node of a swarm is
/// not restarted with another folder of data, which a drop-in of its unit may name.
const START: &str = r#"if ! systemctl cat -- "$2" >/dev/null 2>&1; then
  printf 'there is no unit %s on this host; is its package installed?\n' "$2" >&2
  exit 1
fi
if [ "$2" = docker.service ] && systemctl is-active --quiet -- "$2" && command -v docker >/dev/null 2>&1; then
  unset DOCKER_HOST DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH DOCKER_API_VERSION
  node=$(timeout 10 docker --config /nonexistent -H unix:///var/run/docker.sock info \
    --format '{{.Swarm.LocalNodeState}} {{.DockerRootDir}}' 2>/dev/null) || node=''
  present=${node#* } next=''
  case $node in
  '' | inactive*) ;;
  *)
    next=$(systemctl show --property=ExecStart --value -- "$2" | tr ' ' '\n' | awk '
      found { print; exit }
      /^(--data-root|-g)$/ { found = 1 }
      /^--data-root=/ { sub(/^--data-root=/, ""); print; exit }') || next=''
    next=${next%/}
    ;;
  esac
  case $present/ in
  "$next"/*) ;;
  *)
    if [ ! -e "$next/swarm/docker-state.json" ]; then
      printf 'the unit names the data folder %s, but Docker Engine runs with %s: the host would lose its identity as a node of its swarm; nothing was restarted\n' "$next" "$present" >&2
      exit 1
    fi
    ;;
  esac
fi
required=$(systemctl show --property=Requires --value -- "$2" 2>/dev/null) || required=''
for unit in "$2" $required; do
  systemctl reset-failed -- "$unit" 2>/dev/null || :
done
began=$(date +%s)
said=''
if said=$(systemctl "$1" -- "$2" 2>&1) && systemctl is-active --quiet -- "$2"; then
  exit 0
fi
printf '%s\n' "$said" | grep -v -e '^See "systemctl' -e '^$' | tail -n 2 >&2 || :
log() { journalctl --since "@$began" -o cat --no-pager "$@" 2>/dev/null || :; }
wanted=$(systemctl show --property=Wants --value -- "$2" 2>/dev/null) || wanted=''
for unit in "$2" $required $wanted; do
  if [ "$(systemctl show --property=LoadState --value -- "$unit" 2>/dev/null)" = masked ]; then
    printf '%s is masked, and %s needs it; try: systemctl unmask %s\n' "$unit" "$2" "$unit" >&2
    continue
  fi
  state=$(systemctl show --property=ActiveState --value -- "$unit" 2>/dev/null) || state=''
  # A service that systemd starts again and again is `activating` between two attempts.
  if [ "$state" = failed ] || [ "$unit" = "$2" ]; then
    why=$(log "_SYSTEMD_UNIT=$unit" | grep -i -e fatal -e failed -e unable -e error | tail -n 1)
    [ -n "$why" ] || why=$(log --unit "$unit" | tail -n 2)
    [ -z "$why" ] || printf '%s: %s\n' "$unit" "$why" >&2
  fi
done
exit 1
"#;

/// Time for a unit to start or stop: five minutes (the Engine stops its containers first).
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(300);

impl ResourceKind for SystemdServiceResource {
    const NAME: &'static str = "systemd_service";
    type Observed = SystemdServiceState;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn bind(&mut self, _context: &HostContext<'_>) -> Result<(), InvalidField> {
        let allowed = |one: char| one.is_ascii_alphanumeric() || ":_.\\@-".contains(one);
        let begins = self
            .name
            .starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_');
        if !begins
            || self.name.len() > 255
            || !self.name.chars().all(allowed)
            || self.name.ends_with('@')
        {
            return Err(InvalidField::new(
                "name",
                format!("{:?} is not the name of a unit", self.name),
            )
            .hint("write it as systemctl shows it, e.g. docker or docker.service"));
        }
        if !SUFFIXES.iter().any(|suffix| self.name.ends_with(suffix)) {
            self.name.push_str(".service");
        }
        let wants = self.enabled.is_some() || self.running.is_some() || self.masked.is_some();
        if !wants && self.restart_when_newer.is_empty() {
            return Err(
                InvalidField::new("", "the table declares no property of this unit")
                    .hint("add enabled = true and running = true"),
            );
        }
        if self.masked == Some(true) && (self.enabled == Some(true) || self.running == Some(true)) {
            return Err(InvalidField::new(
                "masked",
                "a masked unit is neither enabled nor started",
            )
            .hint("set masked = false"));
        }
        if self.running == Some(false) && !self.restart_when_newer.is_empty() {
            return Err(InvalidField::new(
                "restart_when_newer",
                "a unit that is stopped is not restarted",
            )
            .hint("set running = true, or remove `restart_when_newer`"));
        }
        Ok(())
    }

    fn queries(&self) -> Vec<Query> {
        let files = self
            .restart_when_newer
            .iter()
            .map(|path| Query::path(path.as_str()));
        let engine = if self.starts_engine() {
            restart_queries()
        } else {
            Vec::new()
        };
        [Query::Shell(ShellQuery::Unit(self.name.clone()))]
            .into_iter()
            .chain(files)
            .chain(engine)
            .collect()
    }

    fn observe(&self, answers: &HostAnswers) -> Result<Observation<Self::Observed>, ProbeError> {
        let unit = answers.unit(&self.name)?.clone();
        // An active unit whose Engine nobody can reach is not in sync.
        if self.must_answer()
            && unit.is_active()
            && let Err(error) = answers.engine("/info")?.json()
            && !matches!(error, DockerError::Refused { .. })
        {
            return Err(ProbeError::silent_engine(&error));
        }
        let mut newer = Vec::new();
        for path in &self.restart_when_newer {
            let modified = answers.path(path.as_str())?.map(|state| state.modified);
            if modified
                .is_some_and(|modified| started(&unit).is_some_and(|started| modified > started))
            {
                newer.push(path.to_string());
            }
        }
        let hazard = if self.starts_engine() {
            match restart_hazard(answers)? {
                Observation::Needs(queries) => return Ok(Observation::Needs(queries)),
                Observation::Known(hazard) => hazard,
            }
        } else {
            None
        };
        Ok(Observation::Known(SystemdServiceState {
            unit,
            newer,
            hazard,
        }))
    }

    fn plan(&self, observed: &Self::Observed) -> Result<Option<Change>, Refusal> {
        let unit = &observed.unit;
        let masked =
            unit.get("LoadState") == "masked" || unit.get("UnitFileState").starts_with("masked");
        if masked
            && self.masked.is_none()
            && (self.enabled == Some(true) || self.running == Some(true))
        {
            return Err(Refusal {
                why: format!("{} is masked on this host", self.name),
                hint: "it may have been masked on purpose; set masked = false to unmask it".into(),
            });
        }
        let mut change = Change::new(if unit.exists() || masked {
            Action::Update
        } else {
            Action::Create
        });
        if unit.get("NeedDaemonReload") == "yes" {
            change = change
                .field(
                    "unit files",
                    DisplayValue::text("changed on disk"),
                    DisplayValue::text("loaded"),
                )
                .step(Step::script(
                    "load the changed unit files",
                    RELOAD,
                    Vec::<String>::new(),
                ));
        }
        if masked && self.masked == Some(false) {
            change = change
                .field("masked", yes_or_no(true), yes_or_no(false))
                .step(self.step("unmask", CHANGE));
        }
        change = self.plan_enabled(unit, change);
        change = self.plan_running(observed, change);
        if !masked && self.masked == Some(true) && unit.exists() {
            change = change
                .field("masked", yes_or_no(false), yes_or_no(true))
                .step(self.step("mask", CHANGE));
        }
        Ok((!change.fields.is_empty()).then_some(change))
    }
}

impl SystemdServiceResource {
    /// Returns true for the Docker Engine that should run.
    fn must_answer(&self) -> bool {
        self.running == Some(true) && self.name == "docker.service"
    }

    /// Returns true if the resource may start or restart Docker Engine.
    fn starts_engine(&self) -> bool {
        let starts = self.running == Some(true) || !self.restart_when_newer.is_empty();
        self.name == "docker.service" && starts
    }

    /// Returns the step that starts or restarts the unit, or a step that fails if Docker Engine
    /// would not come back.
    fn start(&self, verb: &str, hazard: Option<&RestartHazard>) -> Step {
        match hazard {
            Some(hazard) => hazard.step(format!("{verb} {}", self.name)),
            None => self.step(verb, START),
        }
    }

    fn step(&self, verb: &str, script: &'static str) -> Step {
        Step::script(format!("{verb} {}", self.name), script, [verb, &self.name])
            .with_timeout(TIMEOUT)
    }

    fn plan_enabled(&self, unit: &UnitState, change: Change) -> Change {
        let state = unit.get("UnitFileState");
        let (wanted, verb) = match self.enabled {
            // The list is that of `systemctl is-enabled`, without `enabled-runtime`, which ends
            // with the next boot.
            Some(true)
                if matches!(
                    state,
                    "enabled" | "static" | "alias" | "indirect" | "generated"
                ) =>
            {
                return change;
            }
            Some(false)
                if !matches!(
                    state,
                    "enabled" | "enabled-runtime" | "linked" | "linked-runtime"
                ) =>
            {
                return change;
            }
            Some(true) => (true, "enable"),
            Some(false) => (false, "disable"),
            None => return change,
        };
        let before = if unit.exists() || !state.is_empty() {
            yes_or_no(!wanted)
        } else {
            DisplayValue::Absent
        };
        change
            .field("enabled", before, yes_or_no(wanted))
            .step(self.step(verb, CHANGE))
    }

    fn plan_running(&self, observed: &SystemdServiceState, change: Change) -> Change {
        let unit = &observed.unit;
        // A masked unit exists, too, but cannot be started.
        let there = unit.exists() || unit.get("LoadState") == "masked";
        let before = if there {
            DisplayValue::text(unit.get("ActiveState"))
        } else {
            DisplayValue::Absent
        };
        let disturbs = match ENGINE.contains(&self.name.as_str()) {
            true => Disruption::EngineRestart,
            false => Disruption::ServiceRestart,
        };
        match self.running {
            Some(false) if !matches!(unit.get("ActiveState"), "" | "inactive" | "failed") => change
                .field("running", before, yes_or_no(false))
                .step(self.step("stop", CHANGE))
                .disturbing(disturbs),
            Some(true) if !unit.is_active() => change
                .field("running", before, yes_or_no(true))
                .step(self.start("start", observed.hazard.as_ref())),
            _ if unit.is_active() && !observed.newer.is_empty() => change
                .field(
                    "started",
                    DisplayValue::text(format!("before {}", observed.newer.join(", "))),
                    DisplayValue::text("after"),
                )
                .step(self.start("restart", observed.hazard.as_ref()))
                .disturbing(disturbs),
            _ => change,
        }
    }
}

/// Returns the start time of the unit's process, or of the unit itself if it has no process, in
/// seconds since 1970.
fn started(unit: &UnitState) -> Option<u64> {
    let seconds = |property| {
        unit.get(property)
            .parse::<u64>()
            .ok()
            .filter(|seconds| *seconds > 0)
    };
    seconds("ExecMainStartTimestamp").or_else(|| seconds("ActiveEnterTimestamp"))
}

fn yes_or_no(value: bool) -> DisplayValue {
    DisplayValue::text(if value { "yes" } else { "no" })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::trial;
    use super::*;
    use crate::model::{DockerAnswer, Operation, PathState, PathType, QueryAnswer};

    fn unit(properties: &[(&str, &str)]) -> HostAnswers {
        let properties = properties
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        let info = DockerAnswer::Response {
            status: 200,
            body: serde_json::Value::Null,
        };
        HostAnswers::default()
            .with(
                Query::Shell(ShellQuery::Unit("docker.service".into())),
                QueryAnswer::Unit(UnitState { properties }),
            )
            .with(
                Query::content("/etc/docker/daemon.json"),
                QueryAnswer::Path(None),
            )
            .with(Query::docker("/info"), QueryAnswer::Engine(info))
            .with(
                Query::path("/var/lib/docker/swarm/docker-state.json"),
                QueryAnswer::Path(None),
            )
    }

    fn running(file_state: &str) -> HostAnswers {
        unit(&[
            ("LoadState", "loaded"),
            ("ActiveState", "active"),
            ("UnitFileState", file_state),
            ("ExecMainStartTimestamp", "1000"),
            ("ActiveEnterTimestamp", "1002"),
        ])
    }

    fn docker(rest: &str) -> SystemdServiceResource {
        trial::kind(&format!("name = 'docker'\n{rest}"))
    }

    #[test]
    fn active_engine_that_does_not_answer_is_not_in_sync() {
        let silent =
            |answer| running("enabled").with(Query::docker("/info"), QueryAnswer::Engine(answer));
        let kind = docker("running = true");
        for answer in [
            DockerAnswer::Down("/var/run/docker.sock does not exist".into()),
            DockerAnswer::Unreachable("timed out after 30s".into()),
        ] {
            let error = kind.observe(&silent(answer)).err().unwrap().to_string();
            assert!(error.contains("does not respond"), "{error}");
        }
        let starting = DockerAnswer::Response {
            status: 503,
            body: serde_json::Value::Null,
        };
        assert!(kind.observe(&silent(starting)).is_ok());
        // A stopped Engine is drift, and a unit that may be stopped is not asked.
        let stopped = unit(&[("LoadState", "loaded"), ("ActiveState", "inactive")]).with(
            Query::docker("/info"),
            QueryAnswer::Engine(DockerAnswer::Down("stopped".into())),
        );
        assert!(trial::plan(&kind, &stopped).is_some());
        assert!(docker("enabled = true").queries().len() == 1);
    }

    #[test]
    fn missing_unit_is_planned() {
        let change = trial::plan(
            &docker("enabled = true\nrunning = true"),
            &unit(&[("LoadState", "not-found")]),
        )
        .unwrap();
        assert_eq!(
            trial::fields(&change),
            ["enabled: - => yes", "running: - => yes"]
        );
        assert_eq!(
            trial::arguments(&change),
            [["enable", "docker.service"], ["start", "docker.service"]]
        );
        assert_eq!(
            (change.action, change.disturbs),
            (Action::Create, Disruption::Nothing)
        );
    }

    #[test]
    fn only_differences_are_planned() {
        let both = docker("enabled = true\nrunning = true");
        assert!(trial::plan(&both, &running("enabled")).is_none());
        assert!(trial::plan(&both, &running("static")).is_none());
        for off in ["disabled", "enabled-runtime"] {
            assert_eq!(
                trial::fields(&trial::plan(&both, &running(off)).unwrap()),
                ["enabled: no => yes"]
            );
        }
        let failed = unit(&[
            ("LoadState", "loaded"),
            ("ActiveState", "failed"),
            ("UnitFileState", "enabled"),
        ]);
        let change = trial::plan(&both, &failed).unwrap();
        assert_eq!(
            (trial::fields(&change), trial::scripts(&change)),
            (vec!["running: failed => yes".into()], vec![START.into()])
        );

        let off = docker("enabled = false\nrunning = false");
        let change = trial::plan(&off, &running("enabled")).unwrap();
        assert_eq!(
            trial::fields(&change),
            ["enabled: yes => no", "running: active => no"]
        );
        assert_eq!(change.disturbs, Disruption::EngineRestart);
        assert!(
            trial::plan(
                &off,
                &unit(&[("LoadState", "not-found"), ("ActiveState", "inactive")])
            )
            .is_none()
        );
    }

    #[test]
    fn only_a_file_newer_than_the_start_causes_a_restart() {
        let service = docker("running = true\nrestart_when_newer = ['/etc/docker/daemon.json']");
        let file = |modified| {
            let state = PathState {
                modified,
                ..trial::path_state(PathType::File, 0o644)
            };
            QueryAnswer::Path(Some(state))
        };
        let at = |answers: HostAnswers, answer: QueryAnswer| {
            let path = "/etc/docker/daemon.json";
            answers
                .with(Query::path(path), answer.clone())
                .with(Query::content(path), answer)
        };
        let change = trial::plan(&service, &at(running("enabled"), file(1001))).unwrap();
        assert_eq!(
            trial::fields(&change),
            ["started: before /etc/docker/daemon.json => after"]
        );
        assert_eq!(
            (change.disturbs, trial::arguments(&change)),
            (
                Disruption::EngineRestart,
                vec![vec!["restart".into(), "docker.service".into()]]
            )
        );
        assert!(trial::plan(&service, &at(running("enabled"), file(1000))).is_none());
        let missing = at(running("enabled"), QueryAnswer::Path(None));
        assert!(trial::plan(&service, &missing).is_none());
        // A stopped unit is started, and not also restarted.
        let stopped = unit(&[
            ("LoadState", "loaded"),
            ("ActiveState", "inactive"),
            ("ExecMainStartTimestamp", "1000"),
        ]);
        assert_eq!(
            trial::plan(&service, &at(stopped, file(2000)))
                .unwrap()
                .steps
                .len(),
            1
        );
    }

    #[test]
    fn engine_that_would_not_come_back_is_not_restarted() {
        let service = docker("running = true\nrestart_when_newer = ['/etc/docker/daemon.json']");
        let file = PathState {
            modified: 2000,
            content: Some(br#"{"live-restore": true}"#.into()),
            ..trial::path_state(PathType::File, 0o644)
        };
        let path = "/etc/docker/daemon.json";
        let with_file = |answers: HostAnswers| {
            answers
                .with(Query::path(path), QueryAnswer::Path(Some(file.clone())))
                .with(Query::content(path), QueryAnswer::Path(Some(file.clone())))
        };
        let node = DockerAnswer::Response {
            status: 200,
            body: serde_json::json!({"Swarm": {"LocalNodeState": "active"}}),
        };
        let member =
            with_file(running("enabled")).with(Query::docker("/info"), QueryAnswer::Engine(node));
        let change = trial::plan(&service, &member).unwrap();
        let Operation::Blocked { why, hint } = &change.steps[0].act else {
            panic!("{:?}", change.steps)
        };
        assert!(why.contains("live-restore = true"), "{why}");
        assert!(hint.contains("remove the setting"), "{hint}");
        let alone = trial::plan(&service, &with_file(running("enabled"))).unwrap();
        assert_eq!(trial::scripts(&alone), [START]);
    }

    /// Runs the start with a substitute for systemctl that fails with `said`, and a journal.
    fn failed_start(said: &str, journal: &str) -> String {
        let scratch = trial::ScratchFolder::new();
        let systemctl = format!(
            "case \"$1\" in\ncat | reset-failed) exit 0 ;;\nis-active) exit 3 ;;\n\
             show) case \"$2\" in *Requires) echo 'x.socket sys.slice' ;; *) [ \"$5\" != x.socket ] || echo failed ;; esac; exit 0 ;;\n\
             *) printf '{said}' >&2; exit 1 ;;\nesac"
        );
        for (name, text) in [("systemctl", systemctl), ("journalctl", journal.into())] {
            std::fs::write(scratch.path(name), format!("#!/bin/sh\n{text}\n")).unwrap();
            trial::run("chmod 755 \"$1\"", &[scratch.path(name)], b"", &[]).unwrap();
        }
        let path = format!("{}:/usr/bin:/bin", scratch.path("").trim_end_matches('/'));
        let arguments = ["start".to_owned(), "docker.service".to_owned()];
        trial::run(START, &arguments, b"", &[("PATH", &path)]).unwrap_err()
    }

    #[test]
    fn node_is_not_restarted_with_the_data_folder_of_a_drop_in() {
        let scratch = trial::ScratchFolder::new();
        std::fs::create_dir_all(scratch.path("copy/swarm")).unwrap();
        std::fs::write(scratch.path("copy/swarm/docker-state.json"), "{}").unwrap();
        let path = format!("{}:/usr/bin:/bin", scratch.path("").trim_end_matches('/'));
        let restart = |flags: &str, info: &str| {
            let systemctl = format!(
                "case \"$*\" in\n\
                 *ExecStart*) echo '{{ path=/usr/bin/dockerd ; argv[]=/usr/bin/dockerd -H fd:// {flags} ; x=y }}' ;;\n\
                 restart*) : >'{}' ;;\nesac",
                scratch.path("restarted")
            );
            for (name, text) in [
                ("systemctl", systemctl),
                ("docker", format!("echo '{info}'")),
            ] {
                std::fs::write(scratch.path(name), format!("#!/bin/sh\n{text}\n")).unwrap();
                trial::run("chmod 755 \"$1\"", &[scratch.path(name)], b"", &[]).unwrap();
            }
            let arguments = ["restart".to_owned(), "docker.service".to_owned()];
            let ended = trial::run(START, &arguments, b"", &[("PATH", &path)]);
            let restarted = std::fs::remove_file(scratch.path("restarted")).is_ok();
            assert_eq!(ended.is_ok(), restarted, "{flags} {info}: {ended:?}");
            ended
        };
        let node = "active /var/lib/docker";
        for flags in [
            "--data-root /srv/other",
            "--data-root=/srv/other/",
            "-g /srv/other",
        ] {
            let said = restart(flags, node).unwrap_err();
            assert!(said.contains("data folder /srv/other"), "{said}");
            restart(flags, "inactive /var/lib/docker").unwrap();
        }
        restart("--data-root /srv/other", "active /srv/other/165536.165536").unwrap();
        restart("--data-root=/var/lib/docker", node).unwrap();
        restart("--debug", node).unwrap();
        restart("--data-root /srv/other", "").unwrap();
        restart(&format!("--data-root {}", scratch.path("copy")), node).unwrap();
    }

    #[test]
    fn failed_start_says_its_cause() {
        let masked = "Failed to start docker.service: Unit docker.socket is masked.\\n";
        let said = failed_start(masked, "exit 0");
        assert!(said.contains("Unit docker.socket is masked"), "{said}");

        let job = "Job for docker.service failed.\\nSee \"systemctl status docker.service\" for details.\\n";
        let clash =
            "unable to configure the Docker daemon: hosts: (from flag: [fd://], from file: x)";
        let journal = format!(
            "for last; do :; done\ncase $last in _SYSTEMD_UNIT=docker.service) echo Starting; echo '{clash}'; echo bye ;; x.socket) echo 'x.socket: address in use' ;; esac"
        );
        let said = failed_start(job, &journal);
        assert!(said.contains("Job for docker.service failed."), "{said}");
        assert!(said.contains(&format!("docker.service: {clash}")), "{said}");
        assert!(said.contains("x.socket: address in use"), "{said}");
        assert!(
            !said.contains("systemctl status") && !said.contains("bye"),
            "{said}"
        );
    }

    #[test]
    fn masked_units_and_changed_unit_files_are_handled() {
        let masked = unit(&[
            ("LoadState", "masked"),
            ("UnitFileState", "masked"),
            ("ActiveState", "inactive"),
        ]);
        assert!(
            trial::refusal(&docker("running = true"), &masked)
                .hint
                .contains("masked = false")
        );
        let change = trial::plan(&docker("running = true\nmasked = false"), &masked).unwrap();
        assert_eq!(
            trial::arguments(&change),
            [["unmask", "docker.service"], ["start", "docker.service"]]
        );
        assert!(trial::plan(&docker("masked = true"), &masked).is_none());
        let stale = unit(&[
            ("LoadState", "loaded"),
            ("ActiveState", "active"),
            ("NeedDaemonReload", "yes"),
        ]);
        assert_eq!(
            trial::fields(&trial::plan(&docker("running = true"), &stale).unwrap()),
            ["unit files: changed on disk => loaded"]
        );
    }

    #[test]
    fn invalid_tables_are_refused() {
        for table in [
            "name = 'docker'",
            "name = '-H'\nrunning = true",
            "name = '$(id)'\nrunning = true",
            "name = \"a\\nb\"\nrunning = true",
            "name = 'a/b'\nrunning = true",
            "name = ''\nrunning = true",
            "name = 'a'\nrunning = 'yes'",
            "name = 'a'\nmasked = true\nrunning = true",
            "name = 'a'\nrunning = false\nrestart_when_newer = ['/x']",
            "name = 'a'\nrestart_when_newer = ['x']",
        ] {
            trial::invalid::<SystemdServiceResource>(table);
        }
    }
}
