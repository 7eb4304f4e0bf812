//! A task of skep that panics, in each phase of a run. Its host is a failed host in every report,
//! and the other hosts continue as usual. Hosts are scripted: each one makes skep panic at a chosen
//! command.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use skep::cli::exit_code::ExitStatus;
use skep::drift::{CheckMetadata, CheckReport, FilteredRun, HostState, IgnoreRules, assemble};
use skep::inventory::InventoryRequest;
use skep::model::{Change, Refusal};
use skep::names::HostName;
use skep::playbook::{ResolveOptions, ResolvedPlaybook, RunRequest, prepare};
use skep::report::{PlanStyle, html_text, junit_text, plan_text, plan_totals, recap_text};
use skep::runner::event::Event;
use skep::runner::fan_out::keep_panics_off_the_screen;
use skep::runner::{
    Connector, DisruptionForecast, DisruptionGuard, DockerReader, EventSender, Fleet, HostOutcome,
    LeaseOwner, Outcome, PlanApproval, RunOptions, RunPlan, RunSummary, apply, fan_out,
    run_read_only,
};
use skep::transport::scripted::output;
use skep::transport::{Connection, DockerStream, Exec, ExecOutput, TransportError};
use tokio_util::sync::CancellationToken;

const HOSTS: [&str; 3] = ["docker01", "docker02", "docker03"];

/// Parts of a run, each with text that the script of its commands contains.
const GATHER: &str = "skep-";
/// The second reading of a host.
const VERIFY: &str = "(verify)";
const RECORD: &str = "ensure_directory \"${1%/*}\" 0:0 0700";
const RELEASE: &str = "echo released";

/// Returns true if the command belongs to this part.
fn is_of(exec: &Exec, part: &str) -> bool {
    exec.script.contains(part) || exec.arguments.iter().any(|one| one.contains(part))
}

/// A machine that makes skep panic at the commands of one part, if a part is given.
struct Machine {
    name: String,
    panics_at: Option<&'static str>,
    gathered: AtomicUsize,
    log: Arc<Mutex<Vec<String>>>,
}

#[async_trait::async_trait]
impl Connection for Machine {
    async fn exec(&self, exec: Exec) -> Result<ExecOutput, TransportError> {
        for part in ["step-one", "step-two", RECORD, RELEASE] {
            if is_of(&exec, part) {
                self.log
                    .lock()
                    .unwrap()
                    .push(format!("{} {part}", self.name));
            }
        }
        let verifies = is_of(&exec, GATHER) && self.gathered.fetch_add(1, Ordering::SeqCst) == 1;
        assert!(
            !(self.panics_at == Some(VERIFY) && verifies),
            "a wire is loose"
        );
        assert!(
            !self.panics_at.is_some_and(|part| is_of(&exec, part)),
            "a wire is loose"
        );
        let text = if is_of(&exec, "echo acquired") {
            "acquired\n"
        } else {
            ""
        };
        // Without a frame, every query is answered as unreadable; these resources send no query.
        Ok(output(0, text))
    }

    async fn open_docker(&self) -> Result<DockerStream, TransportError> {
        Err(TransportError::NoDocker {
            installed: false,
            why: "there is none".into(),
        })
    }

    async fn close(&self) {}
}

/// The hosts, of which these make skep panic at the commands of one part.
struct Site {
    panics: Vec<(&'static str, &'static str)>,
    log: Arc<Mutex<Vec<String>>>,
}

#[async_trait::async_trait]
impl Connector for Site {
    async fn connect(&self, host: &HostName) -> Result<Arc<dyn Connection>, TransportError> {
        let panics = self.panics.iter().find(|(name, _)| *name == host.as_str());
        assert!(
            panics.is_none_or(|(_, part)| *part != "connect"),
            "a wire is loose"
        );
        Ok(Arc::new(Machine {
            name: host.to_string(),
            panics_at: panics.map(|(_, part)| *part),
            gathered: AtomicUsize::new(0),
            log: self.log.clone(),
        }))
    }
}

struct Yes;

#[async_trait::async_trait]
impl PlanApproval for Yes {
    async fn approve(&self, _: &RunPlan) -> bool {
        true
    }
}

/// Approves every change.
struct Open;

#[async_trait::async_trait]
impl DisruptionForecast for Open {
    async fn forecast(&self, _: &HostName, _: &dyn DockerReader) -> Vec<String> {
        Vec::new()
    }
}

#[async_trait::async_trait]
impl DisruptionGuard for Open {
    async fn before(
        &self,
        _: &HostName,
        _: &Change,
        _: &dyn DockerReader,
    ) -> Result<Vec<String>, Refusal> {
        Ok(Vec::new())
    }
    async fn after(&self, _: &HostName, _: &Change, _: &dyn DockerReader) -> Result<(), Refusal> {
        Ok(())
    }
    async fn owners(
        &self,
        _: &[HostName],
        _: &BTreeSet<String>,
        _: &dyn DockerReader,
    ) -> Vec<HostName> {
        Vec::new()
    }
}

/// Returns two plays of one command each; `first` is added to the first play and its command.
fn plays(play: &str, command: &str) -> String {
    format!(
        "[[plays]]\nname = \"One\"\nhosts = \"all\"\n{play}\nresources = [{{ command = {{ name = \"one\", run = \"step-one\", always = true{command} }} }}]\n\
         [[plays]]\nname = \"Two\"\nhosts = \"all\"\nresources = [{{ command = {{ name = \"two\", run = \"step-two\", always = true }} }}]\n"
    )
}

fn work(plays: &str) -> Arc<ResolvedPlaybook> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name)
    };
    let hosts: String = HOSTS
        .iter()
        .map(|name| format!("[hosts.{name}]\naddress = \"{name}\"\n"))
        .collect();
    let request = RunRequest {
        inventory: InventoryRequest {
            paths: vec![write("inventory.toml", &hosts)],
            extra_vars: Vec::new(),
        },
        playbooks: vec![write("site.toml", plays)],
        options: ResolveOptions::default(),
    };
    let prepared = prepare(&request).unwrap_or_else(|error| panic!("{error}"));
    Arc::new(prepared.resolved)
}

/// Results of a run.
struct Ran {
    summary: RunSummary,
    /// Names of the failed hosts' events.
    told: Vec<String>,
    /// Commands, as `host part`, in order.
    log: Vec<String>,
}

/// Runs `plan` or `apply` on a site.
fn run(panics: &[(&'static str, &'static str)], plays: &str, acts: bool) -> Ran {
    let (events, mut receiver) = EventSender::channel();
    let log: Arc<Mutex<Vec<String>>> = Arc::default();
    let site = Site {
        panics: panics.to_vec(),
        log: log.clone(),
    };
    let work = work(plays);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let summary = runtime.block_on(async {
        let fleet = Arc::new(Fleet::new(Arc::new(site), HOSTS.map(HostName::new), events));
        let stop = CancellationToken::new();
        let summary = if acts {
            let options = RunOptions {
                drain: None,
                unlock_key: None,
                forks: 3,
                lock_wait: std::time::Duration::ZERO,
                owner: LeaseOwner::new("me@here"),
                cluster_check: None,
            };
            apply(&fleet, &work, Arc::new(Open), &Yes, &options, &stop).await
        } else {
            run_read_only(&fleet, &work, 3, None, None, &stop).await
        };
        fleet.close().await;
        summary
    });
    let mut told = Vec::new();
    while let Ok(event) = receiver.try_recv() {
        if let Event::HostFailed { host, .. } = &event {
            let json = serde_json::to_value(&event).unwrap();
            assert_eq!(json["event"], "host_failed");
            assert!(json["why"].as_str().unwrap().contains("a wire is loose"));
            told.push(host.to_string());
        }
    }
    let log = log.lock().unwrap().clone();
    Ran { summary, told, log }
}

fn of<'a>(summary: &'a RunSummary, host: &str) -> &'a HostOutcome {
    &summary.hosts[&HostName::new(host)]
}

fn line<'a>(text: &'a str, host: &str) -> &'a str {
    let line = text.lines().find(|line| line.starts_with(host));
    line.unwrap_or_else(|| panic!("{host} is missing:\n{text}"))
}

/// Checks that the second host, and no other, is a failed host in every report of a run.
fn only_the_second_failed(ran: &Ran, phase: &str) {
    let summary = &ran.summary;
    assert!(
        summary.failed() && !summary.unreachable() && !summary.interrupted,
        "{phase}"
    );
    assert_eq!(ExitStatus::of(summary, true).code(), 1, "{phase}");
    assert_eq!(ran.told, ["docker02"], "{phase}");
    assert!(
        summary.hosts.keys().map(HostName::as_str).eq(HOSTS),
        "{phase}"
    );

    let failure = of(summary, "docker02").failure.clone().unwrap();
    assert!(
        failure
            .why
            .ends_with("internal error of skep on docker02: a wire is loose"),
        "{phase}: {}",
        failure.why
    );
    assert_eq!(
        failure.hint,
        "report this message as a defect of skep, then run again"
    );

    let recap = recap_text(summary, 9);
    assert!(
        line(&recap, "docker02").trim_end().ends_with("failed"),
        "{phase}: {recap}"
    );
    let folded = recap_text(summary, 0);
    assert!(folded.contains("docker02"), "{phase}: {folded}");
    assert!(plan_totals(summary).contains("1 host failed"), "{phase}");
    let text = plan_text(summary, PlanStyle::default());
    assert!(
        text.contains(&format!("failed: {}", failure.why)),
        "{phase}: {text}"
    );
    let json = serde_json::to_value(summary).unwrap();
    assert_eq!(json["hosts"]["docker02"]["failure"]["why"], failure.why);

    for host in ["docker01", "docker03"] {
        assert!(!of(summary, host).failed(), "{phase}: {host}");
        assert!(json["hosts"][host].get("failure").is_none());
    }
}

/// Returns true if a command of this part was sent to the host.
fn did(ran: &Ran, host: &str, part: &str) -> bool {
    ran.log.contains(&format!("{host} {part}"))
}

#[test]
fn panic_in_forecast_fails_host() {
    for part in ["connect", GATHER] {
        for acts in [false, true] {
            let ran = run(&[("docker02", part)], &plays("", ""), acts);
            only_the_second_failed(&ran, part);
            assert!(of(&ran.summary, "docker02").resources.is_empty());
            assert!(
                !ran.log.iter().any(|line| line.starts_with("docker02")),
                "{:?}",
                ran.log
            );
            let expected = if acts {
                Outcome::Changed
            } else {
                Outcome::Differs
            };
            for host in ["docker01", "docker03"] {
                let outcomes = &of(&ran.summary, host).resources;
                assert!(outcomes.iter().all(|one| one.outcome == expected));
                assert_eq!(outcomes.len(), 2);
                assert_eq!(did(&ran, host, RECORD), acts);
            }
        }
    }
}

#[test]
fn panic_in_forecast_is_in_every_report() {
    let ran = run(&[("docker02", GATHER)], &plays("", ""), false);
    let filtered = FilteredRun {
        summary: ran.summary,
        ignored: Vec::new(),
    };
    let about = CheckMetadata {
        started: std::time::UNIX_EPOCH,
        inventory: Vec::new(),
        playbooks: Vec::new(),
        exit_code: 1,
        rules: &IgnoreRules::default(),
        cluster: None,
    };
    let report: CheckReport = assemble(&filtered, &about);
    assert_eq!((report.state, report.totals.failed), (HostState::Failed, 1));
    assert_eq!(report.hosts[1].state, HostState::Failed);
    let why = "internal error of skep on docker02: a wire is loose";
    assert_eq!(report.hosts[1].failure.as_ref().unwrap().why, why);
    let junit = junit_text(&report, &filtered.summary);
    assert!(
        junit.contains(&format!("<error message=\"{why}\"")),
        "{junit}"
    );
    assert!(html_text(&report).unwrap().contains(why));
}

#[test]
fn panic_in_apply_fails_host_and_stops_its_steps() {
    let ran = run(&[("docker02", "step-one")], &plays("", ""), true);
    only_the_second_failed(&ran, "apply");
    let outcomes = &of(&ran.summary, "docker02").resources;
    let reasons: Vec<&Outcome> = outcomes.iter().map(|one| &one.outcome).collect();
    let because = "skep itself failed on the host".to_owned();
    assert_eq!(reasons, [&Outcome::Skipped { because }; 2]);
    assert!(!did(&ran, "docker02", "step-two") && !did(&ran, "docker02", RECORD));
    assert!(did(&ran, "docker02", RELEASE), "its lock is released");
    for host in ["docker01", "docker03"] {
        assert!(did(&ran, host, "step-two") && did(&ran, host, RECORD));
    }
}

#[test]
fn changes_before_panic_in_apply_are_kept() {
    let ran = run(&[("docker02", "step-two")], &plays("", ""), true);
    only_the_second_failed(&ran, "apply");
    let outcomes = &of(&ran.summary, "docker02").resources;
    assert_eq!(outcomes[0].outcome, Outcome::Changed);
    assert!(matches!(outcomes[1].outcome, Outcome::Skipped { .. }));

    // The same holds within one play.
    let both = "[[plays]]\nname = \"One\"\nhosts = \"all\"\nresources = [\n  { command = { name = \"one\", run = \"step-one\", always = true } },\n  \
                { command = { name = \"two\", run = \"step-two\", always = true } },\n]\n";
    let ran = run(&[("docker02", "step-two")], both, true);
    only_the_second_failed(&ran, "apply");
    let outcomes = &of(&ran.summary, "docker02").resources;
    assert_eq!(outcomes[0].outcome, Outcome::Changed);
    assert!(matches!(outcomes[1].outcome, Outcome::Skipped { .. }));
}

#[test]
fn panic_counts_for_max_fail() {
    let plays = plays("serial = 1\nmax_fail = 0", "");
    let ran = run(&[("docker01", "step-one")], &plays, true);
    assert!(of(&ran.summary, "docker01").failure.is_some());
    for host in ["docker02", "docker03"] {
        assert!(
            !did(&ran, host, "step-one") && !did(&ran, host, "step-two"),
            "{:?}",
            ran.log
        );
    }
}

#[test]
fn no_engine_is_disrupted_after_panicked_change() {
    let plays = plays("serial = 1", ", disturbs = \"engine_restart\"");
    let ran = run(&[("docker01", "step-one")], &plays, true);
    assert!(of(&ran.summary, "docker01").failure.is_some());
    for host in ["docker02", "docker03"] {
        assert!(!did(&ran, host, "step-one"), "{:?}", ran.log);
        let outcome = &of(&ran.summary, host).resources[0].outcome;
        let expected = "skipped: docker01 was disrupted and has not come back";
        assert!(
            matches!(outcome, Outcome::Failed { why, .. } if why == expected),
            "{outcome:?}"
        );
    }
}

#[test]
fn panic_at_end_of_apply_fails_host_as_not_verified() {
    let ran = run(&[("docker02", VERIFY)], &plays("", ""), true);
    assert!(ran.told.is_empty(), "the last reading sends no events");
    let ran = Ran {
        told: vec!["docker02".into()],
        ..ran
    };
    only_the_second_failed(&ran, "verify");
    let failure = of(&ran.summary, "docker02").failure.clone().unwrap();
    assert!(failure.why.starts_with("applied, but not verified: "));
    assert!(!did(&ran, "docker02", RECORD) && did(&ran, "docker02", RELEASE));
}

#[test]
fn panic_while_writing_record_fails_host() {
    let ran = run(&[("docker02", RECORD)], &plays("", ""), true);
    only_the_second_failed(&ran, "record");
    for host in HOSTS {
        let outcomes = &of(&ran.summary, host).resources;
        assert!(outcomes.iter().all(|one| one.outcome == Outcome::Changed));
        assert!(
            did(&ran, host, RECORD) && did(&ran, host, RELEASE),
            "{host}"
        );
    }
}

#[test]
fn panic_while_releasing_lock_fails_host() {
    let ran = run(&[("docker02", RELEASE)], &plays("", ""), true);
    only_the_second_failed(&ran, "release");
    for host in HOSTS {
        assert!(did(&ran, host, RELEASE), "{host}");
    }
}

/// Runs in a process of its own, because the panic hook belongs to the process.
#[test]
fn task_panic_is_logged_with_location_and_not_printed() {
    const CHILD: &str = "SKEP_TEST_OF_PANICS";
    if std::env::var_os(CHILD).is_some() {
        keep_panics_off_the_screen();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let results = runtime.block_on(fan_out([()], 1, |()| async {
            panic!("a wire is loose");
        }));
        let why = results[0].as_ref().unwrap_err().to_string();
        assert!(why.contains("(tests/it/panics.rs:"), "{why}");
        let other = std::panic::catch_unwind(|| panic!("outside of a task"));
        return assert!(other.is_err());
    }
    let name = "panics::task_panic_is_logged_with_location_and_not_printed";
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .env_remove("RUST_BACKTRACE")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(
        stderr.contains("outside of a task") && !stderr.contains("a wire is loose"),
        "{stderr}"
    );
}
