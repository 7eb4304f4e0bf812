//! Tests of the cluster drift: a healthy cluster has none, and each fault has a field.
#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use crate::swarm::DockerInfo;
use crate::swarm::samples::{host, inactive, manager, node, voter, worker};

const NOW: i64 = 1_000_000;
const DAY: i64 = 86_400;

type ClusterFixture = (BTreeMap<HostName, MemberObservation>, Vec<SwarmNode>);

fn sighting(info: &serde_json::Value) -> MemberObservation {
    let certificate = Some(CertificateValidity {
        from: NOW - 10 * DAY,
        until: NOW + 80 * DAY,
    });
    let engine = DockerStatus::Answered(DockerInfo::read(info));
    MemberObservation {
        engine,
        certificate,
        certificate_is_old: false,
        says_availability: false,
    }
}

fn healthy() -> ClusterFixture {
    let members = BTreeMap::from([
        (
            host("docker01"),
            sighting(&manager("docker01", "n1", "10.0.0.1", "c1")),
        ),
        (
            host("docker02"),
            sighting(&worker(
                "docker02",
                "n2",
                "10.0.0.2",
                ("n1", "10.0.0.1:2377"),
            )),
        ),
    ]);
    let nodes = json!([
        voter(node("n1", "docker01", "10.0.0.1"), true, "reachable"),
        node("n2", "docker02", "10.0.0.2")
    ]);
    (members, SwarmNode::list(&nodes).unwrap())
}

fn lines((members, nodes): &ClusterFixture, everything: bool) -> Vec<String> {
    let word = |shown: &DisplayValue| match shown {
        DisplayValue::Text(text) => text.clone(),
        other => format!("{other:?}"),
    };
    let fields = cluster_drift(members, nodes, everything, NOW).fields;
    fields
        .iter()
        .map(|field| {
            format!(
                "{}: {} -> {}",
                field.field,
                word(&field.before),
                word(&field.after)
            )
        })
        .collect()
}

#[test]
fn healthy_cluster_has_no_drift() {
    assert_eq!(lines(&healthy(), true), Vec::<String>::new());
}

#[test]
fn each_fault_is_reported_as_a_field() {
    type Spoil<'a> = &'a dyn Fn(&mut ClusterFixture);
    let second = |standing: &str| {
        SwarmNode::read(&voter(node("n2", "docker02", "10.0.0.2"), false, standing)).unwrap()
    };
    let cases: [(Spoil<'_>, &[&str]); 10] = [
        (
            &|(_, nodes)| nodes[1].state = "down".into(),
            &["state of docker02: down -> ready"],
        ),
        (
            &|(_, nodes)| nodes[1].availability = "drain".into(),
            &["availability of docker02: drain -> active"],
        ),
        (
            &|(_, nodes)| nodes[1] = second("reachable"),
            &["managers: 2 -> an odd number"],
        ),
        (
            &|(_, nodes)| nodes[1] = second("unreachable"),
            &[
                "manager docker02: unreachable -> reachable",
                "managers: 2 -> an odd number",
            ],
        ),
        (
            &|(_, nodes)| nodes[0].manager.as_mut().unwrap().leader = false,
            &["leader: Absent -> one of the managers"],
        ),
        (
            &|(_, nodes)| nodes[1].engine_version = "27.0.1".into(),
            &["Engine versions: 20.10.24 (docker01), 27.0.1 (docker02) -> one version"],
        ),
        (
            &|(_, nodes)| nodes.push(SwarmNode::read(&node("n9", "docker02", "10.0.0.2")).unwrap()),
            &["node docker02 (n9): ready, and not in the inventory -> Absent"],
        ),
        (
            &|(members, _)| {
                members
                    .get_mut(&host("docker02"))
                    .unwrap()
                    .certificate
                    .as_mut()
                    .unwrap()
                    .until = NOW + DAY + 3601;
            },
            &["certificate of docker02: ends in 25 hours -> renewed by the node"],
        ),
        (
            &|(members, _)| {
                let off = members.get_mut(&host("docker02")).unwrap();
                off.certificate = Some(CertificateValidity {
                    from: NOW - 85 * DAY,
                    until: NOW + 3700,
                });
                off.certificate_is_old = true;
            },
            &[
                "certificate of docker02: ends in 1 hour, as last read; the node does not answer -> renewed by the node",
            ],
        ),
        (
            &|(members, _)| {
                members
                    .get_mut(&host("docker01"))
                    .unwrap()
                    .certificate
                    .as_mut()
                    .unwrap()
                    .until = NOW - 7300;
            },
            &["certificate of docker01: ended 2 hours ago -> renewed by the node"],
        ),
    ];
    for (spoil, expected) in cases {
        let mut cluster = healthy();
        spoil(&mut cluster);
        assert_eq!(lines(&cluster, true), expected);
    }
}

#[test]
fn unread_hosts_are_not_reported_as_foreign_nodes() {
    let mut cluster = healthy();
    cluster
        .1
        .push(SwarmNode::read(&node("n9", "docker09", "10.0.0.9")).unwrap());
    assert_eq!(
        lines(&cluster, false),
        Vec::<String>::new(),
        "a limited check"
    );
    cluster
        .0
        .insert(host("docker03"), sighting(&inactive("docker03")));
    assert_eq!(lines(&cluster, true).len(), 1);
    cluster.0.get_mut(&host("docker03")).unwrap().engine =
        DockerStatus::Unreachable("no route".into());
    assert_eq!(
        lines(&cluster, true),
        Vec::<String>::new(),
        "it may be the host that could not be read"
    );
}

#[test]
fn availability_declared_by_the_playbook_is_left_to_its_resource() {
    let mut cluster = healthy();
    cluster.1[1].availability = "drain".into();
    cluster
        .0
        .get_mut(&host("docker02"))
        .unwrap()
        .says_availability = true;
    assert_eq!(lines(&cluster, true), Vec::<String>::new());
}

#[test]
fn certificate_is_reported_only_when_its_renewal_is_overdue() {
    let mut cluster = healthy();
    let mut at = |left: i64| {
        cluster.0.get_mut(&host("docker01")).unwrap().certificate = Some(CertificateValidity {
            from: NOW + left - 100 * DAY,
            until: NOW + left,
        });
        lines(&cluster, true).len()
    };
    assert_eq!((at(20 * DAY), at(16 * DAY), at(14 * DAY)), (0, 0, 1));
}

#[test]
fn clock_difference_is_reported_with_a_fix() {
    let clock = |seconds: i64| {
        let mut cluster = healthy();
        let mut info = cluster.0[&host("docker02")].engine.info().unwrap().clone();
        info.system_time = Some(NOW + seconds);
        cluster.0.get_mut(&host("docker02")).unwrap().engine = DockerStatus::Answered(info);
        cluster
    };
    assert_eq!(lines(&clock(250), true), Vec::<String>::new());
    assert_eq!(
        lines(&clock(-7300), true),
        ["clock of docker02: 2 hours behind this machine's -> the same time"]
    );
    assert_eq!(
        lines(&clock(400), true),
        ["clock of docker02: 6 minutes ahead of this machine's -> the same time"]
    );
    let mended = |(members, nodes): &ClusterFixture| {
        cluster_drift(members, nodes, true, NOW).remedies.join("\n")
    };
    assert!(
        mended(&clock(-7300)).contains("on docker02: `sudo systemctl restart systemd-timesyncd`")
    );
    assert_eq!(mended(&healthy()), "");
    let mut away = healthy();
    away.0.get_mut(&host("docker02")).unwrap().certificate = Some(CertificateValidity {
        from: NOW - 100 * DAY,
        until: NOW - 10 * DAY,
    });
    assert!(
        mended(&away)
            .contains("docker02 was away for longer than its certificate lives: `skep apply`")
    );
}
