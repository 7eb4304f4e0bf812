//! Restart of a machine, and the identity of a boot, by which a run sees that the machine is back.

use std::time::Duration;

use super::Permit;
use crate::names::HostName;
use crate::runner::Fleet;
use crate::transport::{Exec, HostLock, TransportError};

/// Time limit of a command of this module.
const LIMIT: Duration = Duration::from_secs(30);

/// Prints the kernel's ID of the boot, and the time at which the first process started: a container
/// has the kernel of its host, and a first process of its own.
const IDENTITY: &str = "cat /proc/sys/kernel/random/boot_id && read -r line </proc/1/stat && set -- ${line##*)} && echo \"${20}\"";

/// The machine answers before it goes down, so that its end is no error of the connection.
const RESTART: &str = "systemctl --no-block reboot";

/// Returns the identity of the host's present boot.
///
/// # Errors
/// Reason why the host cannot be read, in one sentence.
pub async fn boot_identity(fleet: &Fleet, host: &HostName) -> Result<String, String> {
    let permit = Permit::grant();
    let connected = fleet.host(host).await.map_err(|error| error.to_string())?;
    let exec = Exec {
        timeout: LIMIT,
        ..Exec::root(IDENTITY)
    };
    let output = connected.run_step(&permit, exec).await;
    let output = output.map_err(|error| error.to_string())?;
    if !output.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Restarts a machine, with the lock of its host, which ends with the boot. Returns the identity of
/// the boot that ends.
///
/// # Errors
/// Reason why the machine does not restart, in one sentence.
pub async fn restart_machine(
    fleet: &Fleet,
    host: &HostName,
    owner: &str,
    wait: Duration,
) -> Result<String, String> {
    let before = boot_identity(fleet, host).await?;
    let permit = Permit::grant();
    let connected = fleet.host(host).await.map_err(|error| error.to_string())?;
    let connection = connected.connection(&permit).clone();
    let lock = HostLock::acquire(connection, &format!("{owner} for {host}"), wait).await;
    let lock = lock.map_err(|error| error.to_string())?;
    let exec = Exec {
        timeout: LIMIT,
        ..Exec::root(RESTART)
    };
    match connected.run_step(&permit, exec).await {
        Ok(output) if !output.success() => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            if let Err(error) = lock.release().await {
                tracing::debug!(%host, %error, "the lock was not released");
            }
            Err(format!("`{RESTART}` failed: {said}"))
        }
        // A machine that is faster than its answer is on its way all the same.
        Ok(_) | Err(TransportError::Lost(_)) => Ok(before),
        Err(error) => Err(error.to_string()),
    }
}
