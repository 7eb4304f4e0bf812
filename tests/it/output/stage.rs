//! Hosts with names, a folder with an inventory and a playbook, and transcripts of commands on
//! them.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use super::docker::{self, Answers};
use super::{redact, terminal};
use crate::ssh::sshd::{Sshd, must, public};

/// Hosts `docker01`, `docker02`, ... Each host sees its own `/srv`, `/run` and `/var/lib/skep`,
/// which are empty at first.
pub struct Stage {
    /// Servers, in the order of their names.
    pub hosts: Vec<Sshd>,
    /// Words that are replaced in each transcript, and their replacements.
    hidden: Vec<(String, String)>,
    folder: tempfile::TempDir,
}

const INVENTORY: &str =
    "[defaults]\nuser = 'root'\nagent = false\nssh_config = false\nknown_hosts = 'known_hosts'\n";

impl Stage {
    /// Makes this many hosts. The first host is in the group `managers`, the others in `workers`.
    pub fn new(count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hosts: Vec<Sshd> = (0..count).map(|_| apart()).collect();
        let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let mut stage = Self {
            hidden: vec![
                (format!("@{}", machine.trim()), "@[machine]".into()),
                (release(), "[release]".into()),
                ("(amd64)".into(), "([architecture])".into()),
                ("(arm64)".into(), "([architecture])".into()),
                (
                    concat!("skep ", env!("CARGO_PKG_VERSION")).into(),
                    "skep [version]".into(),
                ),
            ],
            hosts,
            folder,
        };
        let (mut inventory, mut known_hosts) = (INVENTORY.to_owned(), String::new());
        for (index, host) in stage.hosts.iter().enumerate() {
            let (number, group) = (index + 1, if index == 0 { "managers" } else { "workers" });
            inventory += &format!(
                "\n[hosts.docker0{number}]\naddress = '{}'\nport = {}\nidentity_file = '{}'\ngroups = ['{group}']\n\
                 vars = {{ swarm_address = '{}' }}\n",
                host.address,
                host.port,
                host.path("client").display(),
                docker::address(number)
            );
            known_hosts += &format!(
                "[{}]:{} {}\n",
                host.address,
                host.port,
                public(&host.path("host_ed25519"))
            );
            for (word, replacement) in [
                (
                    format!("{}:{}", host.address, host.port),
                    "[address]:[port]",
                ),
                (host.address.clone(), "[address]"),
                (host.port.to_string(), "[port]"),
                (host.folder.path().display().to_string(), "[keys]"),
            ] {
                stage.hidden.push((word, replacement.into()));
            }
        }
        stage
            .hidden
            .push((stage.folder.path().display().to_string(), "[folder]".into()));
        // The longest words come first, because some addresses are the beginning of others.
        stage
            .hidden
            .sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
        stage.write("inventory.toml", &inventory);
        stage.write("known_hosts", &known_hosts);
        stage
    }

    /// Sets the answers of a host's Docker daemon.
    pub fn docker(&self, number: usize, answers: Arc<Answers>) {
        docker::serve(&self.hosts[number - 1].path("engine"), answers);
    }

    /// Returns a path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in the folder.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Writes `site.toml`: one play on all hosts.
    pub fn playbook(&self, resources: &str) {
        self.write(
            "site.toml",
            &format!("[[plays]]\nname = 'Files'\nhosts = 'all'\nresources = [\n{resources}\n]\n"),
        );
    }

    /// Runs shell text on a host, by plain `ssh`.
    pub fn on(&self, number: usize, script: &str) {
        let host = &self.hosts[number - 1];
        let (key, port) = (
            host.path("client").display().to_string(),
            host.port.to_string(),
        );
        let target = format!("root@{}", host.address);
        let known = format!("UserKnownHostsFile={}", self.path("known_hosts").display());
        must(
            "ssh",
            &[
                "-q", "-F", "none", "-i", &key, "-o", &known, "-p", &port, &target, script,
            ],
        );
    }

    /// Runs a verb with the inventory and the playbook, and shows no output.
    pub fn quietly(&self, verb: &str, more: &[&str]) {
        let all = [&[verb, "-i", "inventory.toml", "site.toml"], more].concat();
        terminal::run(self.folder.path(), 80, &all);
    }

    /// Runs a verb with the inventory and the playbook, and returns the transcript.
    pub fn verb(&self, width: usize, verb: &str, more: &[&str]) -> String {
        self.skep(
            width,
            &[&[verb, "-i", "inventory.toml", "site.toml"], more].concat(),
        )
    }

    /// Runs `skep`, and returns the transcript: the command, its results, its messages and its exit
    /// code.
    pub fn skep(&self, width: usize, arguments: &[&str]) -> String {
        let printed = terminal::run(self.folder.path(), width, arguments);
        let names: Vec<String> = (1..=self.hosts.len())
            .map(|number| format!("docker0{number}"))
            .collect();
        let mut text = format!(
            "$ skep {}\n{}",
            arguments.join(" "),
            self.redacted(&printed.stdout)
        );
        if !printed.stderr.is_empty() {
            text += &format!(
                "---- stderr\n{}",
                redact::by_host(&self.redacted(&printed.stderr), &names)
            );
        }
        text + &format!("---- exit code {}\n", printed.code)
    }

    fn redacted(&self, text: &str) -> String {
        let hide =
            |text: String, (word, replacement): &(String, String)| text.replace(word, replacement);
        redact::varying(&self.hidden.iter().fold(text.to_owned(), hide))
    }
}

/// Starts a server in a mount namespace of its own, where Docker's socket is a link to `engine` in
/// the server's folder.
fn apart() -> Sshd {
    std::fs::create_dir_all("/var/lib/skep").unwrap();
    let mut sshd = Sshd::prepare("", &["ed25519"]);
    let script = format!(
        "for path in /var/lib/skep /run /srv; do mount -t tmpfs none \"$path\" || exit 1; done
         mkdir /run/sshd && ln -s {} /run/docker.sock && exec /usr/sbin/sshd \"$@\"",
        sshd.path("engine").display()
    );
    sshd.run_by(Command::new("unshare").args(["--mount", "sh", "-c", &script, "sshd"]));
    sshd
}

/// Returns the name of this machine's release, which each host reports.
fn release() -> String {
    let file = std::fs::read_to_string("/etc/os-release").unwrap();
    let mut names = file
        .lines()
        .filter_map(|line| line.strip_prefix("PRETTY_NAME="));
    names.next().unwrap().trim_matches('"').to_owned()
}
