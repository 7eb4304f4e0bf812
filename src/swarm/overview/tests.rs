//! Tests of the overview: its rows, and the problems that it reports.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::json;

use super::*;
use crate::swarm::DockerInfo;
use crate::swarm::samples::*;

fn answered(body: &Value) -> DockerStatus {
    DockerStatus::Answered(DockerInfo::read(body))
}

fn healthy() -> (Vec<(HostName, DockerStatus)>, Vec<SwarmNode>) {
    let engines = vec![
        (
            host("docker01"),
            answered(&manager("docker01", "n1", "10.0.0.1", "c1")),
        ),
        (
            host("docker02"),
            answered(&worker(
                "docker02",
                "n2",
                "10.0.0.2",
                ("n1", "10.0.0.1:2377"),
            )),
        ),
    ];
    let nodes = json!([
        voter(node("n1", "docker01", "10.0.0.1"), true, "reachable"),
        node("n2", "docker02", "10.0.0.2")
    ]);
    (engines, SwarmNode::list(&nodes).unwrap())
}

#[test]
fn healthy_cluster_has_no_problems() {
    let (engines, nodes) = healthy();
    let page = overview(&engines, Some(&nodes), None);
    assert_eq!(page.problems, Vec::<String>::new());
    assert_eq!(page.managers, (1, 1));
    assert_eq!(page.rows.len(), 2);
    assert!(page.rows[0].leader && !page.rows[1].leader);
    assert_eq!(
        (page.rows[1].role.as_str(), page.rows[1].address.as_str()),
        ("worker", "10.0.0.2")
    );
}

#[test]
fn each_fault_is_reported_as_a_problem() {
    let ghost = SwarmNode::read(&set(
        node("n9", "docker02", "10.0.0.2"),
        "/Status/State",
        "down",
    ))
    .unwrap();
    let second = SwarmNode::read(&voter(
        node("n2", "docker02", "10.0.0.2"),
        false,
        "unreachable",
    ))
    .unwrap();
    type Spoil<'a> = &'a dyn Fn(&mut Vec<(HostName, DockerStatus)>, &mut Vec<SwarmNode>);
    let cases: [(Spoil<'_>, &str); 8] = [
        (&|_, nodes| nodes.push(ghost.clone()), "a ghost"),
        (
            &|_, nodes| nodes[1] = second.clone(),
            "an even number of managers (2)",
        ),
        (
            &|_, nodes| nodes[1].state = "down".into(),
            "(docker02) is down",
        ),
        (
            &|engines, _| engines[1].1 = answered(&inactive("docker02")),
            "docker02 is not in a swarm",
        ),
        (
            &|engines, _| engines[1].1 = DockerStatus::Unreachable("no route".into()),
            "docker02 is unreachable: no route",
        ),
        (
            &|engines, _| engines[1].1 = DockerStatus::Absent,
            "docker02 has no Engine",
        ),
        (
            &|engines, _| engines[1].1 = answered(&manager("docker02", "x", "10.0.0.2", "c9")),
            "different swarms: c1, c9",
        ),
        (
            &|engines, _| {
                engines[1].1 = answered(&set(
                    worker("docker02", "n2", "10.0.0.2", ("n1", "")),
                    "/ServerVersion",
                    "28.1.0",
                ));
            },
            "differ in version: 20.10.24, 28.1.0",
        ),
    ];
    for (spoil, problem) in cases {
        let (mut engines, mut nodes) = healthy();
        spoil(&mut engines, &mut nodes);
        let page = overview(&engines, Some(&nodes), None);
        assert!(
            page.problems.iter().any(|text| text.contains(problem)),
            "{problem}: {:?}",
            page.problems
        );
    }
}

#[test]
fn unmatched_nodes_are_no_ghosts_while_a_host_is_unread() {
    let (mut engines, nodes) = healthy();
    engines[1].1 = DockerStatus::Unreachable("no route".into());
    let page = overview(&engines, Some(&nodes), None);
    assert_eq!(page.problems, ["docker02 is unreachable: no route"]);
}

#[test]
fn services_with_too_few_tasks_are_reported() {
    let (engines, nodes) = healthy();
    let services = json!([{"Spec": {"Name": "web_db", "Mode": {"Replicated": {"Replicas": 2}},
        "TaskTemplate": {"ContainerSpec": {"Image": "mysql:5.7@sha256:aa"}}},
        "ServiceStatus": {"RunningTasks": 1, "DesiredTasks": 2}}]);
    let page = overview(&engines, Some(&nodes), Some(&services));
    assert_eq!(
        (
            page.services[0].image.as_str(),
            page.services[0].mode.as_str()
        ),
        ("mysql:5.7", "replicated")
    );
    assert_eq!(page.problems, ["service web_db: 1 of 2 tasks run"]);
}
