//! Counts the trials, prints a line for each, and prints the table at the end.

use std::sync::{Mutex, PoisonError};

use crate::options::ChaosOptions;

/// Result of one trial.
#[derive(Debug, Clone)]
pub struct TrialOutcome {
    /// Row of the table.
    pub row: &'static str,
    /// The random choices of the trial, and the moment of the event.
    pub story: String,
    /// True if the event hit a running apply.
    pub hit: bool,
    /// True if a run was refused: one of two runs, or one that found two managers only.
    pub refused: bool,
    /// Number of applies until the cluster was as wanted; None if it never was.
    pub applies: Option<usize>,
    /// Restarts of managers' Engines by skep.
    pub restarts: usize,
    pub samples: usize,
    /// Samples with fewer than two reachable managers.
    pub thin: usize,
    pub violations: Vec<String>,
}

impl TrialOutcome {
    /// Returns the outcome of a trial in which nothing happened yet.
    pub fn new(row: &'static str) -> Self {
        Self {
            row,
            story: String::new(),
            hit: false,
            refused: false,
            applies: None,
            restarts: 0,
            samples: 0,
            thin: 0,
            violations: Vec::new(),
        }
    }
}

/// The counts of all trials.
#[derive(Default)]
pub struct ChaosReport {
    state: Mutex<ReportState>,
}

#[derive(Default)]
struct ReportState {
    outcomes: Vec<TrialOutcome>,
    violations: Vec<String>,
}

impl ChaosReport {
    /// Counts a trial and prints its line.
    pub fn add(&self, name: &str, seconds: f64, outcome: TrialOutcome) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let end = match outcome.applies {
            Some(1) => "converged after 1 apply".to_owned(),
            Some(number) => format!("converged after {number} applies"),
            None => "NOT CONVERGED".to_owned(),
        };
        let TrialOutcome {
            row,
            story,
            restarts,
            samples,
            thin,
            ..
        } = &outcome;
        println!(
            "{name} ({row}): {story}; {end}; {restarts} restarts; {thin} of {samples} samples below two managers; {seconds:.0} s"
        );
        for violation in &outcome.violations {
            println!("  VIOLATION: {violation} (target/chaos/{name})");
            state.violations.push(format!("{name}: {violation}"));
        }
        state.outcomes.push(outcome);
    }

    /// Adds a violation that belongs to no trial.
    pub fn violation(&self, text: String) {
        println!("VIOLATION: {text}");
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.violations.push(text);
    }

    pub fn has_violations(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        !state.violations.is_empty()
    }

    /// Returns the table, in the form of docs/testing.md, and the violations.
    pub fn text(&self, options: &ChaosOptions) -> String {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = format!(
            "Seed {}, skep {}.\n\n\
             | trials | runs | hits | converged after 1 apply | after 2 | never | refused | restarts by skep | samples | samples below two managers | violations |\n\
             |---|---|---|---|---|---|---|---|---|---|---|\n",
            options.seed(),
            env!("CARGO_PKG_VERSION"),
        );
        let mut rows: Vec<&str> = Vec::new();
        for outcome in &state.outcomes {
            if !rows.contains(&outcome.row) {
                rows.push(outcome.row);
            }
        }
        rows.sort_unstable();
        for row in rows {
            let of: Vec<&TrialOutcome> = state
                .outcomes
                .iter()
                .filter(|outcome| outcome.row == row)
                .collect();
            let count = |test: fn(&TrialOutcome) -> bool| of.iter().filter(|one| test(one)).count();
            let sum = |value: fn(&TrialOutcome) -> usize| -> usize {
                of.iter().map(|one| value(one)).sum()
            };
            text.push_str(&format!(
                "| {row} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
                of.len(),
                count(|one| one.hit),
                count(|one| one.applies == Some(1)),
                count(|one| one.applies == Some(2)),
                count(|one| one.applies.is_none()),
                count(|one| one.refused),
                sum(|one| one.restarts),
                sum(|one| one.samples),
                sum(|one| one.thin),
                sum(|one| one.violations.len()),
            ));
        }
        for violation in &state.violations {
            text.push_str(&format!("\nVIOLATION: {violation}"));
        }
        if state.violations.is_empty() {
            text.push_str("\nNo violation.");
        }
        text
    }
}
