//! Text of a shell that becomes a stream to the Docker Engine of its host.

use super::{Privilege, TransportError, environment, header, quote};
use crate::transport::ssh::docker_listener;

/// Word for a host without a `docker` command.
pub(in crate::transport::ssh) const DIRECT: &str = "direct";
/// Reason of that word.
pub(in crate::transport::ssh) const NO_PROGRAM: &str =
    "the host has no `docker` program to reach its socket";

/// Returns the beginning of the line that tells whether an Engine answers. The words behind it are
/// `ready`, `absent` (nothing is installed), `missing` (there is no socket), [`DIRECT`], or `down`
/// and `failed` with a reason.
pub(in crate::transport::ssh) fn line_mark(mark: u128) -> String {
    format!("skep-{mark:032x}-engine ")
}

/// Builds the text. A connection to the socket of a stopped Engine would start it, so the shell
/// asks systemd first.
///
/// # Errors
/// [`TransportError::Unsendable`] for a path that cannot be passed to a shell.
pub(in crate::transport::ssh) fn text(socket: &str, mark: u128) -> Result<Vec<u8>, TransportError> {
    let line = line_mark(mark);
    let mut text = environment(&Privilege::Root).into_bytes();
    text.extend_from_slice(b"skep_socket=");
    quote(socket, "the path of the Engine's socket", &mut text)?;
    text.extend_from_slice(b"\nskep_why=$(set -- \"$skep_socket\" ");
    quote(docker_listener::SYSTEMD, "a path", &mut text)?;
    text.extend_from_slice(b"; eval ");
    quote(docker_listener::CHECK, "a script", &mut text)?;
    text.extend_from_slice(
        format!(
            r#" 2>&1); skep_status=$?
if [ "$skep_status" != 0 ] || [ -n "$skep_why" ]; then
  skep_word=down; [ "$skep_status" = 0 ] || skep_word=failed
  printf '{line}%s %s\n' "$skep_word" "$(printf %s "$skep_why" | tr '\n' ' ')"
elif [ ! -S "$skep_socket" ]; then
  if command -v dockerd >/dev/null || command -v docker >/dev/null; then echo '{line}missing'; else echo '{line}absent'; fi
elif ! command -v docker >/dev/null; then
  echo '{line}{DIRECT}'
else
  echo '{line}ready'; exec docker -H "unix://$skep_socket" system dial-stdio
fi
"#
        )
        .as_bytes(),
    );
    Ok([header(text.len(), super::LONGEST, ""), text].concat())
}
