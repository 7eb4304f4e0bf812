//! A virtual machine with its folder (disk, seed, host key, console, PID file): creates, starts,
//! stops and cuts it, and waits for its boot.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use super::address;
use super::base_disk::BaseDisk;
use super::qemu_process::{self, NAT_CARD, PRIVATE_CARD, QemuCommand};
use super::ssh_shell::SshShell;
use super::{monitor, seed};
use crate::lab::command::{LocalCommand, tail};
use crate::lab::error::LabError;
use crate::lab::key;
use crate::lab::mirror::{self, PackageMirror};
use crate::lab::node_state::NodeState;
use crate::lab::progress::ProgressFn;
use crate::lab::record::{LabNode, LabRecord};
use crate::lab::state::{StateDirectory, make_folder, remove_folder, write_file};

/// Time limit for a boot in seconds: the machines are emulated, and many share few processors.
const BOOT_SECONDS: u64 = 1200;
/// Time limit for a shutdown, in seconds.
const STOP_SECONDS: u64 = 180;
/// Maximum length of the path of a Unix socket (unix(7): 108 bytes with its NUL).
const SOCKET_LIMIT: usize = 107;

/// A virtual machine of an environment.
pub(crate) struct VirtualMachine {
    name: String,
    folder: PathBuf,
    remote: SshShell,
}

impl VirtualMachine {
    /// Returns the machine of this node, whether it exists or not.
    pub(crate) fn of(record: &LabRecord, state: &StateDirectory, node: &LabNode) -> Self {
        let remote = SshShell {
            port: node.port.unwrap_or_default(),
            identity_file: record.identity_file(state),
            known_hosts: record.known_hosts(state),
        };
        Self {
            name: node.name.clone(),
            folder: state.environment(&record.name).join(&node.name),
            remote,
        }
    }

    /// Creates the folder with all files for the first boot as far as they are missing, and returns
    /// the machine's line for `known_hosts`.
    pub(super) fn make(
        &self,
        node: &LabNode,
        disk: &BaseDisk,
        more: &str,
        progress: ProgressFn<'_>,
    ) -> Result<String, LabError> {
        make_folder(&self.folder)?;
        let socket = self.folder.join("monitor");
        if socket.as_os_str().len() > SOCKET_LIMIT {
            return Err(LabError::LongPath {
                path: socket,
                limit: SOCKET_LIMIT,
            });
        }
        let secret = self.folder.join("host_key");
        let public = key::pair(&secret, &self.name)?;
        let host_key = fs::read_to_string(&secret).map_err(LabError::file("read", &secret))?;
        write_file(
            &self.folder.join("seed"),
            &seed::disk(node, &host_key, more),
            0o600,
        )?;
        let place = self.folder.join("disk.qcow2");
        if !place.exists() {
            progress(&format!(
                "{}: creating it at {}, SSH on 127.0.0.1:{}",
                self.name, node.address, self.remote.port
            ));
            // Only a complete disk gets the final name. A link names the base disk, so that a later
            // recipe does not change an existing machine.
            let half = self.folder.join("disk.half");
            let base = self.base();
            let _ = fs::remove_file(&base);
            std::os::unix::fs::symlink(disk.folder(), &base)
                .map_err(LabError::file("link", &base))?;
            LocalCommand::new("qemu-img")
                .arguments(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"])
                .arguments([&disk.file_system(), &half])
                .install_hint("apt-get install qemu-utils (or run .ci/install --virtual-machines)")
                .run()?;
            fs::rename(&half, &place).map_err(LabError::file("rename", &half))?;
        }
        let words: Vec<&str> = public.split_whitespace().take(2).collect();
        Ok(format!(
            "[127.0.0.1]:{} {}\n",
            self.remote.port,
            words.join(" ")
        ))
    }

    /// Starts the machine if it does not run. Does not wait for the boot.
    pub(super) fn launch(
        &self,
        record: &LabRecord,
        state: &StateDirectory,
        mirror: &PackageMirror,
    ) -> Result<(), LabError> {
        if qemu_process::running(&self.folder).is_some() {
            return Ok(());
        }
        let base = self.base();
        let base = base.canonicalize().map_err(LabError::file("find", &base))?;
        self.mark_cut(false)?;
        let number = record
            .nodes
            .iter()
            .position(|node| node.name == self.name)
            .unwrap_or_default()
            + 1;
        QemuCommand {
            name: &record.container(&self.name),
            folder: &self.folder,
            disk: &BaseDisk::at(&base),
            number: u8::try_from(number).unwrap_or(u8::MAX),
            port: self.remote.port,
            multicast_group: &address::multicast_group(record, state),
            busybox: &busybox(&state.environment(&record.name), mirror)?,
            packages: &mirror.folder,
        }
        .run()
    }

    /// Starts the machine and waits until it has booted.
    pub(crate) fn start(
        &self,
        record: &LabRecord,
        state: &StateDirectory,
        progress: ProgressFn<'_>,
    ) -> Result<(), LabError> {
        let mirror = mirror::built(state, record.suite)?.ok_or_else(|| LabError::NoMirror {
            lab: record.name.to_string(),
        })?;
        self.launch(record, state, &mirror)?;
        self.wait_for_boot(progress)
    }

    /// Waits until systemd has started all units. Failed units are reported, but are no error.
    pub(super) fn wait_for_boot(&self, progress: ProgressFn<'_>) -> Result<(), LabError> {
        let started = Instant::now();
        let mut last = String::new();
        while started.elapsed() < Duration::from_secs(BOOT_SECONDS)
            && qemu_process::running(&self.folder).is_some()
        {
            match self.remote.shell("systemctl is-system-running || :", 60) {
                Ok(said) => match said.trim() {
                    "running" => return Ok(()),
                    "degraded" => {
                        let units = self.shell(
                            "systemctl --failed --plain --no-legend | cut -d ' ' -f 1",
                            60,
                        )?;
                        let units: Vec<&str> = units.split_whitespace().collect();
                        progress(&format!(
                            "note: {} booted with failed units: {}",
                            self.name,
                            units.join(", ")
                        ));
                        return Ok(());
                    }
                    other => last = format!("systemd reports `{other}`"),
                },
                Err(error) => last = error.to_string(),
            }
            std::thread::sleep(Duration::from_secs(1));
        }
        let console = self.folder.join("console.log");
        let said = fs::read(&console)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default();
        Err(LabError::MachineBoot {
            node: self.name.clone(),
            seconds: started.elapsed().as_secs(),
            last,
            tail: tail(&said, 15),
            console,
        })
    }

    /// Returns the state of the machine.
    pub(crate) fn state(&self) -> NodeState {
        if !self.folder.join("disk.qcow2").exists() {
            NodeState::Missing
        } else if qemu_process::running(&self.folder).is_none() {
            NodeState::Stopped
        } else if self.cut_mark().exists() {
            NodeState::Cut
        } else {
            NodeState::Running
        }
    }

    /// Shuts the machine down and waits. `at_once` cuts the power; a machine that does not end in
    /// time loses its power as well.
    pub(crate) fn stop(&self, at_once: bool) -> Result<(), LabError> {
        if qemu_process::running(&self.folder).is_some() && !at_once {
            // If SSH does not work, the virtual power button is pressed.
            if self.shell("systemctl --no-block poweroff", 120).is_err() {
                self.monitor("system_powerdown", &json!({}))?;
            }
            if qemu_process::wait_for_end(&self.folder, Duration::from_secs(STOP_SECONDS)) {
                return Ok(());
            }
        }
        qemu_process::kill(&self.folder)
    }

    /// Disconnects both network cards or connects them again: the addresses stay, packets are
    /// dropped.
    pub(crate) fn cut(&self, is_cut: bool) -> Result<(), LabError> {
        for card in [PRIVATE_CARD, NAT_CARD] {
            self.monitor("set_link", &json!({ "name": card, "up": !is_cut }))?;
        }
        self.mark_cut(is_cut)
    }

    /// Runs a shell script as root in the machine.
    pub(crate) fn shell(&self, script: &str, seconds: u64) -> Result<String, LabError> {
        self.remote
            .shell(script, seconds)
            .map_err(|error| error.while_doing(format!("in {}", self.name)))
    }

    /// Cuts the power and removes the disk.
    pub(crate) fn remove(&self) -> Result<(), LabError> {
        qemu_process::kill(&self.folder)?;
        remove_folder(&self.folder)
    }

    fn monitor(&self, command: &str, arguments: &serde_json::Value) -> Result<(), LabError> {
        monitor::execute(&self.folder.join("monitor"), command, arguments)
    }

    /// QEMU cannot be queried for the state of a link, so a file records it.
    fn cut_mark(&self) -> PathBuf {
        self.folder.join("cut")
    }

    fn mark_cut(&self, is_cut: bool) -> Result<(), LabError> {
        let mark = self.cut_mark();
        if is_cut {
            return write_file(&mark, b"", 0o644);
        }
        match fs::remove_file(&mark) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(LabError::file("remove", &mark)(error))
            }
            _ => Ok(()),
        }
    }

    fn base(&self) -> PathBuf {
        self.folder.join("base")
    }
}

/// Ends every machine that has a folder in this environment's folder, whatever the record says.
pub(crate) fn end_all(record: &Path, progress: ProgressFn<'_>) -> Result<(), LabError> {
    let Ok(entries) = fs::read_dir(record) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        if qemu_process::running(&entry.path()).is_some() {
            progress(&format!("stopping {}", entry.file_name().to_string_lossy()));
            qemu_process::kill(&entry.path())?;
        }
    }
    Ok(())
}

/// Returns the path of a static busybox in the environment's folder, extracted from the mirror's
/// images.
fn busybox(record: &Path, mirror: &PackageMirror) -> Result<PathBuf, LabError> {
    let place = record.join("busybox");
    if !place.exists() {
        let folder = tempfile::tempdir_in(record).map_err(LabError::file("create", record))?;
        LocalCommand::new("tar")
            .arguments(["-x", "-C"])
            .arguments([folder.path()])
            .arguments(["-f"])
            .arguments([mirror.folder.join("images/busybox.tar")])
            .arguments(["./bin/busybox"])
            .run()?;
        fs::rename(folder.path().join("bin/busybox"), &place)
            .map_err(LabError::file("write", &place))?;
    }
    Ok(place)
}
