//! `make chaos`: kills skep at random moments, takes managers away while Engines restart, and runs
//! skep twice at once, all on lab nodes. After each trial, `docker` on the nodes must show exactly
//! the wanted cluster. docs/testing.md describes the parts and has the counts.
//!
//! A test binary without the test harness of Rust: it takes hours, so it does nothing unless its
//! first argument is `--run`, and lists no tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::exit,
    missing_docs,
    unreachable_pub
)]

mod account;
mod chaos_lab;
mod drift;
mod interrupt;
mod kills;
mod lanes;
mod losses;
#[path = "../lab/node_namespaces.rs"]
mod node_namespaces;
mod options;
mod pairs;
mod random;
mod report;
mod sampler;
#[expect(dead_code, reason = "the lab tests use more of it")]
#[path = "../lab/skep.rs"]
mod skep;
#[expect(dead_code, reason = "the lab tests use more of it")]
#[path = "../lab/test_lab.rs"]
mod test_lab;
mod trial;
mod upgrades;
mod verify;

use std::sync::Arc;

use options::{ChaosOptions, ChaosPart};
use report::ChaosReport;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).map(String::as_str) != Some("--run") {
        // cargo-nextest asks for a list of tests, and there is none.
        if !arguments.iter().any(|argument| argument == "--list") {
            eprintln!("the chaos runs take hours and were not started; try: make chaos");
        }
        return;
    }
    let options = ChaosOptions::read(&arguments[2..]);
    let report = Arc::new(ChaosReport::default());
    let (counted, given) = (report.clone(), options.clone());
    interrupt::watch(move || counted.text(&given));
    println!("{options}");
    for part in options.parts() {
        match part {
            ChaosPart::Kills => kills::run(&options, &report),
            ChaosPart::Losses => losses::run(&options, &report),
            ChaosPart::Pairs => pairs::run(&options, &report),
            ChaosPart::Upgrades => upgrades::run(&options, &report),
        }
    }
    println!("\n{}", report.text(&options));
    std::process::exit(i32::from(report.has_violations()));
}
