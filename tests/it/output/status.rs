//! `skep status`: the swarm on one page.

use serde_json::json;

use super::docker::{self, set, swarm};
use super::golden_at_both_widths;
use super::stage::Stage;

#[test]
fn healthy_swarm() {
    let stage = Stage::new(3);
    let labelled = |number| {
        set(
            docker::node(number),
            "/Spec/Labels",
            json!({"zone": "east", "size": "big"}),
        )
    };
    let nodes = vec![
        docker::voter(1, true),
        labelled(2),
        set(docker::node(3), "/Spec/Availability", "drain"),
    ];
    let image = "registry.example:5000/web:1.4.2@sha256:0b5e2a9c";
    let services = vec![
        docker::service("shop_web", image, 2, 2),
        docker::service("shop_database", "mariadb:11.4.4", 1, 1),
    ];
    stage.docker(1, swarm(docker::manager(1), nodes, services));
    for number in [2, 3] {
        stage.docker(
            number,
            swarm(docker::worker(number), Vec::new(), Vec::new()),
        );
    }
    golden_at_both_widths("status_healthy_swarm", |width| {
        stage.skep(width, &["status", "-i", "inventory.toml"])
    });
}

#[test]
fn broken_swarm() {
    let mut stage = Stage::new(5);
    let silent = set(
        docker::voter(4, false),
        "/ManagerStatus/Reachability",
        "unreachable",
    );
    let nodes = vec![
        docker::voter(1, true),
        docker::voter(2, false),
        set(
            docker::node(3),
            "/Description/Engine/EngineVersion",
            "26.1.5",
        ),
        set(silent, "/Status/State", "down"),
    ];
    let services = vec![docker::service("shop_web", "web:1.4.2", 1, 3)];
    stage.docker(
        1,
        swarm(docker::manager(1), nodes.clone(), services.clone()),
    );
    stage.docker(2, swarm(docker::manager(2), nodes, services));
    let old = set(docker::worker(3), "/ServerVersion", "26.1.5");
    stage.docker(3, swarm(old, Vec::new(), Vec::new()));
    stage.hosts[3].stop();
    stage.docker(5, swarm(docker::outside(5), Vec::new(), Vec::new()));
    golden_at_both_widths("status_broken_swarm", |width| {
        stage.skep(width, &["status", "-i", "inventory.toml"])
    });
}

#[test]
fn no_docker() {
    let stage = Stage::new(1);
    golden_at_both_widths("status_no_docker", |width| {
        stage.skep(width, &["status", "-i", "inventory.toml"])
    });
}
