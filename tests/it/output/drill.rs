//! `skep drill`: what is announced, measured and refused. A program in place of Vagrant stops and
//! starts the machines.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use serde_json::json;

use super::docker::{self, set, swarm};
use super::golden_at_both_widths;
use super::stage::Stage;

/// The machines of Vagrant: while `down` is there, the managers call the last node down.
pub fn vagrant(count: usize) -> Stage {
    let stage = Stage::new(count);
    stage.write("Vagrantfile", "");
    let (mut status, mut ssh, mut machines) =
        (String::new(), String::new(), serde_json::Map::new());
    for (index, host) in stage.hosts.iter().enumerate() {
        let (number, group) = (index + 1, if index == 0 { "managers" } else { "workers" });
        // A machine with an identity keeps its host key.
        let identity = format!(".vagrant/machines/docker0{number}/libvirt/id");
        stage.write(&identity, &format!("machine-{number}"));
        status +=
            &format!("1,docker0{number},provider-name,libvirt\n1,docker0{number},state,running\n");
        ssh += &format!(
            "Host docker0{number}\n  HostName {}\n  User root\n  Port {}\n  IdentityFile {}\n\n",
            host.address,
            host.port,
            host.path("client").display()
        );
        machines.insert(
            format!("docker0{number}"),
            json!({"groups": [group], "address": docker::address(number)}),
        );
    }
    stage.write(
        ".vagrant/skep/cluster.json",
        &json!({ "machines": machines }).to_string(),
    );
    stage.write("status", &status);
    stage.write("ssh-config", &ssh);
    stage.write(
        "bin/vagrant",
        "#!/bin/sh\ncase $1 in\nhalt) >down ;;\nup) rm down ;;\n*) cat \"$1\" ;;\nesac\n",
    );
    std::fs::set_permissions(
        stage.path("bin/vagrant"),
        std::fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    // Keys that are known: otherwise each host is reported, in any order.
    stage.skep(80, &["ping", "-i", "vagrant:"]);
    let down = stage.path("down");
    for number in 1..=count {
        let down = down.clone();
        stage.docker(
            number,
            Arc::new(move |request| {
                let info = if number == 1 {
                    docker::manager(1)
                } else {
                    docker::worker(number)
                };
                let state = if down.exists() { "down" } else { "ready" };
                let mut nodes = vec![docker::voter(1, true)];
                nodes.extend((2..count).map(docker::node));
                nodes.push(set(docker::node(count), "/Status/State", state));
                swarm(info, nodes, vec![docker::service("web", "web:1", 2, 2)])(request)
            }),
        );
    }
    stage
}

#[test]
fn worker_loss() {
    let stage = vagrant(3);
    golden_at_both_widths("drill_worker_loss", |width| {
        stage.skep(
            width,
            &[
                "drill",
                "worker-loss",
                "--host",
                "docker03",
                "-i",
                "vagrant:",
            ],
        )
    });
    golden_at_both_widths("drill_no_such_machines", |width| {
        stage.skep(width, &["drill", "two-managers", "-i", "vagrant:"])
    });
}

#[test]
fn refused() {
    let stage = Stage::new(2);
    stage.docker(
        1,
        swarm(docker::manager(1), vec![docker::voter(1, true)], Vec::new()),
    );
    let drill = |width| stage.skep(width, &["drill", "worker-loss", "-i", "inventory.toml"]);
    golden_at_both_widths("drill_not_disposable", drill);
    let inventory = std::fs::read_to_string(stage.path("inventory.toml")).unwrap();
    stage.write("inventory.toml", &format!("disposable = true\n{inventory}"));
    golden_at_both_widths("drill_cluster_not_whole", drill);
}
