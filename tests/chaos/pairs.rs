//! Two applies at the same time, each for another manager and each with a restart of its Engine.
//! Two Engines of managers must never be down at once. With `--lock-wait`, both runs end with exit
//! code 0; without it, one of them may be refused.

use std::time::{Duration, Instant};

use crate::account::{
    downtimes, restarts_by_skep, seconds_with_two_down, stays_thin, thin_samples,
};
use crate::chaos_lab::{ChaosLab, MANAGERS, NODES};
use crate::lanes::{TrialQueue, caught, in_each, labs};
use crate::options::{ChaosOptions, ChaosPart};
use crate::random::RandomStream;
use crate::report::{ChaosReport, TrialOutcome};
use crate::sampler::now;
use crate::trial::{RunningSkep, TrialFolder, converge};
use crate::{drift, verify};

/// Engines of machines with containers take this much longer to start; an overlap is then seen.
const SLOWER_START: u32 = 6;

const WAITING: &str = "pair, with --lock-wait";
const REFUSING: &str = "pair, without --lock-wait";

pub fn run(options: &ChaosOptions, report: &ChaosReport) {
    let mut labs = match labs("pairs", options.lanes(ChaosPart::Pairs)) {
        Ok(labs) => labs,
        Err(error) => return report.violation(format!("pairs: {error}")),
    };
    let queue = TrialQueue::new(options.pairs);
    in_each(&mut labs, |lab| {
        while let Some(number) = queue.take() {
            let started = Instant::now();
            let name = format!("pairs-{number}");
            let mut outcome = TrialOutcome::new(if number % 2 == 0 { WAITING } else { REFUSING });
            let mut folder = TrialFolder::new(&name);
            let mut random = RandomStream::of(options.seed(), "pairs", number);
            let tried = caught(|| {
                if !lab.converged {
                    prepare(lab, &folder)?;
                }
                trial(lab, &folder, &mut random, number, &mut outcome)
            });
            outcome.violations.extend(tried.err());
            lab.converged = outcome.applies.is_some();
            if !outcome.violations.is_empty() {
                folder.keep(lab, &format!("{outcome:#?}"));
            }
            queue.done(true);
            report.add(&name, started.elapsed().as_secs_f64(), outcome);
        }
    });
}

fn prepare(lab: &mut ChaosLab, folder: &TrialFolder) -> Result<(), String> {
    lab.rebuild()?;
    let run = RunningSkep::start(lab.skep("apply", &["--yes"]), &folder.file("before"));
    match run.wait()? {
        0 => lab.slow_engines(SLOWER_START),
        code => Err(format!("an apply alone has exit code {code}")),
    }
}

fn trial(
    lab: &ChaosLab,
    folder: &TrialFolder,
    random: &mut RandomStream,
    number: u32,
    outcome: &mut TrialOutcome,
) -> Result<(), String> {
    drift::wait_for_managers(lab)?;
    let (size, chosen) = (format!("{}m", 12 + number), random.some_of(&[0, 1, 2], 2));
    let value = format!("size=\"{size}\"");
    let arguments = ["restart.toml", "-e", &value];
    let pause = random.fraction() * 2.0;
    let waits = outcome.row == WAITING;
    let start = |manager: usize| {
        let node = MANAGERS[manager];
        let mut all = [&arguments[..], &["--yes", "--limit", node]].concat();
        if waits {
            all.extend(["--lock-wait", "5m"]);
        }
        RunningSkep::start(
            lab.skep("apply", &all),
            &folder.file(&format!("pair-{node}")),
        )
    };
    let begin = now();
    let sampler = lab.sample();
    let first = start(chosen[0]);
    std::thread::sleep(Duration::from_secs_f64(pause));
    let second = start(chosen[1]);
    let codes = [first.wait()?, second.wait()?];
    let recovered = drift::wait_for_managers(lab);
    let samples = sampler.finish();
    folder.samples(&samples);
    (outcome.samples, outcome.thin) = (samples.len(), thin_samples(&samples));
    let journals: Result<Vec<String>, String> = MANAGERS
        .iter()
        .map(|node| lab.journal(node, begin))
        .collect();
    let engines: Vec<_> = journals?.iter().map(|journal| downtimes(journal)).collect();
    std::fs::write(folder.file("account"), format!("{engines:#?}\n")).unwrap();
    let restarts: Vec<usize> = (0..3)
        .map(|manager| restarts_by_skep(manager, &engines[manager], None).len())
        .collect();
    outcome.restarts = restarts.iter().sum();
    outcome.hit = chosen.iter().all(|manager| restarts[*manager] > 0);
    outcome.story = format!(
        "{} and {pause:.2} s later {}, exit codes {} and {}",
        MANAGERS[chosen[0]], MANAGERS[chosen[1]], codes[0], codes[1]
    );
    let both = seconds_with_two_down(&engines);
    if both > 0.0 {
        outcome
            .violations
            .push(format!("two Engines of managers were down for {both:.1} s"));
    }
    if stays_thin(&samples) {
        outcome
            .violations
            .push("fewer than two managers were reachable".to_owned());
    }
    for (manager, code) in chosen.iter().zip(codes) {
        // A run that was refused must not have restarted an Engine.
        let refused = !waits && code == 1 && restarts[*manager] == 0 && codes.contains(&0);
        outcome.refused |= refused;
        if code != 0 && !refused {
            let node = MANAGERS[*manager];
            outcome
                .violations
                .push(format!("the run for {node} has exit code {code}"));
        }
    }
    recovered.map_err(|error| format!("the swarm did not recover: {error}"))?;
    let verified = || verify::restarted(lab, &NODES, &size);
    outcome.applies = Some(converge(lab, folder, &arguments, verified)?);
    Ok(())
}
