//! Tests of bound services: their directories, the nodes that may run them, and the queries to the
//! disks of those nodes.
#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::super::super::trial::path_state;
use super::*;
use crate::model::{QueryAnswer, ShellQuery, StackWrite};
use crate::swarm::samples::{good, node, worker};

fn live(labels: &[(&str, &str)], volumes: Vec<DataVolume>) -> LiveStack {
    let nodes = [
        ("n2", "docker02", "192.168.56.12"),
        ("n3", "docker03", "192.168.56.13"),
    ]
    .map(|(id, name, address)| {
        let mut body = node(id, name, address);
        for (_, label) in labels.iter().filter(|(on, _)| *on == id) {
            body["Spec"]["Labels"][*label] = "true".into();
        }
        SwarmNode::read(&body).unwrap()
    });
    LiveStack {
        nodes: nodes.to_vec(),
        volumes,
        ..LiveStack::default()
    }
}

fn preview(constraints: &[&str], mount: Value) -> DeployPreview {
    let body = json!({"Name": "web_db", "TaskTemplate": {"Placement": {"Constraints": constraints}, "ContainerSpec": {"Mounts": [mount]}}});
    DeployPreview {
        writes: vec![StackWrite {
            method: "POST".into(),
            path: "/services/create".into(),
            body,
        }],
        ..DeployPreview::default()
    }
}

fn pinned_preview() -> DeployPreview {
    preview(
        &["node.labels.db == true"],
        json!({"Type": "bind", "Source": "/srv/db/data", "Target": "/data"}),
    )
}

fn volume(node: &str) -> DataVolume {
    let text = |text: &str| text.to_owned();
    DataVolume {
        name: text("db"),
        path: text("/srv/db"),
        node: text(node),
        host: text("docker02"),
        marker: text("mine"),
        ..DataVolume::default()
    }
}

fn hosts() -> InventoryHosts {
    let all = [("docker02", "192.168.56.12"), ("docker03", "192.168.56.13")];
    InventoryHosts {
        all: all
            .map(|(name, address)| (HostName::new(name), address.to_owned()))
            .to_vec(),
        own: "docker01".into(),
    }
}

/// Returns the identities of both hosts, and files of docker02 with their content.
fn answers(files: &[(&str, Option<&str>)]) -> HostAnswers {
    let mut answers = HostAnswers::default();
    for (name, id) in [("docker02", "n2"), ("docker03", "n3")] {
        let info = worker(name, id, "192.168.56.9", ("n1", "192.168.56.11:2377"));
        answers.insert(
            Query::docker_of(HostName::new(name), "/info"),
            Ok(QueryAnswer::Engine(good(info))),
        );
    }
    for (path, content) in files {
        let state = content.map(|content| PathState {
            content: Some(content.into()),
            ..path_state(PathType::File, 0o644)
        });
        answers.insert(
            ShellQuery::content(*path).at(&HostName::new("docker02")),
            Ok(QueryAnswer::Path(state)),
        );
    }
    answers
}

#[test]
fn node_with_the_label_but_without_the_volume_is_refused() {
    let one = live(&[("n2", "db")], vec![volume("n2")]);
    assert!(check_labels(&one, &pinned_preview()).is_ok());
    let both = live(&[("n2", "db"), ("n3", "db")], vec![volume("n2")]);
    let refusal = check_labels(&both, &pinned_preview()).unwrap_err();
    assert!(
        refusal.why.contains("may start on docker03") && refusal.why.contains("db is on docker02"),
        "{}",
        refusal.why
    );
    // A service that another constraint keeps off the node, or that is not bound to this volume, is
    // allowed.
    for other in [
        preview(
            &["node.labels.db==true", "node.hostname != docker03"],
            json!({"Type": "bind", "Source": "/srv/db"}),
        ),
        preview(
            &["node.labels.db==true"],
            json!({"Type": "bind", "Source": "/srv/other"}),
        ),
        preview(
            &["node.labels.db==true"],
            json!({"Type": "volume", "Source": "/srv/db"}),
        ),
        preview(
            &["node.role==worker"],
            json!({"Type": "bind", "Source": "/srv/db"}),
        ),
    ] {
        assert!(check_labels(&both, &other).is_ok());
    }
}

#[test]
fn volume_is_checked_on_its_node() {
    let live = live(&[("n2", "db")], vec![volume("n2")]);
    let needs = look(&live, &pinned_preview(), &hosts(), &HostAnswers::default()).unwrap_err();
    assert_eq!(
        needs,
        [Query::docker_of(HostName::new("docker02"), "/info")],
        "the identity of the host is queried first"
    );
    assert_eq!(
        look(&live, &pinned_preview(), &hosts(), &answers(&[]))
            .unwrap_err()
            .len(),
        2
    );
    let (marker, data) = ("/srv/db/.skep-volume", "/srv/db/data");
    for (files, expected) in [
        ([(marker, Some("mine")), (data, Some(""))], ""),
        (
            [(marker, None), (data, Some(""))],
            "/srv/db/.skep-volume is not on docker02",
        ),
        (
            [(marker, Some("mine")), (data, None)],
            "/srv/db/data is not on docker02",
        ),
        (
            [
                (marker, Some("cluster = \"c9\"\nvolume = \"x\"")),
                (data, Some("")),
            ],
            "holds the volume x of the cluster c9",
        ),
    ] {
        let findings = look(&live, &pinned_preview(), &hosts(), &answers(&files)).unwrap();
        let said = format!("{findings:?}");
        assert!(
            if expected.is_empty() {
                findings.is_empty()
            } else {
                said.contains(expected)
            },
            "{expected}: {said}"
        );
    }
}

#[test]
fn node_without_a_matching_host_is_reported() {
    let live = live(&[("n2", "db")], vec![volume("n2")]);
    let mut twin = answers(&[]);
    let info = worker(
        "docker02",
        "n7",
        "192.168.56.12",
        ("n1", "192.168.56.11:2377"),
    );
    twin.insert(
        Query::docker_of(HostName::new("docker02"), "/info"),
        Ok(QueryAnswer::Engine(good(info))),
    );
    let findings = look(&live, &pinned_preview(), &hosts(), &twin).unwrap();
    assert!(
        format!("{findings:?}").contains("no host of the inventory matches the node docker02 (n2)"),
        "{findings:?}"
    );
    let away = DockerAnswer::Unreachable("no route".into());
    twin.insert(
        Query::docker_of(HostName::new("docker02"), "/info"),
        Ok(QueryAnswer::Engine(away)),
    );
    let findings = look(&live, &pinned_preview(), &hosts(), &twin).unwrap();
    assert!(
        matches!(&findings[..], [VolumeFinding::Blocked(why)] if why.contains("docker02 cannot be read: no route")),
        "{findings:?}"
    );
}

#[test]
fn undeclared_directories_must_exist_on_a_node() {
    let live = live(&[("n2", "db")], Vec::new());
    let missing = look(
        &live,
        &pinned_preview(),
        &hosts(),
        &answers(&[("/srv/db/data", None)]),
    )
    .unwrap();
    assert_eq!(
        missing,
        [VolumeFinding::Blocked(
            "web_db mounts /srv/db/data, which is not on docker02".into()
        )]
    );
    let there = look(
        &live,
        &pinned_preview(),
        &hosts(),
        &answers(&[("/srv/db/data", Some(""))]),
    )
    .unwrap();
    assert!(
        matches!(&there[..], [VolumeFinding::Note(note)] if note.contains("no label declares it")),
        "{there:?}"
    );
    // If the Engine would create the directory, no query is sent. If no node has the label, no
    // service is deployed.
    let made =
        json!({"Type": "bind", "Source": "/srv/db", "BindOptions": {"CreateMountpoint": true}});
    assert!(
        look(
            &live,
            &preview(&["node.labels.db==true"], made),
            &hosts(),
            &HostAnswers::default()
        )
        .unwrap()
        .is_empty()
    );
    let nowhere = self::live(&[], Vec::new());
    let findings = look(
        &nowhere,
        &pinned_preview(),
        &hosts(),
        &HostAnswers::default(),
    )
    .unwrap();
    assert_eq!(
        findings,
        [VolumeFinding::Blocked(
            "no node has the label of web_db (db) to which /srv/db/data is bound".into()
        )]
    );
}

#[test]
fn constraints_are_parsed_like_the_swarm_does() {
    let body = node("n2", "docker02", "192.168.56.12");
    let mut node = SwarmNode::read(&body).unwrap();
    node.labels.insert("tier".into(), "DB".into());
    for (text, expected) in [
        ("node.labels.tier==db", true),
        ("node.labels.tier != db", false),
        ("node.labels.none!=x", true),
        ("node.labels.none==x", false),
        ("node.role == worker", true),
        ("node.id==n2", true),
        ("node.platform.os==linux", true),
    ] {
        assert_eq!(
            PlacementConstraint::read(text).unwrap().allows(&node),
            expected,
            "{text}"
        );
    }
    assert!(PlacementConstraint::read("nonsense").is_none());
}
