//! Hosts, a playbook and a state folder in a temporary folder, and the built `skep` that runs on
//! them.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::output::golden;
use crate::output::redact::varying;
use crate::ssh::sshd::{Sshd, must};

/// A small site: hosts `a`, `b`, ... with one playbook.
pub struct DriftSite {
    /// Servers, in the order of their names.
    pub hosts: Vec<Sshd>,
    folder: tempfile::TempDir,
}

/// Output of a finished run.
pub struct RunOutput {
    /// Exit code.
    pub code: i32,
    /// Results.
    pub stdout: String,
    /// Messages.
    pub stderr: String,
}

impl RunOutput {
    /// Fails the test with all output unless the exit code is this one.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "--- stdout\n{}\n--- stderr\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// Fails the test unless one of the streams contains the text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        let said = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(
            said,
            "`{text}` is not in the output\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// Compares the whole output with the snapshot file of this name.
    #[track_caller]
    pub fn shows(self, site: &DriftSite, name: &str) -> Self {
        let text = format!("{}---- stderr\n{}", self.stdout, self.stderr);
        let folder = site.folder.path().display().to_string();
        golden(name, &varying(&text.replace(&folder, "[folder]")));
        self
    }

    /// Fails the test if one of the streams contains the text.
    #[track_caller]
    pub fn does_not_say(self, text: &str) -> Self {
        let said = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(
            !said,
            "`{text}` was said\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout, self.stderr
        );
        self
    }
}

impl DriftSite {
    /// Makes this many hosts, without any file.
    pub fn new(count: usize) -> Self {
        let site = Self {
            hosts: (0..count).map(|_| Sshd::start_apart("")).collect(),
            folder: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir_all(site.path("inventory")).unwrap();
        let mut text = String::new();
        for (name, host) in "abcdefgh".chars().zip(&site.hosts) {
            std::fs::create_dir_all(site.path(&format!("host-{name}"))).unwrap();
            text += &format!(
                "[hosts.{name}]\naddress = \"{}\"\nport = {}\nuser = \"root\"\nagent = false\nidentity_file = \"{}\"\nknown_hosts = \"{}\"\n",
                host.address,
                host.port,
                host.path("client").display(),
                host.path("known_hosts").display()
            );
        }
        site.write("inventory/site.toml", &text);
        site
    }

    /// Returns a path in the site's folder. Host `a` keeps its files in `host-a/`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in the site's folder.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Reads a file in the site's folder.
    #[track_caller]
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Reads a JSON file in the site's folder.
    #[track_caller]
    pub fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }

    /// Writes a playbook of one play on all hosts; `HOST` stands for the host's own folder.
    pub fn playbook(&self, resources: &str) {
        let folder = format!("{}/host-{{{{ host.name }}}}", self.folder.path().display());
        let resources = resources.replace("HOST", &folder);
        self.write(
            "playbook.toml",
            &format!("[[plays]]\nname = 'files'\nhosts = 'all'\nresources = [\n{resources}\n]\n"),
        );
    }

    /// Runs a verb on the site's inventory and playbook, in the site's folder.
    pub fn run(&self, verb: &str, more: &[&str]) -> RunOutput {
        let mut arguments = vec![verb, "-i", "inventory", "playbook.toml"];
        arguments.extend(more);
        self.skep(&arguments)
    }

    /// Runs `skep` in the site's folder, with a home and a state folder in it.
    pub fn skep(&self, arguments: &[&str]) -> RunOutput {
        let output: Output = Command::new(env!("CARGO_BIN_EXE_skep"))
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .env("HOME", self.folder.path())
            .env("XDG_STATE_HOME", self.path("state"))
            .env_remove("SSH_AUTH_SOCK")
            .env_remove("SKEP_INVENTORY")
            .output()
            .expect("skep starts");
        RunOutput {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs sh text on a host, by plain `ssh`.
    pub fn on(&self, host: usize, script: &str) -> String {
        let sshd = &self.hosts[host];
        let identity = sshd.path("client");
        must(
            "ssh",
            &[
                "-q",
                "-F",
                "none",
                "-i",
                identity.to_str().unwrap(),
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=/dev/null",
                "-p",
                &sshd.port.to_string(),
                &format!("root@{}", sshd.address),
                script,
            ],
        )
    }
}
