//! Stacks on a manager of the lab: the cost of the preview of an unchanged stack of ten services,
//! beside the `docker stack deploy` that it stands for, and the time of a check of five stacks over
//! a near and a distant link. Runs by name only, because `make bench` needs no lab.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::figures::{RunMetrics, median, timed};
use super::server::BenchServer;
use super::swarm::{BenchEnvironment, ROUND_TRIP, must, relayed, skep};

const RUNS: usize = 9;
const INCLUDE: &str = "[\"playbooks/docker.toml\", \"playbooks/swarm.toml\"]";

/// An SSH tunnel that ends with its value.
struct SshTunnel(Child);

impl Drop for SshTunnel {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Prints both.
pub fn run(server: &BenchServer) {
    let near = server.path("stacks.toml");
    let lot = BenchEnvironment::up("stacks", &near, &["--managers", "1", "--workers", "0"]);
    let root = env!("CARGO_MANIFEST_DIR");
    let site = server.path("site.toml");
    let include = INCLUDE.replace("playbooks/", &format!("{root}/playbooks/"));
    std::fs::write(&site, format!("include = {include}\n")).unwrap();
    must(skep().args(["apply", "--yes", "-i", &near, &site]));
    lot.load("busybox");
    let ten = stacks(server, "ten", 1, 10);
    let five = stacks(server, "five", 5, 2);
    for playbook in [&ten, &five] {
        must(skep().args(["apply", "--yes", "-i", &near, playbook]));
    }
    preview(server, &near, &ten);
    round_trips(server, &near, &five);
}

/// Writes this many stacks of this many services, and the playbook with them.
fn stacks(server: &BenchServer, name: &str, count: usize, services: usize) -> String {
    let service = |index: usize| {
        format!(
            "  s{index}: {{ image: 'busybox:lab', command: sleep 100000, stop_grace_period: 100ms, deploy: {{ endpoint_mode: dnsrr }} }}\n"
        )
    };
    let compose: String = (0..services).map(service).collect();
    std::fs::write(
        server.path(&format!("{name}.yml")),
        format!("version: \"3.8\"\nservices:\n{compose}"),
    )
    .unwrap();
    let resource = |index: usize| {
        format!(
            "  {{ stack = {{ name = \"{name}{index}\", sources = [\"{name}.yml\"], resolve_image = \"never\" }} }},\n"
        )
    };
    let resources: String = (0..count).map(resource).collect();
    let playbook = server.path(&format!("{name}-stacks.toml"));
    std::fs::write(
        &playbook,
        format!(
            "[[plays]]\nname = \"Stacks\"\nhosts = \"managers\"\nresources = [\n{resources}]\n"
        ),
    )
    .unwrap();
    playbook
}

fn check(server: &BenchServer, inventory: &str, playbook: &str) -> Command {
    let mut command = skep();
    command
        .args(["check", "-i", inventory, playbook])
        .env("XDG_STATE_HOME", server.path("state"));
    command
}

fn preview(server: &BenchServer, near: &str, playbook: &str) {
    let socket = server.path("engine.sock");
    let _tunnel = tunnel(near, &socket);
    let compose = server.path("ten.yml");
    let mut deploy = Command::new("docker");
    deploy.args([
        "-H",
        &format!("unix://{socket}"),
        "stack",
        "deploy",
        "--resolve-image",
        "never",
        "-c",
        &compose,
        "ten0",
    ]);
    let mut ping = skep();
    ping.args(["ping", "-i", near]);
    let mut columns: [Vec<RunMetrics>; 3] = Default::default();
    for turn in 0..=RUNS {
        let row = [
            timed(&mut check(server, near, playbook), &[0]).0,
            timed(&mut ping, &[0]).0,
            timed(&mut deploy, &[0]).0,
        ];
        if turn > 0 {
            columns
                .iter_mut()
                .zip(row)
                .for_each(|(column, figure)| column.push(figure));
        }
    }
    let [check, ping, deploy] = columns.map(|column| median(&column).wall);
    println!(
        "\nan unchanged stack of 10 services: check {check:.3} s, of which the login {ping:.3} s; docker stack deploy {deploy:.3} s: \
         {:.2} times as much on an open connection (median of {RUNS}, load {})",
        (check - ping) / deploy,
        load()
    );
}

/// Opens the manager's Engine as a socket of this machine, over an open connection.
fn tunnel(near: &str, socket: &str) -> SshTunnel {
    let table: toml::Table = std::fs::read_to_string(near).unwrap().parse().unwrap();
    let text = |value: &toml::Value| value.as_str().unwrap().to_owned();
    let (key, known) = (
        text(&table["defaults"]["identity_file"]),
        text(&table["defaults"]["known_hosts"]),
    );
    let address = text(&table["hosts"]["docker01"]["address"]);
    let mut ssh = Command::new("ssh");
    ssh.args([
        "-F",
        "none",
        "-i",
        &key,
        "-o",
        &format!("UserKnownHostsFile={known}"),
        "-o",
        "BatchMode=yes",
    ]);
    ssh.args([
        "-N",
        "-L",
        &format!("{socket}:/run/docker.sock"),
        &format!("root@{address}"),
    ]);
    let tunnel = SshTunnel(ssh.stdin(Stdio::null()).spawn().unwrap());
    let started = Instant::now();
    while !Path::new(socket).exists() {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "ssh made no socket"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    tunnel
}

fn round_trips(server: &BenchServer, near: &str, playbook: &str) {
    let (far, relays) = relayed(server, near, ROUND_TRIP);
    let (mut nears, mut fars, mut turns) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..=RUNS {
        let one = timed(&mut check(server, near, playbook), &[0]).0;
        for (_, relay) in &relays {
            relay.take_turns();
        }
        let other = timed(&mut check(server, &far, playbook), &[0]).0;
        if turn > 0 {
            nears.push(one);
            fars.push(other);
            turns.push(
                relays
                    .iter()
                    .map(|(_, relay)| relay.take_turns())
                    .sum::<usize>(),
            );
        }
    }
    turns.sort_unstable();
    let (near, far) = (median(&nears).wall, median(&fars).wall);
    println!(
        "five stacks of 2 services, 50 ms round trip: check {far:.3} s, without the delay {near:.3} s: {:.1} round trips by time, {} turns on the wire (median of {RUNS}, load {})",
        (far - near) / ROUND_TRIP.as_secs_f64(),
        turns[RUNS / 2],
        load()
    );
}

/// Returns the load of the last minute.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
