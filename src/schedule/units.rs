//! The text of the service, of the timer and of the crontab line. Nothing is read or written here.

use std::fmt::Write as _;
use std::time::Duration;

use super::{MARK, Schedule, quote};

/// Sandbox of the service: everything that a network client does not need is denied. Home folders
/// stay readable, since they contain the keys and known_hosts; AF_UNIX is for ssh-agent and name
/// resolution. systemd.exec(5) explains each line.
const HARDENING: &str = "\
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
DevicePolicy=closed
PrivateUsers=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
KeyringMode=private
RemoveIPC=yes
UMask=0022
";

/// Returns the text of the service, which runs one check.
#[must_use]
pub fn service(schedule: &Schedule) -> String {
    let name = schedule.name.as_str();
    let command: Vec<String> = std::iter::once(schedule.program.to_string_lossy().into_owned())
        .chain(schedule.arguments.iter().cloned())
        .map(|word| quote::systemd(&word))
        .collect();
    let mut text = format!(
        "{MARK}[Unit]\nDescription=skep check ({name}): do the hosts match the playbook\n\
         Wants=network-online.target\nAfter=network-online.target\n\n\
         [Service]\nType=oneshot\nUser={}\nWorkingDirectory={}\nExecStart={}\nTimeoutStartSec={}\n",
        schedule.user,
        quote::setting(&schedule.folder.to_string_lossy()),
        command.join(" "),
        seconds(schedule.timeout),
    );
    if schedule.drift_is_success {
        text.push_str(
            "# The unit succeeds on drift: only the reports tell it.\nSuccessExitStatus=3\n",
        );
    } else {
        text.push_str("# Exit code 3 is drift. The unit fails on it, so that monitoring of failed units reports it.\n");
    }
    // A folder of the unit's own, since /var/lib/skep belongs to root on machines that skep
    // manages.
    let _ = write!(
        text,
        "\nStateDirectory={name}\nStateDirectoryMode=0750\nEnvironment=XDG_STATE_HOME=%S/{name}\n{HARDENING}"
    );
    for folder in &schedule.writable {
        let _ = writeln!(
            text,
            "ReadWritePaths={}",
            quote::listed(&folder.to_string_lossy())
        );
    }
    text
}

/// Returns the text of the timer. A run that was missed while the machine was off is made up for.
#[must_use]
pub fn timer(schedule: &Schedule) -> String {
    let name = schedule.name.as_str();
    let mut text = format!(
        "{MARK}[Unit]\nDescription=skep check ({name}), every {}\n\n[Timer]\nOnCalendar={}\nPersistent=true\nAccuracySec=5s\n",
        humantime::format_duration(schedule.every.duration()),
        schedule.every.calendar()
    );
    if !schedule.randomized_delay.is_zero() {
        // A fixed delay keeps the requested time between two checks.
        let _ = writeln!(
            text,
            "RandomizedDelaySec={}\nFixedRandomDelay=true",
            seconds(schedule.randomized_delay)
        );
    }
    text.push_str("\n[Install]\nWantedBy=timers.target\n");
    text
}

/// Returns a line for /etc/cron.d, which names the account. cron starts a check even if the
/// previous one still runs; `--single` then prevents the second one.
#[must_use]
pub fn cron(schedule: &Schedule) -> String {
    let words: Vec<String> = std::iter::once(schedule.program.to_string_lossy().into_owned())
        .chain(schedule.arguments.iter().cloned())
        .map(|word| quote::crontab(&word))
        .collect();
    format!(
        "{} {} cd {} && exec {}\n",
        schedule.every.crontab(),
        schedule.user,
        quote::crontab(&schedule.folder.to_string_lossy()),
        words.join(" ")
    )
}

fn seconds(duration: Duration) -> String {
    format!("{}s", duration.as_secs())
}
