//! Shell text by which the command of a step holds a kernel lock on its host, for as long as the
//! command runs. Pure: returns text.

use super::quote;
use crate::transport::{StepLock, TransportError};

/// Status of a command that did not run because of its lock.
pub(in crate::transport::ssh) const REFUSED: i32 = 75;
/// Time in seconds to wait for an earlier step of the host, which may be about to end.
const PATIENCE: u64 = 10;

/// Marks the folder of the lock `$1` for the shell of a batch, if the run with the token `$2` has
/// it: no further change begins. `$3` is `on`, or `off` once the batch has ended.
pub(in crate::transport::ssh) const HOLD_BACK: &str = r#"
IFS= read -r token <"$1/owner" && [ "$token" = "$2" ] || exit 1
case $3 in
on) umask 077; : >"$1/stop" ;;
off) rm -f -- "$1/stop" ;;
esac
"#;

/// Returns the beginning of stderr of a command that did not run because of its lock.
pub(in crate::transport::ssh) fn refusal_mark(mark: u128) -> String {
    format!("skep-{mark:032x}-lock ")
}

/// Defines the function `skep_lock`, which takes the lock on descriptor 9 of this shell for the
/// step whose summary is its argument, and `skep_refused`, which prints the reason if that failed.
/// The shell keeps the descriptor, and closes it for every child that runs the step: a daemon that
/// the step starts does not inherit it. The token shows that no other run has the host's lock
/// meanwhile. The kernel ends the lock together with the shell. The shell of a batch takes the lock
/// once, and looks at the token before each step.
///
/// # Errors
/// [`TransportError::Unsendable`] for a value that cannot be passed to a shell.
pub(super) fn function(
    lock: &StepLock,
    mark: u128,
    text: &mut Vec<u8>,
) -> Result<(), TransportError> {
    text.extend_from_slice(b"skep_since=\nskep_lock() {\nset -- \"$1\"");
    for (value, what) in [
        (&lock.path, "the path of the lock"),
        (&lock.token, "the token of the lock"),
        (&lock.owner, "the owner of the lock"),
    ] {
        text.push(b' ');
        quote(&one_line(value), what, text)?;
    }
    text.extend_from_slice(
        format!(
            r#"
umask 077
if [ -z "${{skep_since-}}" ]; then
  skep_said="cannot use $2.d/work"
  exec 9>>"$2.d/work" || return {REFUSED}
  if ! flock -w {PATIENCE} 9; then
    skep_said="another step still works on the host: $(tr '\n' ' ' <"$2.d/step")"; return {REFUSED}
  fi
  skep_since=$(date -u '+%Y-%m-%d %H:%M:%S UTC')
fi
skep_said=; IFS= read -r skep_said <"$2/owner" || :
if [ "$skep_said" != "$3" ]; then
  skep_said='this run was silent for too long and lost its lock; run again'; return {REFUSED}
fi
skep_said="cannot write $2.d/step"
printf '%s\n' "$4" "$$" "$skep_since" "$1" >"$2.d/step" || return {REFUSED}
umask 022
unset skep_said
}}
skep_refused() {{ printf '%s%s' '{}' "$skep_said" >&2; }}
"#,
            refusal_mark(mark)
        )
        .as_bytes(),
    );
    Ok(())
}

/// The files of the lock have one value per line.
pub(super) fn one_line(value: &str) -> String {
    value
        .chars()
        .map(|one| {
            if one.is_control() && one != '\0' {
                ' '
            } else {
                one
            }
        })
        .collect()
}
