//! Start time and size of the binary.

use std::process::{Command, Stdio};
use std::time::Instant;

const RUNS: usize = 101;

/// Prints both.
pub fn run() {
    let program = env!("CARGO_BIN_EXE_skep");
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let started = Instant::now();
            let status = Command::new(program)
                .arg("--version")
                .stdout(Stdio::null())
                .status()
                .unwrap();
            assert!(status.success());
            started.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let size = std::fs::metadata(program).unwrap().len() as f64 / 1e6;
    println!(
        "\nskep --version: {:.2} ms, median of {RUNS}; the binary has {size:.1} MB",
        times[RUNS / 2]
    );
}
