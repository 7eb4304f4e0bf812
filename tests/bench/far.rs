//! A distant cluster from bare machines: three nodes of the lab, each through a relay of its own
//! that makes a round trip last 0, 50 or 150 ms. Round trips are counted by time: by how much
//! longer a run takes than without the delay.

use std::time::Duration;

use serde_json::Value;

use super::figures::timed;
use super::server::BenchServer;
use super::swarm::{BenchEnvironment, relayed, skep};

const PLAYBOOK: &str = "playbooks/web2py.toml";
const ROUND_TRIPS: [u64; 3] = [0, 50, 150];
const RUNS: usize = 3;

/// Times of one run, in seconds, and the number of commands of the host with the most.
#[derive(Clone, Copy, Default)]
struct FarRun {
    apply: f64,
    execs: u64,
    check: f64,
    again: f64,
}

/// Prints the time of an apply from bare machines, of a check, and of an apply with nothing to do.
pub fn run(server: &BenchServer) {
    println!("\nthree bare nodes behind relays, {PLAYBOOK}, medians of {RUNS}");
    println!(
        "| round trip ms | apply s | round trips | execs of a host | check s | round trips | apply again s | round trips |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut near = FarRun::default();
    for round_trip in ROUND_TRIPS {
        let runs: Vec<FarRun> = (0..RUNS).map(|_| measure(server, round_trip)).collect();
        let middle = |figure: fn(&FarRun) -> f64| {
            let mut all: Vec<f64> = runs.iter().map(figure).collect();
            all.sort_by(f64::total_cmp);
            all[RUNS / 2]
        };
        let execs = runs.iter().map(|run| run.execs).max().unwrap();
        let row = FarRun {
            apply: middle(|run| run.apply),
            execs,
            check: middle(|run| run.check),
            again: middle(|run| run.again),
        };
        if round_trip == 0 {
            near = row;
        }
        let trips = |far: f64, near: f64| match round_trip {
            0 => "-".to_owned(),
            _ => format!("{:.1}", (far - near) / (round_trip as f64 / 1000.0)),
        };
        println!(
            "| {round_trip} | {:.2} | {} | {execs} | {:.2} | {} | {:.2} | {} |",
            row.apply,
            trips(row.apply, near.apply),
            row.check,
            trips(row.check, near.check),
            row.again,
            trips(row.again, near.again)
        );
    }
}

fn measure(server: &BenchServer, round_trip: u64) -> FarRun {
    let near = server.path("bare.toml");
    let _lot = BenchEnvironment::bare("far", &near, &[]);
    let _ = std::fs::remove_file(server.path("known_relays"));
    let (far, _relays) = relayed(server, &near, Duration::from_millis(round_trip));
    let verb = |arguments: &[&str]| {
        let mut command = skep();
        command
            .args(arguments)
            .args(["-i", &far, PLAYBOOK])
            .env("XDG_STATE_HOME", server.path("state"));
        timed(&mut command, &[0])
    };
    let (apply, printed) = verb(&["apply", "--yes", "--json"]);
    let summary: Value = serde_json::from_str(printed.trim().lines().last().unwrap()).unwrap();
    let hosts = summary["summary"]["hosts"].as_object().unwrap();
    let execs = hosts.values().map(|host| host["execs"].as_u64().unwrap());
    FarRun {
        apply: apply.wall,
        execs: execs.max().unwrap(),
        check: verb(&["check"]).0.wall,
        again: verb(&["apply", "--yes"]).0.wall,
    }
}
