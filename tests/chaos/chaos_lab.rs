//! A lab environment of three managers and a worker that many trials use one after the other, with
//! the playbooks of the chaos runs.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::interrupt;
use crate::sampler::ManagerSampler;
use crate::test_lab::TestLab;

pub const MANAGERS: [&str; 3] = ["docker01", "docker02", "docker03"];
pub const WORKER: &str = "docker04";
pub const NODES: [&str; 4] = ["docker01", "docker02", "docker03", "docker04"];

const SIZE: [&str; 4] = ["--managers", "3", "--workers", "1"];

/// The whole cluster: the shipped playbooks of Docker and the swarm, files of each kind, labels.
const CLUSTER: &str = r#"
include = ["docker.toml", "swarm.toml"]

[vars]
insecure_registries = ["docker01:5000"]
registry_mirrors = ["http://docker01:5000"]

[[plays]]
name = "Names, files and labels"
hosts = "all"
resources = [
  { loop = "{{ hosts_in('all') }}", hosts_entry = { address = "{{ item.swarm_address }}", names = ["{{ item.name }}"] } },
  { directory = { path = "/srv/chaos", mode = "0750" } },
  { file = { path = "/srv/chaos/big", content = "{{ 'a line of the file\n' * 3000 }}", mode = "0640" } },
  { symlink = { path = "/srv/link", target = "/srv/chaos/big" } },
  { sysctl = { key = "net.ipv4.ip_forward", value = 1 } },
  { node_labels = { labels = { chaos = "a", name = "{{ host.name }}" } } },
]
"#;

/// Only the configuration of the Engines; another `size` restarts them.
const RESTART: &str = r#"
[vars]
size = "10m"

[[plays]]
name = "Restart"
hosts = "all"
resources = [
  { daemon_json = { insecure-registries = ["docker01:5000"], registry-mirrors = ["http://docker01:5000"], log-driver = "json-file", log-opts = { max-size = "{{ size }}", max-file = "3" } } },
]
"#;

/// The nodes, and the state that trials left.
pub struct ChaosLab {
    lab: TestLab,
    /// True if the last apply of the whole cluster was verified.
    pub converged: bool,
    /// Paths on each node after an apply that nobody disturbed; see [`crate::verify`].
    pub paths: Vec<String>,
}

impl ChaosLab {
    /// Creates the nodes.
    pub fn up(name: &str) -> Self {
        interrupt::pass();
        let lab = TestLab::up_with(&format!("chaos-{name}"), &SIZE);
        // A playbook includes files of its own folder.
        for name in ["docker.toml", "swarm.toml"] {
            let shipped = crate::skep::root().join("playbooks").join(name);
            lab.write(name, &std::fs::read_to_string(shipped).unwrap());
        }
        lab.write("cluster.toml", CLUSTER);
        lab.write("restart.toml", RESTART);
        Self {
            lab,
            converged: false,
            paths: Vec::new(),
        }
    }

    /// Removes all nodes with their data, and creates new ones with the same names and addresses.
    ///
    /// # Errors
    /// If the lab fails.
    pub fn rebuild(&mut self) -> Result<(), String> {
        self.converged = false;
        for node in NODES {
            let container = self.container(node);
            docker(&["rm", "--force", "--volumes", &container])?;
            docker(&["volume", "rm", "--force", &format!("{container}-docker")])?;
        }
        let inventory = self.lab.inventory();
        let first = [
            "lab",
            "up",
            "--name",
            &self.lab.name,
            "--inventory",
            &inventory,
        ];
        let command = crate::skep::command(&[&first[..], &["--user", "root"], &SIZE].concat());
        finish(command).map(drop)
    }

    /// Returns the name of a node's container.
    pub fn container(&self, node: &str) -> String {
        format!("skep-{}-{node}", self.lab.name)
    }

    /// Returns the command of a run for the whole cluster, or for a playbook among the arguments.
    pub fn skep(&self, verb: &str, arguments: &[&str]) -> Command {
        let (playbook, rest) = match arguments.split_first() {
            Some((&"restart.toml", rest)) => ("restart.toml", rest),
            _ => ("cluster.toml", arguments),
        };
        let mut command = self.lab.command(verb, &self.lab.path(playbook), rest);
        // Its history is not mixed with that of the operator.
        command
            .env("XDG_STATE_HOME", self.lab.path("state"))
            .env("NO_COLOR", "1");
        command
    }

    /// Runs a fault verb of `skep lab` on a node: `stop`, `start`, `cut`, `heal`.
    ///
    /// # Errors
    /// If the lab fails.
    pub fn fault(&self, verb: &str, node: &str, more: &[&str]) -> Result<(), String> {
        let first = ["lab", verb, node, "--name", &self.lab.name];
        finish(crate::skep::command(&[&first, more].concat())).map(drop)
    }

    /// Loads an image of the lab into all Engines.
    pub fn image(&self, name: &str) {
        interrupt::pass();
        self.lab.image(name, &NODES);
    }

    /// Runs a shell script on a node; returns its status and output.
    pub fn try_on(&self, node: &str, script: &str) -> (i32, String) {
        interrupt::pass();
        self.lab.try_on(node, script)
    }

    /// Runs a shell script on a node.
    ///
    /// # Errors
    /// If its status is not 0.
    pub fn on(&self, node: &str, script: &str) -> Result<String, String> {
        match self.try_on(node, script) {
            (0, text) => Ok(text),
            (status, text) => Err(format!("`{script}` on {node}: status {status}: {text}")),
        }
    }

    /// Waits until a shell script ends with status 0 on a node.
    ///
    /// # Errors
    /// If it does not within the limit.
    pub fn until(&self, node: &str, script: &str, limit: Duration) -> Result<(), String> {
        let started = Instant::now();
        while let Err(last) = self.on(node, script) {
            if started.elapsed() > limit {
                return Err(format!("not within {limit:?}: {last}"));
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    }

    /// Starts to sample the managers.
    pub fn sample(&self) -> ManagerSampler {
        ManagerSampler::start(NODES.map(|node| self.container(node)))
    }

    /// Returns the journal of a node's Engine since a time, with times in seconds since 1970.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn journal(&self, node: &str, since: f64) -> Result<String, String> {
        let script = format!("journalctl -u docker -o short-unix --no-pager --since @{since:.3}");
        self.on(node, &script)
    }

    /// Makes each Engine take this many seconds more to start, as on machines with containers.
    ///
    /// # Errors
    /// If a node fails.
    pub fn slow_engines(&self, seconds: u32) -> Result<(), String> {
        let script = format!(
            "mkdir -p /etc/systemd/system/docker.service.d\n\
             printf '[Service]\\nExecStartPre=/bin/sleep {seconds}\\n' >/etc/systemd/system/docker.service.d/slow.conf\n\
             systemctl daemon-reload"
        );
        NODES
            .iter()
            .try_for_each(|node| self.on(node, &script).map(drop))
    }
}

fn docker(arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new("docker");
    command.args(arguments);
    finish(command)
}

/// Runs a command to its end; its status must be 0.
fn finish(mut command: Command) -> Result<String, String> {
    interrupt::pass();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(format!("{command:?}: {}: {text}", output.status))
}
