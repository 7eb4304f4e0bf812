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
/// would, in one line. Ends with 1 if systemd does not answer.
///
/// A socket unit that listens has the state `listening`; while its service runs, the state is
/// `running`. A stopping service leaves the socket in that state, but a connection would start the
/// service again. Without systemd nothing is activated.
const CHECK: &str = r#"
[ -d /run/systemd/system ] && command -v systemctl >/dev/null || exit 0
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
            arguments: vec![connection.docker_socket.clone()],
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
