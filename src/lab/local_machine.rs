//! Properties of the machine that the lab runs on: architecture, Debian mirror, privileges that
//! containers may get, and limits of the kernel.

use std::fs;
use std::path::Path;

use super::command::LocalCommand;
use super::error::LabError;

/// Fallback if apt names no mirror of Debian.
const PUBLIC_MIRROR: &str = "http://deb.debian.org/debian";

/// Capabilities, indexed by their number. Numbers above 37 are left out: older Engines reject their
/// names, and SYS_ADMIN includes what they allow.
const CAPABILITIES: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
];

/// Returns the architecture in Debian's notation (`amd64`).
pub(crate) fn architecture() -> Result<String, LabError> {
    let said = LocalCommand::new("dpkg")
        .arguments(["--print-architecture"])
        .run()?;
    Ok(said.trim().to_owned())
}

/// Returns the Debian mirror of this machine's apt, or the public mirror if there is none.
pub(crate) fn debian_mirror() -> String {
    let listed = LocalCommand::new("apt-get")
        .arguments(["indextargets", "--format", "$(REPO_URI)"])
        .arguments([
            "Created-By: Packages",
            "Origin: Debian",
            "Label: Debian",
            "Component: main",
        ])
        .finish();
    let listed = listed.map(|finished| finished.stdout).unwrap_or_default();
    let first = listed.lines().find(|line| line.starts_with("http"));
    first
        .unwrap_or(PUBLIC_MIRROR)
        .trim_end_matches('/')
        .to_owned()
}

/// Returns the arguments of `docker create` that let a container act as a whole machine.
///
/// `--privileged` fails if the bounding set lacks a capability; then every other capability is
/// named.
pub(crate) fn privileges() -> Vec<String> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let last = fs::read_to_string("/proc/sys/kernel/cap_last_cap")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(CAPABILITIES.len() - 1);
    privileges_for(bounding_set(&status), last)
}

fn bounding_set(status: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapBnd:"))
        .and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok())
        .unwrap_or(u64::MAX)
}

fn privileges_for(bounding: u64, last: usize) -> Vec<String> {
    let held = |number: usize| bounding >> number & 1 == 1;
    if (0..=last).all(held) {
        return vec!["--privileged".to_owned()];
    }
    let named = CAPABILITIES.iter().enumerate();
    let mut arguments: Vec<String> = named
        .filter(|(number, _)| *number <= last && held(*number))
        .map(|(_, name)| format!("--cap-add={name}"))
        .collect();
    for option in ["seccomp", "apparmor", "systempaths"] {
        arguments.push(format!("--security-opt={option}=unconfined"));
    }
    arguments
}

/// Returns one sentence for each feature that this kernel does not offer to nodes. The kernel's
/// files are read; nothing is tried out.
pub(crate) fn kernel_limits() -> Vec<&'static str> {
    let modules = Path::new("/proc/modules").exists();
    let filesystems = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers");
    let controllers = controllers
        .or_else(|_| fs::read_to_string("/sys/fs/cgroup/unified/cgroup.controllers"))
        .unwrap_or_default();
    // A kernel with modules may still load the missing ones, so only a kernel without modules is
    // judged.
    let mut limits = Vec::new();
    if !modules && !Path::new("/proc/net/ip_vs").exists() {
        limits.push("this kernel has no IPVS: virtual IPs and published ports without mode=host accept no traffic");
    }
    if !modules && !filesystems.contains("\tnfs") {
        limits.push("this kernel has no NFS: NFS volumes cannot be mounted");
    }
    if !controllers.split_whitespace().any(|name| name == "memory") {
        limits.push(
            "the cgroup v2 tree has no memory controller: limits of memory and CPU have no effect",
        );
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_allowed_is_privileged() {
        assert_eq!(privileges_for(u64::MAX, 40), ["--privileged"]);
    }

    #[test]
    fn one_capability_missing_names_the_others() {
        let arguments = privileges_for(bounding_set("CapBnd:\t000001fffeffffff\n"), 40);
        assert!(arguments.contains(&"--cap-add=SYS_ADMIN".to_owned()));
        assert!(!arguments.contains(&"--cap-add=SYS_RESOURCE".to_owned()));
        assert_eq!(arguments.len(), 37 + 3);
    }
}
