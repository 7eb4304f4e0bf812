//! A lab environment of bare nodes for one test, removed at its end. The test inspects nodes with
//! `nsenter` (virtual machines with `ssh`), never through skep.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::node_namespaces;
use crate::skep::{Said, command, skep};

/// Nodes named docker01, docker02, ... with an inventory that reaches them.
pub struct TestLab {
    /// Name of the lab environment.
    pub name: String,
    folder: tempfile::TempDir,
}

impl TestLab {
    /// Creates one manager and two workers of Debian 13, with root as login user.
    pub fn up(name: &str) -> Self {
        Self::up_with(name, &[])
    }

    /// Creates nodes with more arguments for `lab up`.
    pub fn up_with(name: &str, more: &[&str]) -> Self {
        // The PID is part of the name: two runs at the same time do not collide, and leftovers of a
        // killed run can be recognized.
        let name = format!("t{}-{name}", std::process::id());
        let lab = Self {
            name,
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        let inventory = lab.inventory();
        let mut arguments = vec!["lab", "up", "--name", &lab.name, "--inventory", &inventory];
        if !more.contains(&"--user") {
            arguments.extend(["--user", "root"]);
        }
        arguments.extend(more);
        skep(&arguments).exits(0);
        lab
    }

    /// Creates nodes on which Docker is already installed: for tests of what comes after the
    /// installation. The installation itself takes much of a test's time.
    pub fn with_docker(name: &str, more: &[&str]) -> Self {
        Self::up_with(name, &[&["--with-docker"], more].concat())
    }

    /// Returns the names of the nodes, in order.
    pub fn nodes(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.inventory()).expect("the lab's inventory");
        let names = text.lines().filter_map(|line| {
            let name = line.strip_prefix("[hosts.")?.strip_suffix(']')?;
            Some(name.trim_matches('"').to_owned())
        });
        names.collect()
    }

    /// Returns the path of the lab's inventory.
    pub fn inventory(&self) -> String {
        self.path("lab.toml")
    }

    /// Returns a path in the test's own folder.
    pub fn path(&self, name: &str) -> String {
        self.folder
            .path()
            .join(name)
            .to_str()
            .expect("a UTF-8 path")
            .to_owned()
    }

    /// Writes a file in the test's own folder and returns its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = PathBuf::from(self.path(name));
        std::fs::write(&path, text).expect("a file in the test's folder");
        path.to_str().expect("a UTF-8 path").to_owned()
    }

    /// Runs a verb with the lab's inventory and the reference playbook.
    pub fn web2py(&self, verb: &str, more: &[&str]) -> Said {
        self.run(verb, "playbooks/web2py.toml", more)
    }

    /// Runs a verb with the lab's inventory and a playbook.
    pub fn run(&self, verb: &str, playbook: &str, more: &[&str]) -> Said {
        Said::from(
            self.command(verb, playbook, more)
                .output()
                .expect("skep starts"),
        )
    }

    /// Returns the command of a run that has not been started.
    pub fn command(&self, verb: &str, playbook: &str, more: &[&str]) -> Command {
        let inventory = self.inventory();
        let mut arguments = vec![verb, "-i", &inventory, playbook];
        arguments.extend(more);
        command(&arguments)
    }

    /// Loads an image built from Debian's packages into nodes' Engines, as `NAME:lab`; into all
    /// nodes if none is named.
    pub fn image(&self, name: &str, nodes: &[&str]) {
        skep(&[&["lab", "load", name, "--name", &self.name], nodes].concat()).exits(0);
    }

    /// Writes an inventory of these hosts with the lab's key; `settings` are lines of TOML for all
    /// of them. The key of any node is accepted at any address. Each host is a name and lines of
    /// its own.
    pub fn inventory_of(&self, file: &str, settings: &str, hosts: &[(&str, &str)]) -> String {
        let whole = self.table();
        let defaults = |key: &str| whole["defaults"][key].as_str().unwrap().to_owned();
        let lines = std::fs::read_to_string(defaults("known_hosts")).unwrap();
        let known: String = lines
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(_, key)| format!("* {key}\n"))
            .collect();
        let known = self.write(&format!("{file}.known"), &known);
        let key = defaults("identity_file");
        let mut text = format!(
            "[defaults]\nidentity_file = {key:?}\nknown_hosts = {known:?}\nagent = false\n{settings}\n"
        );
        for (name, lines) in hosts {
            text.push_str(&format!("[hosts.{name}]\n{lines}\n"));
        }
        self.write(file, &text)
    }

    /// Returns the address of a node on the lab's bridge.
    pub fn address(&self, node: &str) -> String {
        self.table()["hosts"][node]["address"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    fn table(&self) -> toml::Table {
        std::fs::read_to_string(self.inventory())
            .unwrap()
            .parse()
            .unwrap()
    }

    /// Returns the process ID of a node's first process on this machine.
    pub fn process(&self, node: &str) -> String {
        let container = format!("skep-{}-{node}", self.name);
        let output = Command::new("docker")
            .args(["inspect", "-f", "{{.State.Pid}}", &container])
            .output()
            .expect("docker starts");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Runs a fault verb of `skep lab`: `stop`, `start`, `cut`, `heal`.
    pub fn fault(&self, verb: &str, node: &str) {
        skep(&["lab", verb, node, "--name", &self.name]).exits(0);
    }

    /// Stops a node at once, like a power cut.
    pub fn cut_power(&self, node: &str) {
        skep(&["lab", "stop", node, "--now", "--name", &self.name]).exits(0);
    }

    /// Assigns a running node another address on the lab's bridge. The inventory and the lab's own
    /// records keep the old one.
    pub fn change_address(&self, node: &str, address: &str) {
        let (network, container) = (
            format!("skep-{}", self.name),
            format!("skep-{}-{node}", self.name),
        );
        for arguments in [
            &["network", "disconnect", &network, &container][..],
            &["network", "connect", "--ip", address, &network, &container],
        ] {
            let done = Command::new("docker")
                .args(arguments)
                .status()
                .expect("docker starts");
            assert!(done.success(), "docker {arguments:?}");
        }
    }

    /// Runs a shell script in a node; its status must be 0.
    #[track_caller]
    pub fn on(&self, node: &str, script: &str) -> String {
        let (status, text) = self.try_on(node, script);
        assert_eq!(status, 0, "`{script}` on {node}: {text}");
        text
    }

    /// Runs a shell script in a node; returns its status and output.
    pub fn try_on(&self, node: &str, script: &str) -> (i32, String) {
        // A program that the script leaves behind may keep its output open, so that the end of a
        // pipe would not come.
        let [stdout, stderr] = [(); 2].map(|()| tempfile::tempfile().expect("a temporary file"));
        let writer = |file: &File| Stdio::from(file.try_clone().expect("a descriptor"));
        let status = self
            .shell(node, script)
            .stdin(Stdio::null())
            .stdout(writer(&stdout))
            .stderr(writer(&stderr))
            .status()
            .expect("nsenter, or ssh, starts");
        let mut text = Vec::new();
        for mut file in [stdout, stderr] {
            file.rewind()
                .and_then(|()| file.read_to_end(&mut text))
                .expect("the output");
        }
        (
            status.code().unwrap_or(-1),
            String::from_utf8_lossy(&text).trim().to_owned(),
        )
    }

    /// Returns a command that enters a node without skep: a container by `nsenter`, a virtual
    /// machine by `ssh`.
    pub fn shell(&self, node: &str, script: &str) -> Command {
        let table = self.table();
        let Some(port) = table["hosts"][node].get("port") else {
            return node_namespaces::command_in(&format!("skep-{}-{node}", self.name), script);
        };
        let setting = |key: &str| table["defaults"][key].as_str().unwrap().to_owned();
        let mut command = Command::new("ssh");
        command.args([
            "-F",
            "/dev/null",
            "-o",
            "BatchMode=yes",
            "-o",
            "IdentityAgent=none",
            "-o",
            "LogLevel=ERROR",
        ]);
        command.args(["-o", "ConnectTimeout=60", "-o", "ServerAliveInterval=30"]);
        command.args([
            "-o",
            &format!("UserKnownHostsFile={}", setting("known_hosts")),
            "-i",
            &setting("identity_file"),
        ]);
        command.args(["-p", &port.to_string(), "root@127.0.0.1", script]);
        command
    }

    /// Copies a file of this machine into a node.
    #[track_caller]
    pub fn put(&self, node: &str, file: &str, place: &str) {
        let target = format!("skep-{}-{node}:{place}", self.name);
        let done = Command::new("docker")
            .args(["cp", "-q", file, &target])
            .status()
            .expect("docker starts");
        assert!(done.success(), "{file} cannot be copied to {target}");
    }

    /// Copies a file of a node into the test's own folder.
    #[track_caller]
    pub fn fetch(&self, node: &str, file: &str, name: &str) {
        let source = format!("skep-{}-{node}:{file}", self.name);
        let done = Command::new("docker")
            .args(["cp", "-q", &source, &self.path(name)])
            .status()
            .expect("docker starts");
        assert!(done.success(), "{source} cannot be copied");
    }

    /// Waits until a shell script ends with status 0 in a node.
    #[track_caller]
    pub fn until(&self, node: &str, script: &str, limit: Duration) {
        let started = Instant::now();
        loop {
            let (status, text) = self.try_on(node, script);
            if status == 0 {
                return;
            }
            assert!(
                started.elapsed() < limit,
                "`{script}` on {node} is still not so: {text}"
            );
            std::thread::sleep(Duration::from_millis(400));
        }
    }
}

/// Returns true if labs stay after their tests. `SKEP_KEEP_LOTS` is the older name of the variable.
pub fn keeps_labs() -> bool {
    ["SKEP_KEEP_LABS", "SKEP_KEEP_LOTS"]
        .iter()
        .any(|name| std::env::var_os(name).is_some())
}

impl Drop for TestLab {
    fn drop(&mut self) {
        if !keeps_labs() {
            let _ = Command::new(env!("CARGO_BIN_EXE_skep"))
                .args(["lab", "down", "--name", &self.name])
                .output();
        }
    }
}
