//! A trial: its folder in target/chaos, its runs of skep with their output, and the state of the
//! nodes if it fails.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::account::ManagerSample;
use crate::chaos_lab::{ChaosLab, NODES};
use crate::interrupt;

/// Longest time of one run of skep.
pub const RUN_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Number of applies within which a disturbed cluster must be as the playbook wants it.
pub const MOST_APPLIES: usize = 2;

/// State of a node, for the folder of a failed trial.
const NODE_STATE: &str = "
exec 2>&1
echo '== processes'; ps axf -o pid,etimes,args | tail -n 80
echo '== docker'; systemctl status docker docker.socket --no-pager -n 0; docker info; docker node ls
echo '== daemon.json'; ls -la /etc/docker; cat /etc/docker/daemon.json
echo '== skep'; find / /run /tmp -xdev -name '*skep*'; cat /run/skep.lock/* 2>/dev/null
echo '== packages'; dpkg --audit; dpkg -l 'docker*' containerd.io
echo '== journal'; journalctl -u docker --no-pager -n 400
";

/// Folder of a trial. It is removed with its value unless the trial failed.
pub struct TrialFolder {
    path: PathBuf,
    kept: bool,
}

impl TrialFolder {
    /// Makes the folder anew.
    pub fn new(name: &str) -> Self {
        let path = crate::skep::root().join("target/chaos").join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self { path, kept: false }
    }

    /// Returns the path of a file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes the samples, one per line.
    pub fn samples(&self, samples: &[ManagerSample]) {
        let line = |sample: &ManagerSample| {
            format!(
                "{:.3} {:?} {:?}\n",
                sample.at, sample.managers, sample.worker
            )
        };
        let text: String = samples.iter().map(line).collect();
        std::fs::write(self.file("samples"), text).unwrap();
    }

    /// Keeps the folder, with the reason and the state of every node.
    pub fn keep(&mut self, lab: &ChaosLab, reason: &str) {
        self.kept = true;
        std::fs::write(self.file("reason"), reason).unwrap();
        for node in NODES {
            let (_, text) = lab.try_on(node, NODE_STATE);
            std::fs::write(self.file(node), text).unwrap();
        }
    }
}

impl Drop for TrialFolder {
    fn drop(&mut self) {
        // The folder of a trial that panicked stays as well.
        if !self.kept && !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// A run of skep. It is killed with its value.
pub struct RunningSkep {
    child: Child,
    started: Instant,
}

impl RunningSkep {
    /// Starts the command; its output goes to `log`.
    pub fn start(mut command: Command, log: &Path) -> Self {
        interrupt::pass();
        let file = File::create(log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Self {
            child,
            started: Instant::now(),
        }
    }

    /// Returns the exit code if the run has ended; -1 if a signal ended it.
    pub fn ended(&mut self) -> Option<i32> {
        let status = self.child.try_wait().unwrap()?;
        Some(status.code().unwrap_or(-1))
    }

    /// Waits until this many seconds after the start; returns the exit code if the run ended
    /// before.
    pub fn ends_before(&mut self, seconds: f64) -> Option<i32> {
        loop {
            if let Some(code) = self.ended() {
                return Some(code);
            }
            let rest = seconds - self.started.elapsed().as_secs_f64();
            if rest <= 0.0 {
                return None;
            }
            std::thread::sleep(Duration::from_secs_f64(rest.min(0.05)));
        }
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// If the run takes longer than [`RUN_LIMIT`]; it is killed.
    pub fn wait(mut self) -> Result<i32, String> {
        self.ends_before(RUN_LIMIT.as_secs_f64())
            .ok_or_else(|| format!("a run of skep did not end within {RUN_LIMIT:?}"))
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Ends the run with SIGKILL.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for RunningSkep {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Applies until the exit code is 0, then verifies the cluster and checks it. Returns the number of
/// applies.
///
/// # Errors
/// If the last apply failed, or the cluster is not as the apply said.
pub fn converge(
    lab: &ChaosLab,
    folder: &TrialFolder,
    arguments: &[&str],
    verify: impl Fn() -> Result<(), String>,
) -> Result<usize, String> {
    let run = |verb: &str, log: &str, more: &[&str]| {
        let command = lab.skep(verb, &[arguments, more].concat());
        RunningSkep::start(command, &folder.file(log)).wait()
    };
    let mut code = 0;
    for number in 1..=MOST_APPLIES {
        let log = format!("apply-{number}");
        code = run("apply", &log, &["--yes", "--lock-wait", "100s"])?;
        if code != 0 {
            continue;
        }
        verify().map_err(|bad| format!("apply {number} ended with exit code 0, but: {bad}"))?;
        return match run("check", "check", &[])? {
            0 => Ok(number),
            code => Err(format!(
                "after apply {number} had exit code 0, check has {code}"
            )),
        };
    }
    Err(format!("apply {MOST_APPLIES} has exit code {code}"))
}
