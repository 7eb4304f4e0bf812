//! A local command that prints a secret (`pass`, `sops`, `secret-tool`, ...). No error contains the
//! output of the command.

use std::process::Stdio;
use std::time::Duration;

use secrecy::SecretString;
use tokio::process::Command;
use zeroize::Zeroizing;

use super::TransportError;
use crate::base::child_command;

/// Time limit of the command; a password manager may prompt its user in that time.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs a command with `sh -c` and returns the first line of its output. Its stderr goes to the
/// user.
///
/// # Errors
/// [`TransportError::Secret`] when the command fails or prints nothing. No message contains its
/// output.
pub(super) async fn first_line(
    command: &str,
    setting: &'static str,
) -> Result<SecretString, TransportError> {
    let trouble = |why: String| TransportError::Secret { setting, why };
    let mut shell = Command::from(child_command("sh"));
    shell.args(["-c", command]).kill_on_drop(true);
    shell
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    let output = match tokio::time::timeout(LIMIT, shell.output()).await {
        Ok(result) => result.map_err(|error| trouble(format!("sh cannot be started: {error}")))?,
        Err(_) => return Err(trouble("the command timed out".into())),
    };
    let printed = Zeroizing::new(output.stdout);
    if !output.status.success() {
        return Err(trouble(format!("the command ended with {}", output.status)));
    }
    let line = printed
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match std::str::from_utf8(line) {
        Ok("") => Err(trouble("the command printed nothing".into())),
        Ok(text) => Ok(SecretString::from(text)),
        Err(_) => Err(trouble("the command's output is not valid UTF-8".into())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use secrecy::ExposeSecret as _;

    use super::*;

    #[tokio::test]
    async fn first_line_is_the_secret_and_errors_do_not_contain_it() {
        let secret = first_line("printf 'one two\\r\\nthree\\n'", "password_command")
            .await
            .unwrap();
        assert_eq!(secret.expose_secret(), "one two");
        for (command, wanted) in [
            ("echo hunter2; exit 3", "exit status: 3"),
            ("true", "printed nothing"),
            ("printf '\\377'", "not valid UTF-8"),
        ] {
            let error = first_line(command, "password_command")
                .await
                .unwrap_err()
                .to_string();
            assert!(
                error.contains(wanted) && error.contains("password_command"),
                "{error}"
            );
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
