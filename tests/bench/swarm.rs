//! A distant swarm: the reference playbook checked on a lab environment of three nodes, each
//! through a relay of its own that makes a round trip last 50 ms. Runs by name only, because `make
//! bench` needs no lab.

use std::process::Command;
use std::time::Duration;

use super::figures::{median, timed};
use super::proxy::DelayProxy;
use super::server::BenchServer;

pub(super) const ROUND_TRIP: Duration = Duration::from_millis(50);
const RUNS: usize = 5;
const PLAYBOOK: &str = "playbooks/web2py.toml";

/// A lab environment that is removed with its value.
pub(super) struct BenchEnvironment {
    name: String,
}

impl BenchEnvironment {
    /// Starts nodes with root access, with an inventory that is written to `inventory`; `more` are
    /// further arguments.
    pub(super) fn up(part: &str, inventory: &str, more: &[&str]) -> Self {
        Self::bare(part, inventory, &[&["--user", "root"], more].concat())
    }

    /// Starts bare nodes whose account uses sudo.
    pub(super) fn bare(part: &str, inventory: &str, more: &[&str]) -> Self {
        let lot = Self {
            name: format!("t{}-{part}", std::process::id()),
        };
        let up = ["lab", "up", "--name", &lot.name, "--inventory", inventory];
        must(skep().args(up).args(more));
        lot
    }

    /// Returns the name of a node's container.
    pub(super) fn container(&self, node: &str) -> String {
        format!("skep-{}-{node}", self.name)
    }

    /// Loads an image of the lab into all nodes, as `NAME:lab`.
    pub(super) fn load(&self, image: &str) {
        must(skep().args(["lab", "load", image, "--name", &self.name]));
    }
}

impl Drop for BenchEnvironment {
    fn drop(&mut self) {
        let _ = skep().args(["lab", "down", "--name", &self.name]).status();
    }
}

pub(super) fn skep() -> Command {
    Command::new(env!("CARGO_BIN_EXE_skep"))
}

pub(super) fn must(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Prints the time of a check of the swarm over a near and a distant link, and the turns of each
/// connection.
pub fn run(server: &BenchServer) {
    let near = server.path("near.toml");
    let _lot = BenchEnvironment::up("bench", &near, &[]);
    must(skep().args(["apply", "--yes", "-i", &near, PLAYBOOK]));
    let (far, relays) = relayed(server, &near, ROUND_TRIP);
    let check = |inventory: &str| {
        let mut command = skep();
        command
            .args(["check", "-i", inventory, PLAYBOOK])
            .env("XDG_STATE_HOME", server.path("state"));
        command
    };
    let (mut nears, mut fars, mut turns) = (Vec::new(), Vec::new(), vec![Vec::new(); relays.len()]);
    for turn in 0..=RUNS {
        let one = timed(&mut check(&near), &[0]).0;
        for (_, relay) in &relays {
            relay.take_turns();
        }
        let other = timed(&mut check(&far), &[0]).0;
        if turn > 0 {
            nears.push(one);
            fars.push(other);
            relays
                .iter()
                .zip(&mut turns)
                .for_each(|((_, relay), turns)| turns.push(relay.take_turns()));
        }
    }
    let (near, far) = (median(&nears).wall, median(&fars).wall);
    println!(
        "\na swarm of three, {PLAYBOOK}, 50 ms round trip: check {far:.3} s, without the delay {near:.3} s: {:.1} round trips by time (median of {RUNS})",
        (far - near) / ROUND_TRIP.as_secs_f64()
    );
    for ((host, _), turns) in relays.iter().zip(&mut turns) {
        turns.sort_unstable();
        println!("{host}: {} turns seen on the wire", turns[RUNS / 2]);
    }
}

/// Writes the same inventory with a relay for each host.
pub(super) fn relayed(
    server: &BenchServer,
    near: &str,
    round_trip: Duration,
) -> (String, Vec<(String, DelayProxy)>) {
    let mut table: toml::Table = std::fs::read_to_string(near).unwrap().parse().unwrap();
    let defaults = table["defaults"].as_table_mut().unwrap();
    // Each relay is another address with the key of its node.
    defaults.insert("known_hosts".into(), server.path("known_relays").into());
    defaults.insert("host_keys".into(), "accept-new".into());
    let mut relays = Vec::new();
    for (name, host) in table["hosts"].as_table_mut().unwrap().iter_mut() {
        let host = host.as_table_mut().unwrap();
        let relay = DelayProxy::to(
            host["address"].as_str().unwrap().parse().unwrap(),
            22,
            round_trip,
        );
        host.insert("address".into(), "127.0.0.1".into());
        host.insert("port".into(), i64::from(relay.port()).into());
        relays.push((name.clone(), relay));
    }
    let path = server.path("far.toml");
    std::fs::write(&path, table.to_string()).unwrap();
    (path, relays)
}
