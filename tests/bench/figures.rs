//! The kernel's accounting for a process, and the median of several runs.

use std::process::{Command, Stdio};

/// Figures of one run.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunMetrics {
    /// Seconds from start to end.
    pub wall: f64,
    /// Seconds of processor time, including child processes.
    pub cpu: f64,
    /// Largest resident set in MiB.
    pub memory_mib: f64,
}

/// Runs a command under time(1) and returns its output; panics unless its status is one of these.
pub fn timed(command: &mut Command, statuses: &[i32]) -> (RunMetrics, String) {
    let mut whole = Command::new("/usr/bin/time");
    whole
        .args(["-f", "\n@ %U %S %M"])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => whole.env(name, value),
            None => whole.env_remove(name),
        };
    }
    let started = std::time::Instant::now();
    let output = whole.output().expect("time(1) is installed");
    let wall = started.elapsed().as_secs_f64();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let good = output
        .status
        .code()
        .is_some_and(|status| statuses.contains(&status));
    assert!(
        good,
        "{command:?} ended with {}:\n{stdout}\n{stderr}",
        output.status
    );
    let line = stderr.lines().rfind(|line| line.starts_with("@ ")).unwrap();
    let numbers: Vec<f64> = line[2..]
        .split(' ')
        .map(|number| number.parse().unwrap())
        .collect();
    (
        RunMetrics {
            wall,
            cpu: numbers[0] + numbers[1],
            memory_mib: numbers[2] / 1024.0,
        },
        stdout,
    )
}

/// Returns the median of each figure by itself.
pub fn median(figures: &[RunMetrics]) -> RunMetrics {
    let of = |field: fn(&RunMetrics) -> f64| {
        let mut values: Vec<f64> = figures.iter().map(field).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    RunMetrics {
        wall: of(|one| one.wall),
        cpu: of(|one| one.cpu),
        memory_mib: of(|one| one.memory_mib),
    }
}
