//! Complete runs over faulty links to real nodes: `check` and `apply` through a relay that cuts,
//! falls silent, flips bits or delays. At any position of the fault, the run is right or reports
//! clearly what is wrong, the node is never left half-changed, and the next `apply` converges.
//!
//! A packet only takes effect once it is complete, so the cuts are beside the ends of packets, in
//! both directions: at 20 of these places, spread over each run. `SKEP_CUT_POINTS=packets` tries
//! every place, `SKEP_CUT_POINTS=ends` the end of every packet without the bytes beside it.
//! `SKEP_CUT_POINTS=300` cuts each run after bytes instead, at 300 points of its length.
#![allow(
    clippy::print_stderr,
    reason = "what a long run saw is read by people; other runs are captured"
)]

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::node_snapshot::{PLAYBOOK, RESET, snapshot};
use crate::proxy::{FaultProxy, LinkFault};
use crate::skep::{Said, skep};
use crate::test_lab::TestLab;

/// The nodes that are changed, the node in sync, and the node with drift.
const CHANGED: [&str; 2] = ["docker01", "docker02"];
const IN_SYNC: &str = "docker03";
const DRIFTED: &str = "docker04";

/// Default number of points tried in a run.
const POINTS: usize = 20;

/// Amount of data of a complete run.
struct Length {
    bytes: u64,
    packets: [u64; 2],
}

/// A trial: verb, node, and fault of the link.
type Trial = (&'static str, &'static str, LinkFault);

struct Trials {
    lab: TestLab,
    runtime: tokio::runtime::Runtime,
    playbook: String,
    old: Vec<String>,
    new: Vec<String>,
    /// Expected output of a check of the node in sync, and of the node with drift.
    answers: [Vec<String>; 2],
    right: AtomicUsize,
    wrong: AtomicUsize,
    failed: AtomicUsize,
    next: AtomicUsize,
}

impl Trials {
    /// Runs a verb over a link without faults, and returns the amount of data.
    fn whole(&self, verb: &str, node: &str, code: i32) -> Length {
        let (said, proxy) = self.over(verb, node, LinkFault::None);
        said.exits(code);
        assert_eq!(proxy.connections(), 1, "one connection a run");
        Length {
            bytes: proxy.bytes(),
            packets: proxy.packets(),
        }
    }

    /// Runs a verb over a link with a fault; returns its output, and the link.
    fn over(&self, verb: &str, node: &str, weather: LinkFault) -> (Said, FaultProxy) {
        let address = self.lab.address(node);
        let proxy = self
            .runtime
            .block_on(FaultProxy::start(&address, 22, weather));
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        // With this cipher, the relay can see the ends of packets.
        let config = self.lab.write(
            &format!("config{number}"),
            "Host *\nServerAliveInterval 1\nServerAliveCountMax 3\nCiphers aes256-gcm@openssh.com\n",
        );
        let settings =
            format!("user = \"root\"\nssh_config = {config:?}\nconnect_timeout = \"3s\"");
        let host = format!("address = \"127.0.0.1\"\nport = {}", proxy.port);
        let inventory =
            self.lab
                .inventory_of(&format!("link{number}.toml"), &settings, &[(node, &host)]);
        let mut arguments = vec![verb, "-i", &inventory, &self.playbook, "--color", "never"];
        if verb == "apply" {
            arguments.push("--yes");
        }
        (skep(&arguments), proxy)
    }

    fn direct(&self, verb: &str, node: &str) -> Said {
        let more: &[&str] = if verb == "apply" {
            &["--yes", "--limit", node]
        } else {
            &["--limit", node]
        };
        self.lab.run(verb, &self.playbook, more)
    }

    /// Asserts that a failed run names the host and the reason.
    #[track_caller]
    fn is_clear(&self, trial: Trial, said: &Said) {
        let (_, node, _) = trial;
        let all = format!("{}{}", said.stderr, said.stdout);
        let why = [
            "connection lost: ",
            "cannot connect to ",
            "HOST KEY CHANGED",
        ];
        let named = all.contains(&format!("{node}: unreachable: "))
            || all.contains("  unreachable: ") && all.contains(node);
        let told = matches!(said.code, 1 | 4)
            && named
            && why.iter().any(|why| all.contains(why))
            && all.contains("try: ");
        assert!(
            told,
            "{trial:?}: exit {}\n--- stdout\n{}\n--- stderr\n{}",
            said.code, said.stdout, said.stderr
        );
    }

    fn check(&self, trial: Trial) {
        let (verb, node, weather) = trial;
        let expected = if node == IN_SYNC { 0 } else { 3 };
        let (said, _) = self.over(verb, node, weather);
        if said.code != expected {
            self.is_clear(trial, &said);
            assert!(
                !said.stdout.contains("In sync"),
                "{trial:?}: {}",
                said.stdout
            );
            self.wrong.fetch_add(1, Ordering::Relaxed);
            return;
        }
        assert_eq!(
            answer(&said),
            self.answers[usize::from(node == DRIFTED)],
            "{trial:?}:\n{}",
            said.stdout
        );
        self.right.fetch_add(1, Ordering::Relaxed);
    }

    fn apply(&self, trial: Trial) {
        let (verb, node, weather) = trial;
        let (said, _) = self.over(verb, node, weather);
        let state = snapshot(&self.lab, node);
        let made = state
            .things
            .iter()
            .zip(&self.new)
            .filter(|(thing, new)| thing == new)
            .count();
        eprintln!(
            "{weather:?}: exit {}, {made} of {} made",
            said.code,
            self.new.len()
        );
        if said.code == 0 {
            assert_eq!(
                state.things, self.new,
                "{trial:?} said that it was applied:\n{}",
                said.stdout
            );
            self.right.fetch_add(1, Ordering::Relaxed);
        } else {
            self.is_clear(trial, &said);
            self.wrong.fetch_add(1, Ordering::Relaxed);
        }
        for (index, thing) in state.things.iter().enumerate() {
            let whole = *thing == self.old[index] || *thing == self.new[index];
            assert!(
                whole,
                "{trial:?} left a thing half-changed: {thing}\nold {}\nnew {}",
                self.old[index], self.new[index]
            );
        }
        assert_eq!(state.left, "", "{trial:?} left names behind");
        let record = state.record.is_empty()
            || serde_json::from_str::<serde_json::Value>(&state.record).is_ok();
        assert!(record, "{trial:?} left half a record: {}", state.record);
        self.direct("apply", node).exits(0);
        let converged = snapshot(&self.lab, node);
        assert_eq!(
            (converged.things, converged.left),
            (self.new.clone(), String::new()),
            "after {trial:?}"
        );
        self.direct("check", node).exits(0).says("In sync");
        self.lab.on(node, RESET);
    }

    /// Runs the trials of one node. Trials that change nothing run in parallel with others.
    fn work(&self, queue: &Mutex<VecDeque<Trial>>) {
        loop {
            let Some(trial) = queue.lock().unwrap().pop_front() else {
                return;
            };
            let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                if trial.0 == "apply" {
                    self.apply(trial);
                } else {
                    self.check(trial);
                }
            }));
            if tried.is_err() {
                // The panic was already printed; the node is reset, so that the next trial is not
                // affected.
                self.failed.fetch_add(1, Ordering::Relaxed);
                self.lab
                    .on(trial.1, if trial.0 == "apply" { RESET } else { ":" });
            }
        }
    }
}

/// Returns the output of a check for each resource, without the times.
fn answer(said: &Said) -> Vec<String> {
    said.stdout
        .lines()
        .filter(|line| line.starts_with(' '))
        .map(str::to_owned)
        .collect()
}

/// Returns the number in `SKEP_CUT_POINTS`, or `None` if its value is not a number.
fn asked() -> Option<usize> {
    std::env::var("SKEP_CUT_POINTS").ok()?.parse().ok()
}

/// Returns the faults that cut a run.
fn cuts(run: &Length) -> Vec<LinkFault> {
    let places = FaultProxy::cut_points(run.packets);
    match (std::env::var("SKEP_CUT_POINTS").as_deref(), asked()) {
        (Ok("packets"), _) => places,
        (Ok("ends"), _) => places
            .into_iter()
            .filter(|weather| weather.cuts_at_an_end())
            .collect(),
        (_, Some(_)) => points(run).into_iter().map(LinkFault::CutAfter).collect(),
        _ => (0..POINTS)
            .map(|index| places[index * places.len() / POINTS])
            .collect(),
    }
}

/// Returns points from the first byte to behind the last.
fn points(run: &Length) -> Vec<u64> {
    let step = (run.bytes / asked().unwrap_or(POINTS) as u64).max(1);
    (0..)
        .map(|index| index * step + 1)
        .take_while(|at| *at < run.bytes + step)
        .collect()
}

fn trials(lab: TestLab) -> Trials {
    let playbook = lab.write("link.toml", PLAYBOOK);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (right, wrong, failed, next) = Default::default();
    let mut trials = Trials {
        lab,
        runtime,
        playbook,
        old: Vec::new(),
        new: Vec::new(),
        answers: Default::default(),
        right,
        wrong,
        failed,
        next,
    };
    for node in CHANGED.into_iter().chain([IN_SYNC, DRIFTED]) {
        trials.lab.on(node, RESET);
    }
    trials.old = snapshot(&trials.lab, CHANGED[0]).things;
    trials
}

#[test]
fn check_and_apply_over_broken_links() {
    let mut trials = trials(TestLab::up_with(
        "links",
        &["--managers", "1", "--workers", "3"],
    ));
    let started = Instant::now();
    let checked = trials.whole("check", DRIFTED, 3);
    let applied = trials.whole("apply", CHANGED[0], 0);
    trials.new = snapshot(&trials.lab, CHANGED[0]).things;
    for (old, new) in trials.old.iter().zip(&trials.new) {
        assert_ne!(
            old, new,
            "the playbook changes each thing that is looked at"
        );
    }
    trials.lab.on(CHANGED[0], RESET);
    trials.direct("apply", IN_SYNC).exits(0);
    trials.answers = [(IN_SYNC, 0), (DRIFTED, 3)]
        .map(|(node, code)| answer(&trials.direct("check", node).exits(code)));
    assert!(trials.answers[1].len() > 9, "{:?}", trials.answers);
    for (name, run) in [("a check", &checked), ("an apply", &applied)] {
        let [to_host, to_us] = run.packets;
        eprintln!(
            "{name} is {} bytes; {to_host} packets to the host, {to_us} back",
            run.bytes
        );
    }
    eprintln!("ready after {:?}", started.elapsed());

    let mut changing = CHANGED.map(|_| VecDeque::new());
    let mut looking = [IN_SYNC, DRIFTED].map(|_| VecDeque::new());
    for (index, weather) in cuts(&applied).into_iter().enumerate() {
        let node = index % CHANGED.len();
        changing[node].push_back(("apply", CHANGED[node], weather));
    }
    for (index, at) in points(&applied).into_iter().enumerate() {
        let node = (index / 4) % CHANGED.len();
        if index % 4 == 1 {
            changing[node].push_back(("apply", CHANGED[node], LinkFault::FlipBit(at + 7)));
        }
        if index % 12 == 2 {
            changing[node].push_back(("apply", CHANGED[node], LinkFault::SilentAfter(at)));
        }
    }
    for (index, weather) in cuts(&checked).into_iter().enumerate() {
        let (queue, node) = (index % 2, [IN_SYNC, DRIFTED][index % 2]);
        looking[queue].push_back(("check", node, weather));
    }
    for (index, at) in points(&checked).into_iter().enumerate() {
        let (queue, node) = (index % 2, [IN_SYNC, DRIFTED][index % 2]);
        if index % 3 == 1 {
            looking[queue].push_back(("check", node, LinkFault::FlipBit(at + 7)));
        }
        if index % 6 == 2 {
            looking[queue].push_back(("check", node, LinkFault::SilentAfter(at)));
        }
    }
    looking[0].push_back((
        "check",
        DRIFTED,
        LinkFault::Delayed(Duration::from_millis(150)),
    ));
    // Faults behind the end of a run: the runs are right, however the packets were cut.
    for (queue, node) in [IN_SYNC, DRIFTED, IN_SYNC].into_iter().enumerate() {
        let behind = LinkFault::SilentAfter(checked.bytes * 4);
        looking[queue % 2].push_back(("check", node, behind));
    }
    let queues: Vec<Mutex<VecDeque<Trial>>> = changing
        .into_iter()
        .chain(looking)
        .map(Mutex::new)
        .collect();
    let trials = &trials;
    std::thread::scope(|scope| {
        for queue in &queues {
            scope.spawn(move || trials.work(queue));
        }
    });
    let [right, wrong, failed] =
        [&trials.right, &trials.wrong, &trials.failed].map(|count| count.load(Ordering::Relaxed));
    eprintln!(
        "{right} runs were right, {wrong} said what is wrong; {:?}",
        started.elapsed()
    );
    assert_eq!(failed, 0, "trials that failed, shown above");
    assert!(
        right >= 3 && wrong > 20,
        "{right} right, {wrong} clear errors"
    );
}
