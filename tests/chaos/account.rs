//! Judges the records of a trial: when Engines were down, and whether skep began a restart while
//! another manager was away. No input or output; `tests/it/chaos_account.rs` shows that each
//! judgement can fail.

/// A restart is not skep's fault if it begins within this many seconds after the loss of another
/// manager: skep asked the managers before, and no answer tells the future.
pub const UNKNOWN_SECONDS: f64 = 1.0;

/// State of a manager in one sample, read at its own socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampledState {
    /// The Engine answers, and is a manager of a swarm.
    Reachable,
    /// The Engine answers, and its swarm does not within a second: no leader is elected yet.
    NoLeader,
    /// The Engine answers, and is no manager at the moment.
    NoManager,
    /// The Engine runs, and does not answer within a second.
    Silent,
    /// No Engine runs.
    Absent,
}

impl SampledState {
    /// Returns true if the manager counts towards the majority: an election needs no more.
    pub fn is_reachable(self) -> bool {
        matches!(self, Self::Reachable | Self::NoLeader)
    }
}

/// A sample of the three managers, and of the worker, which a drift may have promoted. Times are
/// seconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct ManagerSample {
    pub at: f64,
    pub managers: [SampledState; 3],
    pub worker: SampledState,
}

impl ManagerSample {
    /// Returns true if fewer than two managers are reachable.
    pub fn is_thin(&self) -> bool {
        let nodes = self.managers.iter().chain([&self.worker]);
        let reachable = nodes.filter(|state| state.is_reachable());
        reachable.count() < 2
    }
}

/// Time in which an Engine was down, by the journal of systemd.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EngineDowntime {
    pub begin: f64,
    /// Time of its return; `None` if the Engine never came back.
    pub end: Option<f64>,
    /// True if systemd was told to stop the Engine, false if the Engine died.
    pub ordered: bool,
}

/// A manager that was taken away on purpose.
#[derive(Debug, Clone, Copy)]
pub struct ManagerLoss {
    pub manager: usize,
    /// Time at which the command began that took the manager away, and ended.
    pub begin: f64,
    pub done: f64,
    /// Time at which the command began that gave the manager back, and ended.
    pub given_back: f64,
    pub restored: f64,
    /// True if the manager comes back by itself; then only the samples tell when it was away.
    pub returns_alone: bool,
}

/// Returns the times in which the Engine was down, from `journalctl -u docker -o short-unix`.
pub fn downtimes(journal: &str) -> Vec<EngineDowntime> {
    let mut found: Vec<EngineDowntime> = Vec::new();
    for line in journal.lines() {
        let mut words = line.splitn(4, ' ');
        let (Some(time), Some(_host), Some(program), Some(text)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            continue;
        };
        let Ok(at) = time.parse::<f64>() else {
            continue;
        };
        if !program.starts_with("systemd[") {
            continue;
        }
        let down = found.last().is_some_and(|last| last.end.is_none());
        let stops = text.starts_with("Stopping docker.service");
        // "Starting" without an end before: the machine lost its power.
        let died = text.starts_with("docker.service: Main process exited")
            || text.starts_with("Starting docker.service");
        if text.starts_with("Started docker.service") {
            if let Some(last) = found.last_mut().filter(|last| last.end.is_none()) {
                last.end = Some(at);
            }
        } else if !down && (stops || died) {
            found.push(EngineDowntime {
                begin: at,
                end: None,
                ordered: stops,
            });
        }
    }
    found
}

/// Returns the seconds in which two of these Engines were down at the same time.
pub fn seconds_with_two_down(engines: &[Vec<EngineDowntime>]) -> f64 {
    let mut seconds = 0.0;
    for (at, one) in engines.iter().enumerate() {
        for other in &engines[at + 1..] {
            for (a, b) in one.iter().flat_map(|a| other.iter().map(move |b| (a, b))) {
                let begin = a.begin.max(b.begin);
                let end = a.end.unwrap_or(f64::MAX).min(b.end.unwrap_or(f64::MAX));
                // An Engine that never comes back counts a minute: infinite sums print badly.
                seconds += (end - begin).clamp(0.0, 60.0);
            }
        }
    }
    seconds
}

/// Returns the number of samples with fewer than two reachable managers.
pub fn thin_samples(samples: &[ManagerSample]) -> usize {
    samples.iter().filter(|sample| sample.is_thin()).count()
}

/// Returns true if two samples in a row have fewer than two reachable managers. A single one can be
/// an Engine that was slow to answer.
pub fn stays_thin(samples: &[ManagerSample]) -> bool {
    samples
        .windows(2)
        .any(|pair| pair.iter().all(ManagerSample::is_thin))
}

/// Returns the restarts of a manager's Engine that skep began: the ordered stops outside of the
/// commands that took this manager away or gave it back.
pub fn restarts_by_skep(
    manager: usize,
    downtimes: &[EngineDowntime],
    loss: Option<&ManagerLoss>,
) -> Vec<EngineDowntime> {
    let ours = |begin: f64| {
        loss.filter(|loss| loss.manager == manager)
            .is_some_and(|loss| {
                (loss.begin - 0.1..loss.done + 0.5).contains(&begin)
                    || (loss.given_back - 0.1..loss.restored + 0.5).contains(&begin)
            })
    };
    let ordered = downtimes
        .iter()
        .filter(|down| down.ordered && !ours(down.begin));
    ordered.copied().collect()
}

/// Returns true if the lost manager was seen away, and then reachable again before `until`: skep
/// itself started its Engine again, in a restart that it had begun before.
fn came_back(loss: &ManagerLoss, until: f64, samples: &[ManagerSample]) -> bool {
    let meanwhile = samples
        .iter()
        .filter(|sample| sample.at > loss.begin && sample.at < until);
    let mut states = meanwhile.map(|sample| sample.managers[loss.manager].is_reachable());
    states.any(|is_reachable| !is_reachable) && states.any(|is_reachable| is_reachable)
}

/// Returns the other manager that was known to be away when skep began the restart of `manager` at
/// `begin`, with the seconds that it had been away.
pub fn known_away(
    manager: usize,
    begin: f64,
    loss: Option<&ManagerLoss>,
    samples: &[ManagerSample],
) -> Option<(usize, f64)> {
    if let Some(loss) = loss.filter(|loss| loss.manager != manager && !loss.returns_alone)
        && begin - loss.begin > UNKNOWN_SECONDS
        && begin < loss.given_back
        && !came_back(loss, begin, samples)
    {
        return Some((loss.manager, begin - loss.begin));
    }
    // Whatever the reason is: a manager that did not answer before, and still does not.
    let after = samples.iter().position(|sample| sample.at > begin)?;
    let away = |at: usize, other: usize| !samples[at].managers[other].is_reachable();
    for other in (0..3).filter(|other| *other != manager) {
        let first = (0..=after).rev().take_while(|at| away(*at, other)).last();
        if let Some(first) = first.filter(|first| *first < after)
            && begin - samples[first].at > UNKNOWN_SECONDS
        {
            return Some((other, begin - samples[first].at));
        }
    }
    None
}
