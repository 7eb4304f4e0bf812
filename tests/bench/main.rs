//! `make bench`: measures the cost of `skep check`, beside the floor measured in the same run. One
//! real sshd answers on every address of 127.0.0.0/8. `cargo bench --bench check -- hosts delay`
//! runs these parts only; docs/performance.md has the figures.
//!
//! A measurement, not a test: it asserts that the work was done, and nothing about time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub
)]
#![allow(
    clippy::cast_precision_loss,
    reason = "counts of hosts and bytes are far below 2^52"
)]

mod bootstrap;
mod delay;
mod far;
mod figures;
mod floor;
mod hosts;
mod peers;
mod proxy;
mod server;
mod simulation;
mod stacks;
mod startup;
mod swarm;
mod work;

/// The parts of `make bench`. `far` and `bootstrap` make a lab of bare nodes.
const PARTS: [&str; 7] = [
    "startup",
    "hosts",
    "delay",
    "scale",
    "simulation",
    "far",
    "bootstrap",
];

/// Parts that run by name only: `peers` needs the tools that `make bench-peers` installs.
const FURTHER_PARTS: [&str; 3] = ["peers", "stacks", "swarm"];

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--floor", size, port, key, script] => return floor::run(size, port, key, script),
        ["--simulate", inventory, playbook] => return simulation::child(inventory, playbook),
        _ => {}
    }
    let parts: Vec<&str> = if arguments.is_empty() {
        PARTS.to_vec()
    } else {
        arguments.iter().map(String::as_str).collect()
    };
    for part in &parts {
        let known = PARTS.contains(part) || FURTHER_PARTS.contains(part);
        assert!(
            known,
            "there is no part `{part}`; there are {PARTS:?} and {FURTHER_PARTS:?}"
        );
    }
    let server = server::BenchServer::start();
    let playbook = work::converge(&server);
    std::fs::write(
        server.path("script"),
        simulation::script(&work::inventory(&server, 1, server.port()), &playbook),
    )
    .unwrap();
    for part in parts {
        match part {
            "startup" => startup::run(),
            "hosts" => hosts::run(&server, &playbook, &[1, 10, 50, 100], 5),
            "delay" => delay::run(&server, &playbook),
            "scale" => hosts::run(&server, &playbook, &[250, 500, 1000], 1),
            "stacks" => stacks::run(&server),
            "swarm" => swarm::run(&server),
            "far" => far::run(&server),
            "bootstrap" => bootstrap::run(&server),
            "simulation" => simulation::run(&server, &playbook),
            _ => peers::run(&server, &playbook),
        }
    }
}
