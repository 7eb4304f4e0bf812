//! Takes a random manager away at a random moment while skep restarts all Engines. A restart that
//! skep begins while another manager is known to be away is a violation. After the manager is
//! back, two applies must converge.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::account::{
    EngineDowntime, ManagerLoss, downtimes, known_away, restarts_by_skep, thin_samples,
};
use crate::chaos_lab::{ChaosLab, MANAGERS, NODES};
use crate::lanes::{TrialQueue, caught, in_each, labs, mean};
use crate::options::{ChaosOptions, ChaosPart};
use crate::random::RandomStream;
use crate::report::{ChaosReport, TrialOutcome};
use crate::sampler::now;
use crate::trial::{RunningSkep, TrialFolder, converge};
use crate::{drift, verify};

/// An Engine of a lab node has no containers to start, so it is slowed down to be hit more often.
const SLOWER_START: u32 = 3;

#[derive(Clone, Copy, PartialEq, Eq)]
enum LossKind {
    Stopped,
    PowerCut,
    Unplugged,
    EngineStopped,
    EngineKilled,
}

impl LossKind {
    fn row(self) -> &'static str {
        match self {
            Self::Stopped | Self::PowerCut => "loss, machine stopped",
            Self::Unplugged => "loss, network unplugged",
            Self::EngineStopped => "loss, Engine stopped",
            Self::EngineKilled => "loss, dockerd killed",
        }
    }

    fn take_away(self, lab: &ChaosLab, node: &str) -> Result<(), String> {
        match self {
            Self::Stopped => lab.fault("stop", node, &[]),
            Self::PowerCut => lab.fault("stop", node, &["--now"]),
            Self::Unplugged => lab.fault("cut", node, &[]),
            Self::EngineStopped => lab
                .on(node, "systemctl stop docker.socket docker.service")
                .map(drop),
            // Its Engine may be in the middle of a restart, without a process.
            Self::EngineKilled => lab.on(node, "pkill -KILL -x dockerd || :").map(drop),
        }
    }

    fn give_back(self, lab: &ChaosLab, node: &str) -> Result<(), String> {
        match self {
            Self::Stopped | Self::PowerCut => lab.fault("start", node, &[]),
            Self::Unplugged => lab.fault("heal", node, &[]),
            Self::EngineStopped | Self::EngineKilled => {
                let script =
                    "systemctl reset-failed docker; systemctl start docker.socket docker.service";
                lab.on(node, script).map(drop)
            }
        }
    }
}

pub fn run(options: &ChaosOptions, report: &ChaosReport) {
    let mut labs = match labs("losses", options.lanes(ChaosPart::Losses)) {
        Ok(labs) => labs,
        Err(error) => return report.violation(format!("losses: {error}")),
    };
    println!("losses: measuring an apply that restarts all Engines");
    let measured: Result<Vec<f64>, String> = in_each(&mut labs, |lab| caught(|| prepare(lab)))
        .into_iter()
        .collect();
    let window = match measured {
        Ok(measured) => options.window(2).unwrap_or(mean(&measured)),
        Err(error) => return report.violation(format!("losses: without a loss: {error}")),
    };
    println!("losses: within {window:.1} s");
    let queue = TrialQueue::new(options.losses);
    in_each(&mut labs, |lab| {
        while let Some(number) = queue.take() {
            let started = Instant::now();
            let name = format!("losses-{number}");
            let mut folder = TrialFolder::new(&name);
            let mut random = RandomStream::of(options.seed(), "losses", number);
            let kind = random.one_of(&[
                LossKind::Stopped,
                LossKind::PowerCut,
                LossKind::Unplugged,
                LossKind::Unplugged,
                LossKind::EngineStopped,
                LossKind::EngineStopped,
                LossKind::EngineKilled,
                LossKind::EngineKilled,
            ]);
            let mut outcome = TrialOutcome::new(kind.row());
            let size = format!("{}m", 12 + number);
            let plan = LossPlan {
                kind,
                manager: random.below(3),
                moment: random.fraction() * window,
                seconds: 2.0 + random.fraction() * 18.0,
            };
            let tried = caught(|| {
                if !lab.converged {
                    lab.rebuild()?;
                    prepare(lab)?;
                }
                trial(lab, &folder, &plan, &size, &mut outcome)
            });
            outcome.violations.extend(tried.err());
            lab.converged = outcome.applies.is_some();
            if !outcome.violations.is_empty() {
                folder.keep(lab, &format!("{outcome:#?}"));
            }
            queue.done(outcome.hit);
            report.add(&name, started.elapsed().as_secs_f64(), outcome);
        }
    });
    if queue.hits() < options.losses {
        report.violation(format!("only {} losses hit a running apply", queue.hits()));
    }
}

/// Applies the whole cluster, and measures an apply that restarts all Engines.
fn prepare(lab: &mut ChaosLab) -> Result<f64, String> {
    let folder = TrialFolder::new(&format!("prepare-{}", lab.container("")));
    let run = |arguments: &[&str]| {
        let log = folder.file("apply");
        let mut run = RunningSkep::start(lab.skep("apply", arguments), &log);
        run.ends_before(crate::trial::RUN_LIMIT.as_secs_f64());
        let seconds = run.seconds();
        match run.wait()? {
            0 => Ok(seconds),
            code => {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                Err(format!("an apply in peace has exit code {code}:\n{said}"))
            }
        }
    };
    run(&["--yes"])?;
    lab.slow_engines(SLOWER_START)?;
    let seconds = run(&["restart.toml", "--yes", "-e", "size=\"11m\""])?;
    verify::restarted(lab, &NODES, "11m")?;
    lab.converged = true;
    Ok(seconds)
}

struct LossPlan {
    kind: LossKind,
    manager: usize,
    moment: f64,
    /// Seconds until the manager is given back.
    seconds: f64,
}

impl LossPlan {
    /// Waits for the moment, takes the manager away and gives it back. Returns None if the run
    /// ended before.
    fn carry_out(&self, lab: &ChaosLab, ended: &AtomicBool) -> Result<Option<ManagerLoss>, String> {
        let (started, node) = (Instant::now(), MANAGERS[self.manager]);
        while started.elapsed().as_secs_f64() < self.moment {
            if ended.load(Ordering::SeqCst) {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let begin = now();
        self.kind.take_away(lab, node)?;
        let done = now();
        std::thread::sleep(Duration::from_secs_f64(self.seconds));
        let given_back = now();
        self.kind.give_back(lab, node)?;
        Ok(Some(ManagerLoss {
            manager: self.manager,
            begin,
            done,
            given_back,
            restored: now(),
            returns_alone: self.kind == LossKind::EngineKilled,
        }))
    }
}

fn trial(
    lab: &ChaosLab,
    folder: &TrialFolder,
    plan: &LossPlan,
    size: &str,
    outcome: &mut TrialOutcome,
) -> Result<(), String> {
    drift::wait_for_managers(lab)?;
    let value = format!("size=\"{size}\"");
    let arguments = ["restart.toml", "-e", &value];
    let begin = now();
    let sampler = lab.sample();
    let command = lab.skep("apply", &[&arguments[..], &["--yes"]].concat());
    let ended = AtomicBool::new(false);
    let (code, loss) = std::thread::scope(|scope| {
        let run = RunningSkep::start(command, &folder.file("disturbed"));
        let losing = scope.spawn(|| plan.carry_out(lab, &ended));
        let code = run.wait();
        ended.store(true, Ordering::SeqCst);
        (code, losing.join().unwrap())
    });
    let (code, loss) = (code?, loss?);
    outcome.hit = loss.is_some();
    outcome.story = format!(
        "{} after {:.2} s for {:.1} s; the apply has exit code {code}",
        MANAGERS[plan.manager], plan.moment, plan.seconds
    );
    if !outcome.hit && code != 0 {
        outcome
            .violations
            .push(format!("an apply in peace has exit code {code}"));
    }
    let recovered = drift::wait_for_managers(lab);
    let samples = sampler.finish();
    folder.samples(&samples);
    (outcome.samples, outcome.thin) = (samples.len(), thin_samples(&samples));
    let mut account = format!("{loss:?}\n");
    for (at, node) in MANAGERS.iter().enumerate() {
        let journal = lab.journal(node, begin)?;
        let restarts: Vec<EngineDowntime> =
            restarts_by_skep(at, &downtimes(&journal), loss.as_ref());
        outcome.restarts += restarts.len();
        account.push_str(&format!("{node}: {restarts:?}\n"));
        for restart in restarts {
            if let Some((other, seconds)) = known_away(at, restart.begin, loss.as_ref(), &samples) {
                outcome.violations.push(format!(
                    "skep began to restart the Engine of {node} at {:.3}, when {} had been away for {seconds:.1} s",
                    restart.begin, MANAGERS[other]
                ));
            }
        }
    }
    std::fs::write(folder.file("account"), account).unwrap();
    recovered.map_err(|error| format!("the swarm did not recover: {error}"))?;
    let verified = || verify::restarted(lab, &NODES, size);
    outcome.applies = Some(converge(lab, folder, &arguments, verified)?);
    Ok(())
}
