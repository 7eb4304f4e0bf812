//! The QEMU process of a machine: what it is started with, whether it runs, how it ends.
//! It is no child of whoever started it: a Ctrl-C meant for skep does not take the machine away, `skep lab down` does.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::address::MIRROR_ADDRESS;
use super::base_disk::BaseDisk;
use crate::lab::command::{LocalCommand, shell_word};
use crate::lab::error::LabError;

/// Memory of a machine in MiB. Three of them, an Engine in each, are what a test needs.
const MEMORY: u16 = 1280;
/// Memory that QEMU may take for translated code, in MiB.
const TRANSLATED: u16 = 160;
/// The cards are called eth0 and eth1, as on Vagrant's boxes. Where processors are shared, what takes a second may take minutes: no
/// unit is given up before ten.
const KERNEL_ARGUMENTS: &str = "root=/dev/vda rw console=ttyS0 net.ifnames=0 loglevel=4 systemd.default_timeout_start_sec=600 systemd.default_device_timeout_sec=600";
/// How long QEMU may take to end after it was told to, in seconds.
const END_SECONDS: u64 = 30;

/// The card of the private network, as QEMU's monitor calls it.
pub(super) const PRIVATE_CARD: &str = "private";
/// The card of the NAT.
pub(super) const NAT_CARD: &str = "nat";

/// What a machine is started with.
pub(super) struct QemuCommand<'a> {
    /// The name shown by `ps`.
    pub(super) name: &'a str,
    /// The machine's folder.
    pub(super) folder: &'a Path,
    pub(super) disk: &'a BaseDisk,
    /// Its number in the lot, from 1: the end of its private card's address.
    pub(super) number: u8,
    /// The port of loopback that leads to its SSH.
    pub(super) port: u16,
    /// Group and port of the lot's cable.
    pub(super) cable: &'a str,
    /// A static busybox, and the folder of packages that it offers to the machine.
    pub(super) busybox: &'a Path,
    pub(super) packages: &'a Path,
}

impl QemuCommand<'_> {
    /// Starts it; returns when QEMU has set up all of its devices.
    pub(super) fn run(&self) -> Result<(), LabError> {
        LocalCommand::new("qemu-system-x86_64")
            .arguments(self.arguments())
            .install_hint("apt-get install qemu-system-x86 qemu-utils (or run .ci/install --virtual-machines)")
            .seconds(120)
            .run()
            .map(drop)
    }

    fn arguments(&self) -> Vec<String> {
        let file = |name: &str| listed(&self.folder.join(name));
        // Each request starts a program of its own: nothing listens on this machine, and nothing is left behind.
        let offer = format!(
            "{} httpd -i -h {}",
            shell_word(self.busybox),
            shell_word(self.packages)
        )
        .replace(',', ",,");
        let words = [
            ("-name", self.name.to_owned()),
            // Emulated: slower than KVM, and the same on every machine. Kernels fault on QEMU 7.2's cmpxchg16b.
            ("-accel", format!("tcg,thread=multi,tb-size={TRANSLATED}")),
            ("-cpu", "max,cx16=off".to_owned()),
            ("-smp", "1".to_owned()),
            ("-m", MEMORY.to_string()),
            ("-kernel", self.disk.kernel().display().to_string()),
            (
                "-initrd",
                self.disk.initial_ram_disk().display().to_string(),
            ),
            ("-append", KERNEL_ARGUMENTS.to_owned()),
            (
                "-drive",
                format!(
                    "file={},format=qcow2,if=virtio,cache=unsafe,discard=unmap",
                    file("disk.qcow2")
                ),
            ),
            (
                "-drive",
                format!("file={},format=raw,if=virtio,readonly=on", file("seed")),
            ),
            (
                "-netdev",
                // `restrict`: no way out, not to this machine either, but for what is named here.
                format!(
                    "user,id={NAT_CARD},restrict=on,hostfwd=tcp:127.0.0.1:{}-:22,guestfwd=tcp:{MIRROR_ADDRESS}:80-cmd:{offer}",
                    self.port
                ),
            ),
            // The same address on every machine, as with VirtualBox.
            (
                "-device",
                format!("virtio-net-pci,netdev={NAT_CARD},mac=52:54:00:12:34:56,romfile="),
            ),
            (
                "-netdev",
                format!(
                    "socket,id={PRIVATE_CARD},mcast={},localaddr=127.0.0.1",
                    self.cable
                ),
            ),
            (
                "-device",
                format!(
                    "virtio-net-pci,netdev={PRIVATE_CARD},mac=52:54:00:38:00:{:02x},romfile=",
                    self.number
                ),
            ),
            ("-device", "virtio-rng-pci".to_owned()),
            ("-display", "none".to_owned()),
            ("-serial", format!("file:{}", file("console.log"))),
            (
                "-qmp",
                format!("unix:{},server=on,wait=off", file("monitor")),
            ),
            (
                "-pidfile",
                self.folder.join(PROCESS_FILE).display().to_string(),
            ),
        ];
        let flags = ["-nodefaults", "-no-user-config", "-daemonize"].map(str::to_owned);
        words
            .into_iter()
            .flat_map(|(option, value)| [option.to_owned(), value])
            .chain(flags)
            .collect()
    }
}

const PROCESS_FILE: &str = "process";

/// The process of the machine in this folder, when it runs.
pub(super) fn running(folder: &Path) -> Option<u32> {
    let process: u32 = fs::read_to_string(folder.join(PROCESS_FILE))
        .ok()?
        .trim()
        .parse()
        .ok()?;
    // The number may by now be another program's: this one names the folder.
    let words = fs::read(format!("/proc/{process}/cmdline")).ok()?;
    let words = String::from_utf8_lossy(&words).into_owned();
    let ours = listed(&folder.join("disk.qcow2"));
    words.contains(&format!("file={ours},")).then_some(process)
}

/// Waits until it has ended; whether it has.
pub(super) fn wait_for_end(folder: &Path, limit: Duration) -> bool {
    let started = Instant::now();
    while running(folder).is_some() {
        if started.elapsed() >= limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    true
}

/// Takes the power away; one that does not run is left as it is.
pub(super) fn kill(folder: &Path) -> Result<(), LabError> {
    let Some(process) = running(folder) else {
        return Ok(());
    };
    let killed = LocalCommand::new("kill")
        .arguments(["-9", &process.to_string()])
        .finish()?;
    if wait_for_end(folder, Duration::from_secs(END_SECONDS)) {
        return Ok(());
    }
    Err(killed.into_error())
}

/// A path in one of QEMU's lists, where a comma ends the value.
fn listed(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_machine_has_two_cards_and_no_way_out() {
        let disk = BaseDisk::at(Path::new("/cache/machine"));
        let start = QemuCommand {
            name: "skep-lab-docker02",
            folder: Path::new("/state/a,b/docker02"),
            disk: &disk,
            number: 2,
            port: 22_417,
            cable: "239.213.1.2:22416",
            busybox: Path::new("/state/busy box"),
            packages: Path::new("/cache/mirror"),
        };
        let line = start.arguments().join(" ");
        for part in [
            "file=/state/a,,b/docker02/disk.qcow2,format=qcow2",
            "user,id=nat,restrict=on,hostfwd=tcp:127.0.0.1:22417-:22,guestfwd=tcp:10.0.2.100:80-cmd:'/state/busy box' httpd -i -h '/cache/mirror'",
            "socket,id=private,mcast=239.213.1.2:22416,localaddr=127.0.0.1",
            "mac=52:54:00:38:00:02",
        ] {
            assert!(line.contains(part), "{part}\n{line}");
        }
    }

    #[test]
    fn another_program_with_its_number_is_not_the_machine() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(running(folder.path()), None);
        fs::write(
            folder.path().join(PROCESS_FILE),
            std::process::id().to_string(),
        )
        .unwrap();
        assert_eq!(running(folder.path()), None);
        kill(folder.path()).unwrap();
    }
}
