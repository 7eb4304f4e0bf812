//! Tests of the guard with lists of answers in place of Engines: changes that it allows, refuses,
//! and waits for.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;
use std::sync::Mutex;

use serde_json::json;

use super::*;
use crate::model::Action;
use crate::model::DockerAnswer;
use crate::swarm::samples::*;

/// Answers by `host path`. Several answers to one query are given in turn; the last one is
/// repeated.
#[derive(Default)]
struct ScriptedDocker(Mutex<HashMap<String, Vec<DockerAnswer>>>);

impl ScriptedDocker {
    fn with(self, name: &str, path: &str, answers: impl IntoIterator<Item = DockerAnswer>) -> Self {
        self.0
            .lock()
            .unwrap()
            .insert(format!("{name} {path}"), answers.into_iter().collect());
        self
    }
}

#[async_trait]
impl DockerReader for ScriptedDocker {
    async fn get(&self, host: &HostName, path: &str) -> DockerAnswer {
        match self.0.lock().unwrap().get_mut(&format!("{host} {path}")) {
            Some(answers) if answers.len() > 1 => answers.remove(0),
            Some(answers) => answers[0].clone(),
            None => DockerAnswer::Absent,
        }
    }

    fn hosts(&self) -> Vec<HostName> {
        ["docker01", "docker02", "docker03"].map(host).into()
    }
}

fn restart() -> Change {
    Change::new(Action::Update).disturbing(Disruption::EngineRestart)
}

fn guard(force: bool) -> SwarmGuard {
    SwarmGuard {
        force,
        patience: Duration::from_millis(60),
        pause: Duration::from_millis(5),
    }
}

fn two(second: &str) -> DockerAnswer {
    good(json!([
        voter(node("n1", "docker01", "10.0.0.1"), true, "reachable"),
        voter(node("n2", "docker02", "10.0.0.2"), false, second)
    ]))
}

fn first() -> DockerAnswer {
    good(manager("docker01", "n1", "10.0.0.1", "c1"))
}

fn second() -> DockerAnswer {
    good(manager("docker02", "n2", "10.0.0.2", "c1"))
}

#[tokio::test]
async fn restart_that_loses_the_majority_is_refused_unless_forced() {
    let engines = || {
        ScriptedDocker::default()
            .with("docker01", "/info", [first()])
            .with("docker01", "/nodes", [two("reachable")])
    };
    let refusal = guard(false)
        .before(&host("docker01"), &restart(), &engines())
        .await
        .unwrap_err();
    assert!(
        refusal.why.contains("below the majority of 2"),
        "{}",
        refusal.why
    );
    let notes = guard(true)
        .before(&host("docker01"), &restart(), &engines())
        .await
        .unwrap();
    assert!(notes[0].contains("force-new-cluster"), "{notes:?}");
    let reload = Change::new(Action::Update).disturbing(Disruption::Reload);
    assert!(
        guard(false)
            .before(&host("docker01"), &reload, &engines())
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn silent_manager_counts_as_lost_before_the_swarm_notices() {
    let three = good(json!([
        voter(node("n1", "docker01", "10.0.0.1"), true, "reachable"),
        voter(node("n2", "docker02", "10.0.0.2"), false, "reachable"),
        voter(node("n3", "docker03", "10.0.0.3"), false, "reachable")
    ]));
    for (third, allowed) in [
        (good(manager("docker03", "n3", "10.0.0.3", "c1")), true),
        (DockerAnswer::Unreachable("no route to host".into()), false),
        (DockerAnswer::Down("stopped".into()), false),
    ] {
        let engines = ScriptedDocker::default()
            .with("docker01", "/info", [first()])
            .with("docker01", "/nodes", [three.clone()])
            .with("docker02", "/info", [second()])
            .with("docker03", "/info", [third]);
        let verdict = guard(false)
            .before(&host("docker01"), &restart(), &engines)
            .await;
        assert_eq!(verdict.is_ok(), allowed, "{verdict:?}");
        if let Err(refusal) = verdict {
            assert!(
                refusal.why.contains("leaves 1 of 3 managers reachable"),
                "{}",
                refusal.why
            );
            assert!(
                refusal.why.contains("docker03 does not answer: "),
                "{}",
                refusal.why
            );
        }
    }
}

#[tokio::test]
async fn workers_and_bare_hosts_may_restart_but_unknown_hosts_may_not() {
    let info = worker("docker03", "n3", "10.0.0.3", ("n1", "10.0.0.1:2377"));
    for (answer, allowed) in [
        (good(info), true),
        (good(inactive("docker03")), true),
        (DockerAnswer::Absent, true),
        (DockerAnswer::Down("stopped".into()), true),
        (DockerAnswer::Unreachable("no route".into()), false),
    ] {
        let engines = ScriptedDocker::default().with("docker03", "/info", [answer.clone()]);
        let verdict = guard(false)
            .before(&host("docker03"), &restart(), &engines)
            .await;
        assert_eq!(verdict.is_ok(), allowed, "{answer:?}");
    }
    // No manager lists the nodes of this manager: the number of other managers is unknown.
    let blind = DockerAnswer::Response {
        status: 503,
        body: json!({"message": "The swarm does not have a leader."}),
    };
    let engines = ScriptedDocker::default()
        .with("docker01", "/info", [first()])
        .with("docker01", "/nodes", [blind]);
    let refusal = guard(false)
        .before(&host("docker01"), &restart(), &engines)
        .await
        .unwrap_err();
    assert!(
        refusal.why.contains("does not have a leader"),
        "{}",
        refusal.why
    );
}

#[tokio::test]
async fn guard_waits_until_the_restarted_manager_is_reachable() {
    let down = DockerAnswer::Down("starting".into());
    let engines = ScriptedDocker::default()
        .with("docker02", "/info", [down.clone(), second()])
        .with("docker02", "/nodes", [two("unreachable"), two("reachable")]);
    guard(false)
        .after(&host("docker02"), &restart(), &engines)
        .await
        .unwrap();

    for (info, nodes, word) in [
        (down, two("reachable"), "starting"),
        (second(), two("unreachable"), "cannot reach it"),
        (second(), good(json!([])), "not listed"),
        (
            second(),
            good(json!([voter(
                node("n2", "docker02", "10.0.0.2"),
                false,
                "reachable"
            )])),
            "no leader",
        ),
    ] {
        let engines = ScriptedDocker::default()
            .with("docker02", "/info", [info])
            .with("docker02", "/nodes", [nodes]);
        let refusal = guard(false)
            .after(&host("docker02"), &restart(), &engines)
            .await
            .unwrap_err();
        assert!(refusal.why.contains(word), "{}", refusal.why);
    }
}

#[tokio::test]
async fn worker_is_back_when_a_manager_reports_ready() {
    let info = worker("docker03", "n3", "10.0.0.3", ("n1", "10.0.0.1:2377"));
    let leader = voter(node("n1", "docker01", "10.0.0.1"), true, "reachable");
    let list = |state: &str| {
        good(json!([
            leader,
            set(node("n3", "docker03", "10.0.0.3"), "/Status/State", state)
        ]))
    };
    let engines = |lists: Vec<DockerAnswer>| {
        ScriptedDocker::default()
            .with("docker03", "/info", [good(info.clone())])
            .with("docker01", "/nodes", lists)
    };
    guard(false)
        .after(
            &host("docker03"),
            &restart(),
            &engines(vec![list("down"), list("ready")]),
        )
        .await
        .unwrap();
    assert!(
        guard(false)
            .after(&host("docker03"), &restart(), &engines(vec![list("down")]))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn guard_waits_for_a_decision_of_the_others_after_a_demotion() {
    let lost = Change::new(Action::Update).disturbing(Disruption::ManagerLoss);
    let one = good(json!([voter(
        node("n1", "docker01", "10.0.0.1"),
        true,
        "reachable"
    )]));
    let engines = ScriptedDocker::default()
        .with("docker01", "/info", [first()])
        .with("docker01", "/nodes", [two("unreachable"), one]);
    guard(false)
        .after(&host("docker02"), &lost, &engines)
        .await
        .unwrap();
    let engines = ScriptedDocker::default()
        .with("docker01", "/info", [first()])
        .with("docker01", "/nodes", [two("unreachable")]);
    assert!(
        guard(false)
            .after(&host("docker02"), &lost, &engines)
            .await
            .is_err()
    );
}
