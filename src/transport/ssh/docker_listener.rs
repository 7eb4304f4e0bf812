//! Checks that a process listens at the Engine's socket before anything connects to it. A socket of
//! systemd accepts connections while the Engine is stopped, and starts the Engine for them: reading
//! would change the host.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::SshConnection;
use crate::transport::{Connection as _, Exec, Privilege, TransportError};

/// Time for which a positive answer holds: the first streams of a connection are opened together.
const VALID_FOR: Duration = Duration::from_secs(1);

/// Prints nothing if a connection to the socket `$1` starts no program; otherwise the reason why it
/// would, in one line. Ends with 1 if systemd does not answer. The folder `$2` is there if systemd
/// runs.
///
/// A socket unit that listens has the state `listening`; while its service runs, the state is
/// `running`. A stopping service leaves the socket in that state, but a connection would start the
/// service again. Without systemd nothing is activated.
pub(super) const CHECK: &str = r#"
[ -d "$2" ] && command -v systemctl >/dev/null || exit 0
real=$(readlink -f -- "$1") || real=$1
units=$(systemctl show --no-pager --property=Id,ActiveState,SubState,Listen -- docker.service '*.socket') || exit 1
printf '%s\n\n' "$units" | {
  id= state= sub= ours= service= asleep= awake=
  while IFS= read -r line; do
    case $line in
    Id=*) id=${line#Id=} ;;
    ActiveState=*) state=${line#*=} ;;
    SubState=*) sub=${line#*=} ;;
    "Listen=$1 ("* | "Listen=$real ("*) ours=1 ;;
    '')
      [ "$id" != docker.service ] || service="$state $sub"
      [ -z "$ours" ] || [ "$sub" != listening ] || asleep=$id
      [ -z "$ours" ] || [ "$sub:$id" != running:docker.socket ] || awake=1
      id= state= sub= ours=
      ;;
    esac
  done
  if [ -n "$asleep" ]; then
    echo "docker.service is ${service% *}; only a connection through $asleep would start it"
  elif [ -n "$awake" ]; then
    case $service in
    active* | reloading* | refreshing*) ;;
    'activating auto-restart') echo "docker.service failed, and systemd will start it again" ;;
    activating*) ;;
    *) echo "docker.service is ${service% *} (${service#* })" ;;
    esac
  fi
}
exit 0
"#;

/// Folder that exists if systemd runs (sd_booted(3)).
pub(super) const SYSTEMD: &str = "/run/systemd/system";

/// Time of the last positive answer of a connection.
#[derive(Default)]
pub(super) struct ListenerCheck(Mutex<Option<Instant>>);

impl ListenerCheck {
    /// Forgets the last answer: the Engine may have stopped.
    pub(super) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn is_fresh(&self) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last.elapsed() < VALID_FOR)
    }

    fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// Checks that a connection to the Engine's socket starts no program.
///
/// # Errors
/// [`TransportError::NoDocker`] when it would, other variants when the connection is lost.
pub(super) async fn check(connection: &SshConnection) -> Result<(), TransportError> {
    let listener = &connection.docker_listener;
    if listener.is_fresh() {
        return Ok(());
    }
    // Every account may ask systemd, unless D-Bus is not installed.
    let mut privilege = Privilege::Login;
    loop {
        let exec = Exec {
            arguments: vec![connection.docker_socket.clone(), SYSTEMD.into()],
            privilege: privilege.clone(),
            timeout: Duration::from_secs(20),
            ..Exec::root(CHECK)
        };
        let output = connection.exec(exec).await?;
        let why = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if output.success() && why.is_empty() {
            listener.note();
            return Ok(());
        }
        if !output.success() && privilege == Privilege::Login && connection.elevation.is_possible()
        {
            privilege = Privilege::Root;
            continue;
        }
        let why = if output.success() {
            why
        } else {
            format!(
                "systemd does not tell whether it runs: {}",
                output.stderr_tail()
            )
        };
        return Err(TransportError::NoDocker {
            installed: true,
            why,
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    use super::*;

    /// Runs the check with a `systemctl` that prints these units; returns its status and output.
    fn check(units: &str, systemd: bool) -> (i32, String) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("systemctl");
        std::fs::write(&program, format!("#!/bin/sh\ncat <<'X'\n{units}\nX\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let booted = if systemd {
            folder.path()
        } else {
            "/nowhere".as_ref()
        };
        let output = Command::new("/bin/dash")
            .args(["-c", CHECK, "sh", "/var/run/docker.sock"])
            .arg(booted)
            .env("PATH", path)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap(), text.trim().to_owned())
    }

    fn units(service: (&str, &str), socket: &str) -> String {
        format!(
            "Id=docker.service\nActiveState={}\nSubState={}\n\n\
             Listen=/run/other.sock (Stream)\nId=other.socket\nActiveState=active\nSubState=listening\n\n\
             Listen=/run/docker.sock (Stream)\nId=docker.socket\nActiveState=active\nSubState={socket}",
            service.0, service.1
        )
    }

    #[test]
    fn only_a_running_engine_is_connected_to() {
        for (service, socket, expected) in [
            (("active", "running"), "running", ""),
            (("reloading", "reload"), "running", ""),
            (("activating", "start"), "running", ""),
            (("inactive", "dead"), "dead", ""),
            (
                ("inactive", "dead"),
                "listening",
                "docker.service is inactive; only a connection through docker.socket would start it",
            ),
            (
                ("failed", "failed"),
                "listening",
                "docker.service is failed; only a connection through docker.socket would start it",
            ),
            (
                ("deactivating", "stop-sigterm"),
                "running",
                "docker.service is deactivating (stop-sigterm)",
            ),
            (
                ("activating", "auto-restart"),
                "running",
                "docker.service failed, and systemd will start it again",
            ),
        ] {
            let said = check(&units(service, socket), true);
            assert_eq!(said, (0, expected.to_owned()), "{service:?} {socket}");
        }
        // Nothing is activated without systemd, or at a socket that no unit has.
        let asleep = units(("inactive", "dead"), "listening");
        assert_eq!(check(&asleep, false), (0, String::new()));
        let other = asleep.replace("/run/docker.sock", "/run/else.sock");
        assert_eq!(check(&other, true), (0, String::new()));
    }
}
