//! `kill -9` of `skep upgrade` at a random moment, and nodes that lose power during it. The same
//! command must finish the upgrade and leave nothing behind.

use std::time::Instant;

use crate::account::{stays_thin, thin_samples};
use crate::chaos_lab::{ChaosLab, NODES};
use crate::lanes::{TrialQueue, caught, in_each, labs, mean};
use crate::options::{ChaosOptions, ChaosPart};
use crate::random::RandomStream;
use crate::report::{ChaosReport, TrialOutcome};
use crate::trial::{MOST_APPLIES, RunningSkep, TrialFolder};
use crate::verify;

/// Versions of the lab's two packages of the Engine. Upgrades alternate between them.
const VERSIONS: [&str; 2] = ["26.1.5", "26.1.6"];

/// A service that each drain moves, and one that runs on every node.
const SERVICES: &str = "docker service create --quiet --no-resolve-image --name web --replicas 2 --stop-grace-period 1s busybox:lab sleep 100000 &&
docker service create --quiet --no-resolve-image --name agent --mode global --stop-grace-period 1s busybox:lab sleep 100000";

pub fn run(options: &ChaosOptions, report: &ChaosReport) {
    let mut labs = match labs("up", options.lanes(ChaosPart::Upgrades)) {
        Ok(labs) => labs,
        Err(error) => return report.violation(format!("upgrades: {error}")),
    };
    println!("upgrades: measuring an upgrade");
    let measured: Result<Vec<f64>, String> = in_each(&mut labs, |lab| caught(|| measure(lab)))
        .into_iter()
        .collect();
    let window = match measured {
        Ok(measured) => options.window(3).unwrap_or(mean(&measured)),
        Err(error) => return report.violation(format!("upgrades: without a kill: {error}")),
    };
    println!("upgrades: within {window:.1} s");
    let queue = TrialQueue::new(options.upgrades);
    in_each(&mut labs, |lab| {
        while let Some(number) = queue.take() {
            let started = Instant::now();
            let name = format!("upgrades-{number}");
            // Every third trial is a node that loses power.
            let mut outcome = TrialOutcome::new(if number % 3 == 2 {
                "upgrade, a node loses power"
            } else {
                "upgrade, killed"
            });
            let mut folder = TrialFolder::new(&name);
            let mut random = RandomStream::of(options.seed(), "upgrades", number);
            let tried = caught(|| trial(lab, &folder, &mut random, window, &mut outcome));
            outcome.violations.extend(tried.err());
            if !outcome.violations.is_empty() {
                folder.keep(lab, &format!("{outcome:#?}"));
            }
            queue.done(outcome.hit);
            report.add(&name, started.elapsed().as_secs_f64(), outcome);
        }
    });
    if queue.hits() < options.upgrades {
        report.violation(format!(
            "only {} events hit a running upgrade",
            queue.hits()
        ));
    }
}

/// Makes the cluster with its services, and upgrades it once; returns the seconds.
fn measure(lab: &mut ChaosLab) -> Result<f64, String> {
    let folder = TrialFolder::new(&format!("measure-{}", lab.container("")));
    finish(lab.skep("apply", &["--yes"]), &folder, "apply")?;
    lab.image("busybox");
    lab.on("docker01", SERVICES)?;
    let started = Instant::now();
    finish(upgrade(lab, VERSIONS[0]), &folder, "upgrade")?;
    let seconds = started.elapsed().as_secs_f64();
    verify::upgraded(lab, VERSIONS[0])?;
    Ok(seconds)
}

fn upgrade(lab: &ChaosLab, version: &str) -> std::process::Command {
    let wanted = ["--yes", "--engine", version, "--accept", "downgrade"];
    lab.skep("upgrade", &wanted)
}

fn finish(command: std::process::Command, folder: &TrialFolder, log: &str) -> Result<(), String> {
    match RunningSkep::start(command, &folder.file(log)).wait()? {
        0 => Ok(()),
        code => {
            let said = std::fs::read_to_string(folder.file(log)).unwrap_or_default();
            Err(format!("{log} has exit code {code}:\n{said}"))
        }
    }
}

fn trial(
    lab: &mut ChaosLab,
    folder: &TrialFolder,
    random: &mut RandomStream,
    window: f64,
    outcome: &mut TrialOutcome,
) -> Result<(), String> {
    let present = lab.on("docker01", "dpkg-query -W -f '${Version}' docker-ce")?;
    let version = VERSIONS[usize::from(present.contains(VERSIONS[0]))];
    let moment = random.fraction() * window;
    let loses_power = outcome.row.contains("power");
    let sampler = (!loses_power).then(|| lab.sample());
    let mut run = RunningSkep::start(upgrade(lab, version), &folder.file("disturbed"));
    match run.ends_before(moment) {
        Some(code) => {
            outcome.story = format!("ended before {moment:.2} s with exit code {code}");
            if code != 0 {
                let bad = format!("an upgrade that was not disturbed has exit code {code}");
                outcome.violations.push(bad);
            }
        }
        None if loses_power => {
            let node = NODES[random.below(NODES.len())];
            outcome.hit = true;
            outcome.story = format!("{node} lost power after {moment:.2} s");
            lab.fault("stop", node, &["--now"])?;
            // The run may wait for the node, or end with an error.
            run.ends_before(moment + 15.0);
            run.kill();
            lab.fault("start", node, &[])?;
        }
        None => {
            run.kill();
            outcome.hit = true;
            outcome.story = format!("killed after {moment:.2} s");
        }
    }
    let mut code = 0;
    for number in 1..=MOST_APPLIES {
        // A node that lost power is back some time after its Engine.
        verify::wait_for_nodes(lab)?;
        let log = format!("upgrade-{number}");
        code = RunningSkep::start(upgrade(lab, version), &folder.file(&log)).wait()?;
        if code == 0 {
            verify::upgraded(lab, version)
                .map_err(|bad| format!("upgrade {number} ended with exit code 0, but: {bad}"))?;
            outcome.applies = Some(number);
            break;
        }
    }
    if let Some(sampler) = sampler {
        let samples = sampler.finish();
        folder.samples(&samples);
        (outcome.samples, outcome.thin) = (samples.len(), thin_samples(&samples));
        if stays_thin(&samples) {
            let bad = "fewer than two managers were reachable".to_owned();
            outcome.violations.push(bad);
        }
    }
    if code == 0 {
        Ok(())
    } else {
        Err(format!("upgrade {MOST_APPLIES} has exit code {code}"))
    }
}
