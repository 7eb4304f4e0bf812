//! Tests of the plans of `package` for hosts in each state, as tables of answers.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::super::trial;
use super::*;
use crate::model::{
    Action, AptSimulation, Disruption, DockerAnswer, Operation, QueryAnswer, ShellQuery, UnitState,
};

fn installed(version: &str) -> PackageState {
    PackageState {
        installed: Some(version.into()),
        ..PackageState::default()
    }
}

fn held(version: &str) -> PackageState {
    PackageState {
        held: true,
        ..installed(version)
    }
}

fn host(packages: &[(&str, PackageState)]) -> HostAnswers {
    let sound = HostAnswers::default()
        .with(
            Query::Shell(ShellQuery::DpkgAudit),
            QueryAnswer::DpkgAudit(Vec::new()),
        )
        .with(Query::content(hold::RECORD), QueryAnswer::Path(None))
        .with(
            Query::Shell(ShellQuery::Unit(SNAP_UNIT.into())),
            QueryAnswer::Unit(UnitState::default()),
        );
    let sound = restart_queries()
        .into_iter()
        .fold(sound, |answers, query| match query {
            Query::Docker(_) => answers.with(query, QueryAnswer::Engine(DockerAnswer::Absent)),
            path => answers.with(path, QueryAnswer::Path(None)),
        });
    packages.iter().fold(sound, |answers, (name, state)| {
        answers.with(
            Query::Shell(ShellQuery::Package((*name).into())),
            QueryAnswer::Package(state.clone()),
        )
    })
}

fn versions(name: &str, versions: &[&str]) -> (Query, QueryAnswer) {
    let versions = versions
        .iter()
        .map(|version| (*version).to_owned())
        .collect();
    (
        Query::Shell(ShellQuery::PackageVersions(name.into())),
        QueryAnswer::PackageVersions(versions),
    )
}

fn simulation(arguments: &[&str], simulation: AptSimulation) -> (Query, QueryAnswer) {
    let arguments = arguments
        .iter()
        .map(|argument| (*argument).to_owned())
        .collect();
    (
        Query::Shell(ShellQuery::AptSimulation { arguments }),
        QueryAnswer::AptSimulation(simulation),
    )
}

fn with(answers: HostAnswers, (query, answer): (Query, QueryAnswer)) -> HostAnswers {
    answers.with(query, answer)
}

fn install(name: &str, from: Option<&str>, to: &str) -> AptAction {
    AptAction::Install {
        name: name.into(),
        from: from.map(Into::into),
        to: to.into(),
    }
}

fn remove(name: &str, from: &str) -> AptAction {
    AptAction::Remove {
        name: name.into(),
        from: from.into(),
    }
}

fn install_arguments(change: &Change) -> Vec<String> {
    let install = change
        .steps
        .iter()
        .position(|step| step.summary.contains("install") || step.summary.contains("remove"));
    trial::arguments(change)[install.unwrap()].clone()
}

const ABSENT: fn() -> PackageState = PackageState::default;

#[test]
fn missing_package_is_planned_from_the_simulation() {
    let jq: PackageResource = trial::kind("name = 'jq'\ninstall_recommends = false");
    let bare = host(&[("jq", ABSENT())]);
    let (asked, answer) = simulation(
        &["--no-install-recommends", "jq"],
        AptSimulation::Actions(vec![
            install("libjq1", None, "1.6-2"),
            install("jq", None, "1.6-2"),
        ]),
    );
    assert_eq!(trial::needs(&jq, &bare), std::slice::from_ref(&asked));
    let change = trial::plan(&jq, &bare.with(asked, answer)).unwrap();
    assert_eq!(
        (change.action, change.disturbs),
        (Action::Create, Disruption::Nothing)
    );
    assert_eq!(
        trial::fields(&change),
        ["libjq1 (dependency): - => 1.6-2", "jq: - => 1.6-2"]
    );
    assert_eq!(
        install_arguments(&change),
        ["-", "--no-install-recommends", "jq"]
    );
    assert!(trial::plan(&jq, &host(&[("jq", installed("1.6-2"))])).is_none());
}

#[test]
fn plan_on_a_bare_host_is_complete_without_package_lists() {
    let set: PackageResource = trial::kind(
        "names = ['docker-ce', 'containerd.io']\nversion = { docker-ce = '28.*' }\nhold = true",
    );
    let bare = with(
        host(&[("docker-ce", ABSENT()), ("containerd.io", ABSENT())]),
        versions("docker-ce", &[]),
    );
    let change = trial::plan(&set, &bare).unwrap();
    assert_eq!(
        trial::fields(&change),
        [
            "docker-ce: - => ?",
            "containerd.io: - => ?",
            "hold docker-ce: no => yes",
            "hold containerd.io: no => yes"
        ]
    );
    assert_eq!(
        trial::arguments(&change),
        [
            vec![
                "update",
                "--allow-change-held-packages",
                "docker-ce?28.*",
                "containerd.io"
            ],
            vec![
                "hold",
                hold::RECORD,
                "docker-ce containerd.io",
                "docker-ce containerd.io"
            ]
        ]
    );
    assert!(
        change.notes[0].contains("no version of docker-ce"),
        "{:?}",
        change.notes
    );

    let plain: PackageResource = trial::kind("name = 'docker-ce'");
    let words = AptSimulation::Impossible(vec!["E: Unable to locate package docker-ce".into()]);
    let bare = with(
        host(&[("docker-ce", ABSENT())]),
        simulation(&["docker-ce"], words),
    );
    let change = trial::plan(&plain, &bare).unwrap();
    assert_eq!(
        (trial::fields(&change), install_arguments(&change)),
        (
            vec!["docker-ce: - => ?".into()],
            vec!["update".into(), "docker-ce".into()]
        )
    );
    assert!(change.notes[0].contains("Unable to locate package docker-ce"));
}

#[test]
fn pattern_selects_the_highest_version_and_an_upgrade_restarts_docker() {
    let docker: PackageResource = trial::kind("name = 'docker-ce'\nversion = '28.*'\nhold = true");
    let old = host(&[("docker-ce", held("5:27.5.1-1~u"))]);
    assert_eq!(
        trial::needs(&docker, &old),
        [Query::Shell(ShellQuery::PackageVersions(
            "docker-ce".into()
        ))]
    );
    let known = with(
        old,
        versions(
            "docker-ce",
            &["5:29.0.0-1~u", "5:28.3.1-1~u", "5:28.0.0-1~u"],
        ),
    );
    let (asked, answer) = simulation(
        &["--allow-change-held-packages", "docker-ce=5:28.3.1-1~u"],
        AptSimulation::Actions(vec![install(
            "docker-ce",
            Some("5:27.5.1-1~u"),
            "5:28.3.1-1~u",
        )]),
    );
    assert_eq!(trial::needs(&docker, &known), std::slice::from_ref(&asked));
    let change = trial::plan(&docker, &known.with(asked, answer)).unwrap();
    assert_eq!(
        (change.action, change.disturbs),
        (Action::Update, Disruption::EngineRestart)
    );
    assert_eq!(
        trial::fields(&change),
        ["docker-ce: 5:27.5.1-1~u => 5:28.3.1-1~u"]
    );
    assert_eq!(change.steps.len(), 2, "and it is held again");
    assert!(trial::plan(&docker, &host(&[("docker-ce", held("5:28.0.0-1~u"))])).is_none());
}

#[test]
fn downgrade_is_refused_unless_allowed() {
    let table = "name = 'docker-ce'\nversion = '28.3.1'";
    let newer = with(
        host(&[("docker-ce", installed("5:29.0.0-1~u"))]),
        versions("docker-ce", &["5:29.0.0-1~u", "5:28.3.1-1~u"]),
    );
    let actions = AptSimulation::Actions(vec![install(
        "docker-ce",
        Some("5:29.0.0-1~u"),
        "5:28.3.1-1~u",
    )]);
    let simulated = with(
        newer.clone(),
        simulation(&["docker-ce=5:28.3.1-1~u"], actions.clone()),
    );
    assert!(
        trial::refusal(&trial::kind::<PackageResource>(table), &simulated)
            .hint
            .contains("allow_downgrade")
    );
    let allowed: PackageResource = trial::kind(&format!("{table}\nallow_downgrade = true"));
    let simulated = with(
        newer,
        simulation(&["--allow-downgrades", "docker-ce=5:28.3.1-1~u"], actions),
    );
    assert!(trial::plan(&allowed, &simulated).is_some());
}

#[test]
fn only_conflicting_packages_are_removed_in_the_same_transaction() {
    let docker: PackageResource =
        trial::kind("name = 'docker-ce'\nconflicts = ['docker.io', 'docker-doc']");
    let distribution = host(&[
        ("docker-ce", ABSENT()),
        ("docker.io", installed("26.1")),
        ("docker-doc", ABSENT()),
    ]);
    let arguments = ["docker-ce", "docker.io-"];
    let actions = vec![
        remove("docker.io", "26.1"),
        install("docker-ce", None, "5:28"),
    ];
    let answers = with(
        distribution.clone(),
        simulation(&arguments, AptSimulation::Actions(actions.clone())),
    );
    let change = trial::plan(&docker, &answers).unwrap();
    assert_eq!(
        trial::fields(&change),
        ["docker.io: 26.1 => -", "docker-ce: - => 5:28"]
    );
    assert_eq!(
        (change.disturbs, install_arguments(&change)),
        (
            Disruption::EngineRestart,
            vec!["-".into(), "docker-ce".into(), "docker.io-".into()]
        )
    );

    let more = [actions, vec![remove("precious", "1")]].concat();
    let answers = with(
        distribution,
        simulation(&arguments, AptSimulation::Actions(more)),
    );
    assert!(trial::refusal(&docker, &answers).hint.contains("precious"));

    // A conflicting package that returns later is drift, although the wanted package is installed.
    let both = host(&[
        ("docker-ce", installed("5:28")),
        ("docker.io", installed("26.1")),
        ("docker-doc", ABSENT()),
    ]);
    let both = with(
        both,
        simulation(
            &["docker.io-"],
            AptSimulation::Actions(vec![remove("docker.io", "26.1")]),
        ),
    );
    assert_eq!(
        trial::fields(&trial::plan(&docker, &both).unwrap()),
        ["docker.io: 26.1 => -"]
    );
}

#[test]
fn holds_are_set_released_and_respected() {
    let hold_field =
        |line: &str| trial::kind::<PackageResource>(&format!("names = ['aa', 'bb']\n{line}"));
    let mixed = host(&[("aa", held("1")), ("bb", installed("1"))]);
    let change = trial::plan(&hold_field("hold = true"), &mixed).unwrap();
    assert_eq!(
        (trial::fields(&change), trial::arguments(&change)),
        (
            vec!["hold bb: no => yes".into()],
            // The hold of `aa` is that of somebody else.
            vec![vec![
                "hold".into(),
                hold::RECORD.into(),
                "bb".into(),
                "bb".into()
            ]]
        )
    );
    let record = (Query::content(hold::RECORD), trial::file_answer("aa\nzz\n"));
    let own = with(mixed.clone(), record);
    // skep releases its own holds, and those of others only on request.
    assert!(trial::plan(&hold_field("hold = false"), &mixed).is_none());
    for (field, answers) in [("hold = false", &own), ("hold = 'release'", &mixed)] {
        let change = trial::plan(&hold_field(field), answers).unwrap();
        assert_eq!(
            (trial::fields(&change), trial::arguments(&change)),
            (
                vec!["hold aa: yes => no".into()],
                vec![vec![
                    "unhold".into(),
                    hold::RECORD.into(),
                    "aa".into(),
                    "aa".into()
                ]]
            )
        );
    }
    assert!(trial::plan(&hold_field(""), &mixed).is_none());

    for (field, options) in [
        ("", &["aa=2"][..]),
        ("hold = false", &["--allow-change-held-packages", "aa=2"]),
    ] {
        let pinned: PackageResource = trial::kind(&format!("name = 'aa'\nversion = '2'\n{field}"));
        let answers = with(host(&[("aa", held("1"))]), versions("aa", &["2"]));
        let answers = with(
            answers,
            simulation(
                options,
                AptSimulation::Actions(vec![install("aa", Some("1"), "2")]),
            ),
        );
        let refusal = trial::refusal(&pinned, &answers);
        assert!(refusal.why.contains("on hold"), "{}", refusal.why);
        assert!(refusal.hint.contains("\"release\""), "{}", refusal.hint);
    }
}

#[test]
fn interrupted_dpkg_is_repaired_first_even_if_all_is_installed() {
    let jq: PackageResource = trial::kind("name = 'jq'");
    let audited = |lines: &[&str]| {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        host(&[("jq", installed("1"))]).with(
            Query::Shell(ShellQuery::DpkgAudit),
            QueryAnswer::DpkgAudit(lines),
        )
    };
    let interrupted = audited(&[
        "docker-ce is half-configured",
        "dpkg was interrupted: updates are pending",
    ]);
    let change = trial::plan(&jq, &interrupted).unwrap();
    assert_eq!(trial::fields(&change), ["dpkg: interrupted => repaired"]);
    assert_eq!(
        (change.steps.len(), change.disturbs),
        (1, Disruption::EngineRestart)
    );
    assert!(trial::scripts(&change)[0].contains("dpkg --configure -a"));
    // Packages of others are no reason for a change on a host that needs none.
    let others = audited(&[
        "The following packages are only half configured",
        " grub-pc",
    ]);
    assert!(trial::plan(&jq, &others).is_none());
    // Another program is at work, and apply waits for it.
    let busy = audited(&[
        "Another process has locked the database for writing, and might currently be",
        "modifying it, some of the following problems might just be due to that.",
        "dpkg was interrupted: updates are pending",
    ]);
    assert!(trial::plan(&jq, &busy).is_none());

    let half = PackageState {
        broken: Some("half-configured".into()),
        ..ABSENT()
    };
    let answers = with(
        host(&[("jq", half)]),
        simulation(&["jq"], AptSimulation::Actions(Vec::new())),
    );
    let change = trial::plan(&jq, &answers).unwrap();
    assert_eq!(
        trial::fields(&change),
        [
            "dpkg: interrupted => repaired",
            "jq: (half-configured) => ?"
        ]
    );
    assert_eq!(change.steps.len(), 2);
    let leftover = PackageState {
        broken: Some("config-files".into()),
        ..ABSENT()
    };
    let absent: PackageResource = trial::kind("name = 'jq'\nstate = 'absent'");
    assert!(trial::plan(&absent, &host(&[("jq", leftover)])).is_none());
}

#[test]
fn engine_of_a_snap_is_refused() {
    let docker: PackageResource = trial::kind("name = 'docker-ce'");
    let unit = |state: &str| {
        let properties = [("LoadState".to_owned(), state.to_owned())].into();
        QueryAnswer::Unit(UnitState { properties })
    };
    let query = Query::Shell(ShellQuery::Unit(SNAP_UNIT.into()));
    let there = host(&[("docker-ce", installed("5:28"))]);
    let refusal = trial::refusal(&docker, &there.clone().with(query.clone(), unit("loaded")));
    assert!(refusal.why.contains("snap"), "{}", refusal.why);
    assert!(trial::plan(&docker, &there.with(query, unit("not-found"))).is_none());
}

#[test]
fn upgrade_that_the_engine_would_not_survive_does_nothing() {
    let docker: PackageResource = trial::kind("name = 'docker-ce'\nversion = '29'");
    let node = DockerAnswer::Response {
        status: 200,
        body: serde_json::json!({"Swarm": {"LocalNodeState": "active"}}),
    };
    let answers = host(&[("docker-ce", installed("28"))])
        .with(Query::docker("/info"), QueryAnswer::Engine(node))
        .with(
            Query::content("/etc/docker/daemon.json"),
            trial::file_answer(r#"{"live-restore": true}"#),
        );
    let answers = with(answers, versions("docker-ce", &["29"]));
    let answers = with(
        answers,
        simulation(
            &["docker-ce=29"],
            AptSimulation::Actions(vec![install("docker-ce", Some("28"), "29")]),
        ),
    );
    let change = trial::plan(&docker, &answers).unwrap();
    assert_eq!(change.disturbs, Disruption::EngineRestart);
    assert_eq!(change.steps.len(), 1);
    let Operation::Blocked { why, .. } = &change.steps[0].act else {
        panic!("{:?}", change.steps)
    };
    assert!(why.contains("live-restore = true"), "{why}");
}

#[test]
fn absent_packages_are_removed() {
    let gone: PackageResource = trial::kind("name = 'jq'\nstate = 'absent'");
    assert!(trial::plan(&gone, &host(&[("jq", ABSENT())])).is_none());
    let there = host(&[("jq", installed("1"))]);
    let answers = with(
        there.clone(),
        simulation(&["jq-"], AptSimulation::Actions(vec![remove("jq", "1")])),
    );
    let change = trial::plan(&gone, &answers).unwrap();
    assert_eq!(
        (change.action, trial::fields(&change)),
        (Action::Delete, vec!["jq: 1 => -".into()])
    );
    let dependents = vec![remove("jq", "1"), remove("yq", "2")];
    let answers = with(
        there,
        simulation(&["jq-"], AptSimulation::Actions(dependents)),
    );
    assert!(trial::refusal(&gone, &answers).hint.contains("`names`"));
}

#[test]
fn failed_probe_is_never_in_sync() {
    let jq: PackageResource = trial::kind("name = 'jq'");
    let mut answers = host(&[]);
    let failed = ProbeError::Failed {
        what: "packages".into(),
        why: "dpkg-query: not found".into(),
    };
    answers.insert(Query::Shell(ShellQuery::Package("jq".into())), Err(failed));
    assert!(ResourceKind::observe(&jq, &answers).is_err());
}

#[test]
fn invalid_tables_are_refused() {
    for table in [
        "version = '1'",
        "name = 'jq'\nnames = ['curl']",
        "names = []",
        "name = '-y'",
        "name = 'j'",
        "name = 'jq-'",
        "name = 'jq=1.6'",
        "name = '$(id)'",
        "name = \"jq\\ncurl\"",
        "name = 'Jq'",
        "name = 'jq'\nversion = '1; reboot'",
        "name = 'jq'\nversion = 28",
        "name = 'jq'\nversion = { curl = '8' }",
        "name = 'jq'\nconflicts = ['jq']",
        "name = 'jq'\nstate = 'absent'\nhold = true",
        "name = 'jq'\nhold = 'yes'",
        "name = 'jq'\nlatest = true",
    ] {
        trial::invalid::<PackageResource>(table);
    }
}
