//! Sends a script to the host: with a short command line that any login shell reads alike and that
//! starts a shell, and a text on the standard input of that shell that carries arguments and
//! script. Neither length limits nor process lists see that text. The command line is the same for
//! every script of an account, so a shell can be started before its script is known.

pub(super) mod batch;
pub(super) mod dial;
pub(super) mod step_lock;

use std::time::Duration;

use super::elevate::{self, Elevation, InnerCommand};
use crate::base::sh_quote;
use crate::transport::{Exec, Privilege, StepLock, TransportError};

/// Time in seconds between TERM and KILL, for a command that ignores TERM.
pub(super) const KILL_AFTER: u64 = 5;

/// Maximum time limit; a longer limit would overflow clocks.
pub(super) const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// Words for the summary of a step, in errors.
const SUMMARY: &str = "the summary of the step";

/// Text that is sent for one [`Exec`].
#[derive(Debug)]
pub(super) struct Bootstrap {
    /// Account of the shell that reads the text; see [`shell_command`].
    pub shell: Privilege,
    /// Beginning of standard input, before the input of the script.
    pub text: Vec<u8>,
    /// Marker on both outputs before the script, followed by the number of its process group and a
    /// line end; noise of login shells and sudo comes before it.
    pub begin: Vec<u8>,
    /// Marker on both outputs after the script.
    pub end: Vec<u8>,
}

/// Builds the text.
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
    // A lock is held by a shell of root, outside of the other account's processes.
    let locks_outside = match (&exec.lock, &exec.privilege) {
        (Some(lock), Privilege::User(name)) if elevation.becomes_root() => Some((lock, name)),
        _ => None,
    };
    let locks_inside = exec.lock.as_ref().filter(|_| locks_outside.is_none());
    let mut text = opening(&exec.privilege, &begin);
    set_arguments(&exec.arguments, &mut text)?;
    // The subshell keeps `exit`, traps and variables of the script away from the commands after it.
    match locks_inside {
        Some(lock) => {
            step_lock::function(lock, mark, &mut text)?;
            text.extend_from_slice(b"if skep_lock ");
            quote(&step_lock::one_line(&lock.summary), SUMMARY, &mut text)?;
            text.extend_from_slice(b"; then (exec 9>&-; eval ");
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
    let (shell, run_as) = match &exec.privilege {
        Privilege::User(name) if locks_outside.is_none() && elevation.becomes_root() => {
            (Privilege::Root, elevate::run_as(name)?)
        }
        privilege => (privilege.clone(), String::new()),
    };
    let (shell, text) = match locks_outside {
        None => (
            shell,
            [header(text.len(), exec.timeout, &run_as), text].concat(),
        ),
        Some((lock, name)) => {
            let outer = around(lock, name, text.len(), &[&begin, &end], mark)?;
            let header = header(outer.len(), exec.timeout, "");
            (Privilege::Root, [header, outer, text].concat())
        }
    };
    Ok(Bootstrap {
        shell,
        text,
        begin: begin.into_bytes(),
        end: end.into_bytes(),
    })
}

/// Returns the beginning of the text of a shell: the marker with the number of its process group,
/// and the environment of the script.
///
/// The caught TERM keeps this shell alive until the script has ended: `timeout` watches only this
/// shell, and would not send KILL to a script that ignores TERM once this shell is gone. The
/// subshell of the script starts with TERM as it was.
fn opening(privilege: &Privilege, begin: &str) -> Vec<u8> {
    format!(
        "{READ_GROUP}printf '{begin}%s\\n' \"$skep_group\"; printf '{begin}%s\\n' \"$skep_group\" >&2\n{}",
        environment(privilege)
    )
    .into_bytes()
}

/// Sets `skep_group` to the process group of this shell.
const READ_GROUP: &str = "read -r skep_x skep_x skep_x skep_x skep_group skep_x </proc/$$/stat\n";

/// Returns the shell text that sets the environment of a script.
fn environment(privilege: &Privilege) -> String {
    let home = match privilege {
        Privilege::User(_) => "HOME=$(getent passwd \"$(id -u)\" | cut -d: -f6); export HOME\n",
        Privilege::Login | Privilege::Root => "",
    };
    format!(
        "unset skep_x skep_group; trap : TERM; umask 022\n\
         PATH=${{PATH:+$PATH:}}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; LC_ALL=C.UTF-8\n\
         export PATH LC_ALL\n{home}"
    )
}

/// Appends the positional parameters of the script.
fn set_arguments(arguments: &[String], text: &mut Vec<u8>) -> Result<(), TransportError> {
    text.extend_from_slice(b"set --");
    for (index, argument) in arguments.iter().enumerate() {
        text.push(b' ');
        quote(argument, &format!("argument {}", index + 1), text)?;
    }
    text.push(b'\n');
    Ok(())
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
    text.extend_from_slice(b"if skep_lock ");
    quote(&step_lock::one_line(&lock.summary), SUMMARY, &mut text)?;
    text.extend_from_slice(
        format!(
            "; then {inner}; exit $?; fi\n\
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

/// Returns the first line of standard input: the number of bytes of the text, its time limit in
/// seconds, and the words that run it as another account.
fn header(length: usize, timeout: Duration, run_as: &str) -> Vec<u8> {
    format!("{length} {} {run_as}\n", limit_seconds(timeout)).into_bytes()
}

/// Returns a time limit for `timeout`, in seconds. Zero would mean "no limit".
fn limit_seconds(timeout: Duration) -> String {
    let seconds = timeout
        .clamp(Duration::from_millis(1), LONGEST)
        .as_secs_f64();
    format!("{seconds:.3}")
}

/// Returns the command line that starts a shell, for the login shell (sh, bash, fish and csh read
/// it alike). The shell waits for the line of [`header`] on its standard input, then runs the text
/// behind it. `read` takes single bytes from a pipe, and `dd` with full blocks reads exactly the
/// text and leaves the rest to the script; `head -c` of some coreutils reads ahead. The shell ends
/// together with its input.
///
/// # Errors
/// [`TransportError::Unsendable`] for an account name that cannot be passed to a shell.
pub(super) fn shell_command(
    shell: &Privilege,
    elevation: &Elevation,
    mark: u128,
) -> Result<String, TransportError> {
    let run = r#"-c "eval \"\$(dd bs=$skep_l count=1 iflag=fullblock 2>/dev/null)\"""#;
    start_shell(shell, elevation, mark, run)
}

/// Returns the command line that reads the line of [`header`], and then starts a shell with these
/// arguments.
fn start_shell(
    shell: &Privilege,
    elevation: &Elevation,
    mark: u128,
    arguments: &str,
) -> Result<String, TransportError> {
    let script = format!(
        r#"read -r skep_l skep_t skep_u && exec timeout -k {KILL_AFTER} "$skep_t" $skep_u sh {arguments}"#
    );
    let inner = InnerCommand {
        prefix: "",
        script: &script,
    };
    elevation.command(shell, &inner, mark)
}

/// Maximum number of bytes of a text in a command line, which is a third longer in Base64. Servers
/// other than OpenSSH take packets of 32 KiB only.
const MOST_INLINE: usize = 20 * 1024;

/// Returns the command line of a shell that gets its whole input from the command line itself:
/// sshd takes no input before the command runs, so this saves a round trip. For texts that process
/// lists may show. `None` if the text is too long. Words stay short, because csh has a limit, and
/// they have no sign that a shell could read otherwise. The shell reads its commands from its
/// input: a command line arrives whole or not at all, so no part of the text runs alone.
///
/// # Errors
/// [`TransportError::Unsendable`] for an account name that cannot be passed to a shell.
pub(super) fn inline_command(
    shell: &Privilege,
    elevation: &Elevation,
    mark: u128,
    text: &[u8],
) -> Result<Option<String>, TransportError> {
    use base64ct::{Base64, Encoding as _};
    if text.len() > MOST_INLINE {
        return Ok(None);
    }
    let shell_command = start_shell(shell, elevation, mark, "")?;
    let encoded = Base64::encode_string(text);
    let words: Vec<&[u8]> = encoded.as_bytes().chunks(720).collect();
    let words = words.join(&b" "[..]);
    let words = String::from_utf8_lossy(&words);
    Ok(Some(format!("echo {words} | base64 -di | {shell_command}")))
}

/// Returns the command line that ends process groups, first with TERM, then with KILL. The script
/// is on the command line itself, because it consists of numbers and plain words only.
///
/// # Errors
/// [`TransportError::Unsendable`] for an account name that cannot be passed to a shell.
pub(super) fn end_groups(
    groups: &[u32],
    privilege: &Privilege,
    elevation: &Elevation,
    mark: u128,
) -> Result<String, TransportError> {
    let groups: String = groups.iter().map(|group| format!(" -{group}")).collect();
    let script = format!("kill -s TERM --{groups}; sleep 1; kill -s KILL --{groups}");
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
