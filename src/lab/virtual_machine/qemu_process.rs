//! The QEMU process of a machine: command line, check whether it runs, and end.
//! QEMU runs as a daemon, not as a child: a Ctrl-C meant for skep does not stop the machine, `skep
//! lab down` does.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::address::MIRROR_ADDRESS;
use super::base_disk::BaseDisk;
use crate::base::sh_quote;
use crate::lab::command::LocalCommand;
use crate::lab::error::LabError;

/// Memory of a machine in MiB. A test needs three machines with a Docker Engine each.
const MEMORY: u16 = 1280;
/// Memory that QEMU may use for translated code, in MiB.
const TRANSLATION_CACHE: u16 = 160;
/// The cards are called eth0 and eth1, as on Vagrant's boxes. On shared processors, an operation of
/// a second may take minutes, so no unit times out before ten minutes.
const KERNEL_ARGUMENTS: &str = "root=/dev/vda rw console=ttyS0 net.ifnames=0 loglevel=4 systemd.default_timeout_start_sec=600 systemd.default_device_timeout_sec=600";
/// Time limit for the end of QEMU after the signal, in seconds.
const END_SECONDS: u64 = 30;

/// Name of the private network's card in QEMU's monitor.
pub(super) const PRIVATE_CARD: &str = "private";
/// Name of the NAT's card in QEMU's monitor.
pub(super) const NAT_CARD: &str = "nat";

/// Settings of a machine's QEMU command line.
pub(super) struct QemuCommand<'a> {
    /// Name shown by `ps`.
    pub(super) name: &'a str,
    /// Folder of the machine.
    pub(super) folder: &'a Path,
    pub(super) disk: &'a BaseDisk,
    /// Number of the machine in the environment, from 1; the last byte of the private card's MAC
    /// address.
    pub(super) number: u8,
    /// Loopback port that is forwarded to the machine's SSH.
    pub(super) port: u16,
    /// Multicast group and port of the environment's private network.
    pub(super) multicast_group: &'a str,
    /// Path of a static busybox, and the folder of packages that it serves to the machine.
    pub(super) busybox: &'a Path,
    pub(super) packages: &'a Path,
}

impl QemuCommand<'_> {
    /// Starts QEMU; returns after QEMU has set up all of its devices.
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
        // Each request starts a program of its own: nothing listens on this machine, and no process
        // is left behind.
        let offer = format!(
            "{} httpd -i -h {}",
            sh_quote(&self.busybox.to_string_lossy()),
            sh_quote(&self.packages.to_string_lossy())
        )
        .replace(',', ",,");
        let words = [
            ("-name", self.name.to_owned()),
            // Emulated: slower than KVM, and the same on every machine. Kernels fault on QEMU 7.2's
            // cmpxchg16b.
            (
                "-accel",
                format!("tcg,thread=multi,tb-size={TRANSLATION_CACHE}"),
            ),
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
                // `restrict` blocks all traffic to the outside and to this machine, except the
                // forwards named here.
                format!(
                    "user,id={NAT_CARD},restrict=on,hostfwd=tcp:127.0.0.1:{}-:22,guestfwd=tcp:{MIRROR_ADDRESS}:80-cmd:{offer}",
                    self.port
                ),
            ),
            // Same MAC address on every machine, as with VirtualBox.
            (
                "-device",
                format!("virtio-net-pci,netdev={NAT_CARD},mac=52:54:00:12:34:56,romfile="),
            ),
            (
                "-netdev",
                format!(
                    "socket,id={PRIVATE_CARD},mcast={},localaddr=127.0.0.1",
                    self.multicast_group
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

/// Returns the PID of the machine in this folder, or `None` if it does not run.
pub(super) fn running(folder: &Path) -> Option<u32> {
    let process: u32 = fs::read_to_string(folder.join(PROCESS_FILE))
        .ok()?
        .trim()
        .parse()
        .ok()?;
    // Another program may have this PID by now; the machine's command line names the folder.
    let words = fs::read(format!("/proc/{process}/cmdline")).ok()?;
    let words = String::from_utf8_lossy(&words).into_owned();
    let ours = listed(&folder.join("disk.qcow2"));
    words.contains(&format!("file={ours},")).then_some(process)
}

/// Waits until the process has ended. Returns false after `limit`.
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

/// Cuts the power. No effect on a machine that does not run.
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

/// Escapes a path for QEMU's option lists, where a comma ends the value.
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
            multicast_group: "239.213.1.2:22416",
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
