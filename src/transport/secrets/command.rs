//! A local command that prints a secret (`pass`, `sops`, `secret-tool`, ...).

use std::process::Stdio;
use std::time::Duration;

use secrecy::SecretString;
use tokio::process::Command;
use zeroize::Zeroizing;

use super::TransportError;

/// A password manager may ask its user meanwhile.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs it with `sh -c` and gives the first line of what it prints. What it says on stderr goes to the user.
///
/// # Errors
/// [`TransportError::Secret`] when it fails or prints nothing. No message holds what it printed.
pub async fn first_line(
    command: &str,
    setting: &'static str,
) -> Result<SecretString, TransportError> {
    let trouble = |why: String| TransportError::Secret { setting, why };
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).kill_on_drop(true);
    shell
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    super::hide_secrets(&mut shell);
    let output = match tokio::time::timeout(LIMIT, shell.output()).await {
        Ok(result) => result.map_err(|error| trouble(format!("sh cannot be started: {error}")))?,
        Err(_) => return Err(trouble("the command does not end".into())),
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
        Err(_) => Err(trouble("the command printed what is no text".into())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use secrecy::ExposeSecret;

    use super::*;

    #[tokio::test]
    async fn the_first_line_counts_and_failures_say_no_secret() {
        let secret = first_line("printf 'one two\\r\\nthree\\n'", "password_command")
            .await
            .unwrap();
        assert_eq!(secret.expose_secret(), "one two");
        for (command, wanted) in [
            ("echo hunter2; exit 3", "exit status: 3"),
            ("true", "printed nothing"),
            ("printf '\\377'", "no text"),
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
