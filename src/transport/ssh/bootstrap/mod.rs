//! Sends a script to the host: with a short command line that any login shell reads alike, and a
//! text on standard input that carries arguments and script. Neither length limits nor process
//! lists see that text.

pub(super) mod step_lock;

use std::time::Duration;

use super::elevate::{self, Elevation, InnerCommand};
use crate::base::sh_quote;
use crate::transport::{Exec, Privilege, StepLock, TransportError};

/// Time in seconds between TERM and KILL, for a command that ignores TERM.
pub(super) const KILL_AFTER: u64 = 5;

/// Maximum time limit; a longer limit would overflow clocks.
pub(super) const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// Command line and text that are sent for one [`Exec`].
#[derive(Debug)]
pub(super) struct Bootstrap {
    /// Command line for the login shell (sh, bash, fish and csh read it alike).
    pub command: String,
    /// Beginning of standard input, before the input of the script.
    pub text: Vec<u8>,
    /// Marker on both outputs before the script, followed by the number of its process group and a
    /// line end; noise of login shells and sudo comes before it.
    pub begin: Vec<u8>,
    /// Marker on both outputs after the script.
    pub end: Vec<u8>,
}

/// Builds command line and text.
///
/// # Errors
/// [`TransportError::Unsendable`] for a value that cannot be passed to a shell.
pub(super) fn build(
    exec: &Exec,
    elevation: &Elevation,
    mark: u128,
) -> Result<Bootstrap, TransportError> {
    let begin = format!("skep-{mark:032x}-begin ");
    let end = format!("skep-{mark:032x}-end\n");
    let home = match exec.privilege {
        Privilege::User(_) => "HOME=$(getent passwd \"$(id -u)\" | cut -d: -f6); export HOME\n",
        Privilege::Login | Privilege::Root => "",
    };
    // A lock is held by a shell of root, outside of the other account's processes.
    let locks_outside = match (&exec.lock, &exec.privilege) {
        (Some(lock), Privilege::User(name)) if elevation.becomes_root() => Some((lock, name)),
        _ => None,
    };
    let locks_inside = exec.lock.as_ref().filter(|_| locks_outside.is_none());
    // The caught TERM keeps this shell alive until the script has ended: `timeout` watches only
    // this shell, and would not send KILL to a script that ignores TERM once this shell is gone.
    // The subshell starts with TERM as it was.
    let mut text = format!(
        "read -r skep_x skep_x skep_x skep_x skep_group skep_x </proc/$$/stat\n\
         printf '{begin}%s\\n' \"$skep_group\"; printf '{begin}%s\\n' \"$skep_group\" >&2\n\
         unset skep_x skep_group; trap : TERM; umask 022\n\
         PATH=${{PATH:+$PATH:}}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; LC_ALL=C.UTF-8\n\
         export PATH LC_ALL\n{home}set --"
    )
    .into_bytes();
    for (index, argument) in exec.arguments.iter().enumerate() {
        text.push(b' ');
        quote(argument, &format!("argument {}", index + 1), &mut text)?;
    }
    text.push(b'\n');
    // The subshell keeps `exit`, traps and variables of the script away from the commands after it.
    match locks_inside {
        Some(lock) => {
            step_lock::function(lock, mark, &mut text)?;
            text.extend_from_slice(b"if skep_lock; then (exec 9>&-; eval ");
        }
        None => text.extend_from_slice(b"(eval "),
    }
    quote(&exec.script, "the script", &mut text)?;
    text.push(b')');
    if locks_inside.is_some() {
        let refused = step_lock::REFUSED;
        text.extend_from_slice(format!("; else skep_refused; (exit {refused}); fi").as_bytes());
    }
    text.extend_from_slice(
        format!("\nset -- $?\nprintf %s '{end}'; printf %s '{end}' >&2; exit $1").as_bytes(),
    );
    let command = match locks_outside {
        None => command_line(&exec.privilege, exec.timeout, elevation, text.len(), mark)?,
        Some((lock, name)) => {
            let outer = around(lock, name, text.len(), &[&begin, &end], mark)?;
            let command =
                command_line(&Privilege::Root, exec.timeout, elevation, outer.len(), mark)?;
            text = [outer, text].concat();
            command
        }
    };
    Ok(Bootstrap {
        command,
        text,
        begin: begin.into_bytes(),
        end: end.into_bytes(),
    })
}

/// Returns the text of the shell of root that holds the lock while another account runs the next
/// `length` bytes of the text. That account gets neither the descriptor nor the token. If the lock
/// is not to be had, this shell prints both markers itself.
fn around(
    lock: &StepLock,
    account: &str,
    length: usize,
    [begin, end]: &[&str; 2],
    mark: u128,
) -> Result<Vec<u8>, TransportError> {
    let mut text = b"trap : TERM\n".to_vec();
    step_lock::function(lock, mark, &mut text)?;
    let refused = step_lock::REFUSED;
    let inner = format!(
        "{} sh -c '{}' 9>&-",
        elevate::run_as(account)?,
        read_text(length)
    );
    text.extend_from_slice(
        format!(
            "if skep_lock; then {inner}; exit $?; fi\n\
             printf '{begin}0\\n%s' '{end}'; printf '{begin}0\\n' >&2; skep_refused; printf %s '{end}' >&2; exit {refused}"
        )
        .as_bytes(),
    );
    Ok(text)
}

/// Returns the shell text that reads and runs exactly the next `length` bytes of the input.
fn read_text(length: usize) -> String {
    format!(r#"eval "$(dd bs={length} count=1 iflag=fullblock 2>/dev/null)""#)
}

/// Returns the command line. `dd` with full blocks reads exactly `length` bytes of a pipe and
/// leaves the rest to the script; `head -c` of some coreutils reads ahead.
fn command_line(
    privilege: &Privilege,
    timeout: Duration,
    elevation: &Elevation,
    length: usize,
    mark: u128,
) -> Result<String, TransportError> {
    // Zero means "no limit" to `timeout`.
    let seconds = timeout
        .clamp(Duration::from_millis(1), LONGEST)
        .as_secs_f64();
    let inner = InnerCommand {
        prefix: &format!("timeout -k {KILL_AFTER} {seconds:.3} "),
        script: &read_text(length),
    };
    elevation.command(privilege, &inner, mark)
}

/// Returns the command line that ends a process group, first with TERM, then with KILL. The script
/// is on the command line itself, because it consists of numbers and plain words only.
///
/// # Errors
/// [`TransportError::Unsendable`] for an account name that cannot be passed to a shell.
pub(super) fn end_group(
    group: u32,
    privilege: &Privilege,
    elevation: &Elevation,
    mark: u128,
) -> Result<String, TransportError> {
    let script = format!("kill -s TERM -- -{group}; sleep 1; kill -s KILL -- -{group}");
    // Root started the process group for the other account, so root ends it.
    let privilege = if matches!(privilege, Privilege::User(_)) {
        &Privilege::Root
    } else {
        privilege
    };
    elevation.command(
        privilege,
        &InnerCommand {
            prefix: "",
            script: &script,
        },
        mark,
    )
}

/// Appends a value as one word of a shell command.
fn quote(value: &str, what: &str, text: &mut Vec<u8>) -> Result<(), TransportError> {
    if value.contains('\0') {
        return Err(TransportError::Unsendable(format!(
            "{what} contains a NUL byte"
        )));
    }
    text.extend_from_slice(sh_quote(value).as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests;
