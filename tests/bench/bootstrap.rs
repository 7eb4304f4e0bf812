//! Bootstrap from bare machines beside the floor: a script that one could write by hand for exactly
//! these hosts (`floor/`). Both get three new nodes of the lab for each run, in turn, and the nodes
//! are looked at from outside.

use std::path::Path;
use std::process::Command;

use super::figures::{RunMetrics, timed};
use super::server::BenchServer;
use super::swarm::{BenchEnvironment, must, skep};

const PLAYBOOK: &str = "playbooks/web2py.toml";
const NODES: [&str; 3] = ["docker01", "docker02", "docker03"];
const RUNS: usize = 5;

/// Figures of one bootstrap.
#[derive(Clone, Copy)]
struct BootstrapRun {
    client: RunMetrics,
    /// Seconds of processor time of all nodes.
    nodes: f64,
}

/// Prints the time of both, and the processor time of the client and of the nodes.
pub fn run(server: &BenchServer) {
    let mut floors = Vec::new();
    let mut skeps = Vec::new();
    for _ in 0..RUNS {
        floors.push(measure(server, floor));
        skeps.push(measure(server, apply));
    }
    println!("\nbootstrap of three bare nodes, {PLAYBOOK}, medians of {RUNS}");
    println!("| | wall s | client cpu s | cpu of the nodes s |\n|---|---|---|---|");
    let rows = [("script", figures(&floors)), ("skep", figures(&skeps))];
    for (name, [wall, client, nodes]) in rows {
        println!("| {name} | {wall:.2} | {client:.2} | {nodes:.2} |");
    }
    let [[floor_wall, _, floor_nodes], [wall, _, nodes]] = rows.map(|(_, figures)| figures);
    println!(
        "| skep to script | {:.2} | - | {:.2} |",
        wall / floor_wall,
        nodes / floor_nodes
    );
}

fn figures(runs: &[BootstrapRun]) -> [f64; 3] {
    let middle = |figure: fn(&BootstrapRun) -> f64| {
        let mut all: Vec<f64> = runs.iter().map(figure).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    [
        middle(|run| run.client.wall),
        middle(|run| run.client.cpu),
        middle(|run| run.nodes),
    ]
}

fn measure(
    server: &BenchServer,
    contender: fn(&BenchServer, &toml::Table) -> RunMetrics,
) -> BootstrapRun {
    let inventory = server.path("boot.toml");
    let lot = BenchEnvironment::bare("boot", &inventory, &[]);
    let table: toml::Table = std::fs::read_to_string(&inventory)
        .unwrap()
        .parse()
        .unwrap();
    let ids = NODES.map(|node| {
        let container = lot.container(node);
        let output = Command::new("docker")
            .args(["inspect", "--format", "{{.Id}}", &container])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    });
    let before: f64 = ids.iter().map(|id| processor_time(id)).sum();
    let client = contender(server, &table);
    let after: f64 = ids.iter().map(|id| processor_time(id)).sum();
    verify(&lot);
    BootstrapRun {
        client,
        nodes: after - before,
    }
}

fn apply(server: &BenchServer, _: &toml::Table) -> RunMetrics {
    let mut command = skep();
    command
        .args(["apply", "--yes", "-i", &server.path("boot.toml"), PLAYBOOK])
        .env("XDG_STATE_HOME", server.path("state"));
    timed(&mut command, &[0]).0
}

fn floor(server: &BenchServer, inventory: &toml::Table) -> RunMetrics {
    let text = |table: &toml::Value, key: &str| table[key].as_str().unwrap().to_owned();
    let hosts =
        NODES.map(|node| format!("{node} {}\n", text(&inventory["hosts"][node], "address")));
    std::fs::write(server.path("boot.hosts"), hosts.concat()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/floor/floor.sh");
    let mut command = Command::new(script);
    command.args([
        server.path("boot.hosts"),
        text(&inventory["defaults"], "identity_file"),
        text(&inventory["defaults"], "known_hosts"),
        text(&inventory["vars"], "docker_repository"),
        "trixie".into(),
        text(&inventory["vars"], "registry"),
    ]);
    timed(&mut command, &[0]).0
}

/// Returns the processor time of a container in seconds, by its control group.
fn processor_time(id: &str) -> f64 {
    let first = format!("/sys/fs/cgroup/cpuacct/docker/{id}/cpuacct.usage");
    if Path::new(&first).exists() {
        let usage = std::fs::read_to_string(first).unwrap();
        return usage.trim().parse::<f64>().unwrap() / 1e9;
    }
    let folders = [
        format!("/sys/fs/cgroup/docker/{id}"),
        format!("/sys/fs/cgroup/system.slice/docker-{id}.scope"),
    ];
    let stat = folders
        .iter()
        .find_map(|folder| std::fs::read_to_string(format!("{folder}/cpu.stat")).ok());
    let stat = stat.expect("the control group of the container");
    let usage = stat
        .lines()
        .find_map(|line| line.strip_prefix("usage_usec "));
    usage.unwrap().parse::<f64>().unwrap() / 1e6
}

/// Checks from outside that the work was done on each node.
fn verify(lot: &BenchEnvironment) {
    for node in NODES {
        let script = r#"set -e
dpkg-query -W docker-ce docker-ce-cli containerd.io docker-buildx-plugin docker-compose-plugin >/dev/null
[ "$(stat -c '%u %a' /srv/web2py/mysql5/datadir)" = '999 750' ]
[ "$(readlink /home/vagrant/web2py/mysql5/datadir)" = /srv/web2py/mysql5/datadir ]
grep -q docker01 /etc/hosts; id -nG vagrant | grep -qw docker
grep -q REGISTRY /home/vagrant/web2py/env_for_cluster.sh
docker info -f '{{.Swarm.LocalNodeState}} {{.LoggingDriver}}' | grep -qx 'active json-file'"#;
        must(Command::new("docker").args(["exec", &lot.container(node), "sh", "-c", script]));
    }
    let script = r#"[ "$(docker node ls -q | wc -l)" = 3 ] && docker node ls -q |
xargs docker node inspect -f '{{index .Spec.Labels "web2py.tier.db"}}' | grep -qx true"#;
    must(Command::new("docker").args(["exec", &lot.container(NODES[0]), "sh", "-c", script]));
}
