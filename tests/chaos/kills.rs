//! `kill -9` of skep at a random moment of whole applies, from bare nodes and from drifted ones.
//! Two further applies must make the cluster exactly as the playbook wants it, and from drifted
//! states skep must leave two managers reachable at every time.

use std::time::Instant;

use crate::account::{
    downtimes, restarts_by_skep, seconds_with_two_down, stays_thin, thin_samples,
};
use crate::chaos_lab::{ChaosLab, MANAGERS};
use crate::lanes::{TrialQueue, caught, in_each, labs, mean};
use crate::options::{ChaosOptions, ChaosPart};
use crate::random::RandomStream;
use crate::report::{ChaosReport, TrialOutcome};
use crate::sampler::now;
use crate::trial::{RunningSkep, TrialFolder, converge};
use crate::{drift, verify};

pub fn run(options: &ChaosOptions, report: &ChaosReport) {
    let mut labs = match labs("kills", options.lanes(ChaosPart::Kills)) {
        Ok(labs) => labs,
        Err(error) => return report.violation(format!("kills: {error}")),
    };
    println!("kills: measuring an apply from bare nodes and one from drifted nodes");
    let measured: Result<Vec<(f64, f64)>, String> =
        in_each(&mut labs, |lab| caught(|| measure(lab)))
            .into_iter()
            .collect();
    let measured = match measured {
        Ok(measured) => measured,
        Err(error) => return report.violation(format!("kills: without a kill: {error}")),
    };
    let (bare, drifted): (Vec<f64>, Vec<f64>) = measured.into_iter().unzip();
    let windows = [
        options.window(0).unwrap_or(mean(&bare)),
        // Most trials have fewer drifts than the measured apply.
        options.window(1).unwrap_or(0.8 * mean(&drifted)),
    ];
    println!(
        "kills: within {:.1} s from bare nodes, {:.1} s from drifted ones",
        windows[0], windows[1]
    );
    let queue = TrialQueue::new(options.kills);
    in_each(&mut labs, |lab| {
        while let Some(number) = queue.take() {
            let started = Instant::now();
            let name = format!("kills-{number}");
            let mut outcome = TrialOutcome::new(if number % 2 == 0 {
                "kill, from bare nodes"
            } else {
                "kill, from drifted nodes"
            });
            let mut folder = TrialFolder::new(&name);
            let mut random = RandomStream::of(options.seed(), "kills", number);
            let window = windows[usize::from(number % 2 == 1)];
            let tried = caught(|| trial(lab, &folder, &mut random, window, &mut outcome));
            outcome.violations.extend(tried.err());
            lab.converged = outcome.applies.is_some();
            if !outcome.violations.is_empty() {
                folder.keep(lab, &format!("{outcome:#?}"));
                lab.converged = false;
            }
            queue.done(outcome.hit);
            report.add(&name, started.elapsed().as_secs_f64(), outcome);
        }
    });
    if queue.hits() < options.kills {
        report.violation(format!("only {} kills hit a running apply", queue.hits()));
    }
}

/// Applies once from bare and once from drifted nodes; returns the seconds. Remembers the paths of
/// an undisturbed cluster.
fn measure(lab: &mut ChaosLab) -> Result<(f64, f64), String> {
    let folder = TrialFolder::new(&format!("measure-{}", lab.container("")));
    let apply = |lab: &ChaosLab, log: &str| {
        let mut run = RunningSkep::start(lab.skep("apply", &["--yes"]), &folder.file(log));
        while run.ended().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let seconds = run.seconds();
        match run.wait()? {
            0 => Ok(seconds),
            code => {
                let said = std::fs::read_to_string(folder.file(log)).unwrap_or_default();
                Err(format!(
                    "an apply that was not killed has exit code {code}:\n{said}"
                ))
            }
        }
    };
    let bare = apply(lab, "bare")?;
    verify::cluster(lab)?;
    lab.paths = verify::paths(lab);
    drift::most(lab)?;
    let drifted = apply(lab, "drifted")?;
    verify::cluster(lab)?;
    lab.converged = true;
    Ok((bare, drifted))
}

fn trial(
    lab: &mut ChaosLab,
    folder: &TrialFolder,
    random: &mut RandomStream,
    window: f64,
    outcome: &mut TrialOutcome,
) -> Result<(), String> {
    let moment = random.fraction() * window;
    let from_bare = outcome.row == "kill, from bare nodes";
    if from_bare {
        lab.rebuild()?;
    } else {
        if !lab.converged {
            lab.rebuild()?;
            let mut run = RunningSkep::start(lab.skep("apply", &["--yes"]), &folder.file("before"));
            run.ends_before(crate::trial::RUN_LIMIT.as_secs_f64());
            run.kill();
            verify::cluster(lab)?;
        }
        drift::wait_for_managers(lab)?;
        outcome.story = format!("{}; ", drift::some(lab, random)?);
    }
    let begin = now();
    let sampler = (!from_bare).then(|| lab.sample());
    let mut run = RunningSkep::start(lab.skep("apply", &["--yes"]), &folder.file("killed"));
    match run.ends_before(moment) {
        None => {
            run.kill();
            outcome.hit = true;
            outcome
                .story
                .push_str(&format!("killed after {moment:.2} s"));
        }
        Some(code) => {
            outcome
                .story
                .push_str(&format!("ended before {moment:.2} s with exit code {code}"));
            // With a demoted manager there are two, and skep restarts neither: the next apply does,
            // after this one has promoted the third.
            let said = std::fs::read_to_string(folder.file("killed")).unwrap_or_default();
            outcome.refused = code == 1
                && outcome.story.contains("demoted")
                && said.contains("leaves 1 of 2 managers reachable, below the majority of 2");
            if code != 0 && !outcome.refused {
                outcome
                    .violations
                    .push(format!("an apply that was not killed has exit code {code}"));
            }
        }
    }
    let converged = converge(lab, folder, &[], || verify::cluster(lab));
    if let Some(sampler) = sampler {
        let samples = sampler.finish();
        folder.samples(&samples);
        (outcome.samples, outcome.thin) = (samples.len(), thin_samples(&samples));
        if stays_thin(&samples) {
            outcome
                .violations
                .push("fewer than two managers were reachable".to_owned());
        }
        let journals: Result<Vec<String>, String> = MANAGERS
            .iter()
            .map(|node| lab.journal(node, begin))
            .collect();
        let engines: Vec<_> = journals?.iter().map(|journal| downtimes(journal)).collect();
        let restarts = engines.iter().enumerate();
        outcome.restarts = restarts
            .map(|(at, downs)| restarts_by_skep(at, downs, None).len())
            .sum();
        let both = seconds_with_two_down(&engines);
        if both > 0.0 {
            outcome
                .violations
                .push(format!("two Engines of managers were down for {both:.1} s"));
        }
    }
    outcome.applies = Some(converged?);
    Ok(())
}
