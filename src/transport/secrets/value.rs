//! Values for the swarm's secrets, from the operator's machine: an environment variable, a command,
//! or a file encrypted with age(1).

use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::base::child_command;
use crate::model::{SecretBytes, ValueSource};

/// Time limit of a program; a password manager may prompt its user in that time.
const LIMIT: Duration = Duration::from_secs(60);
/// Environment variable that names the file with the identity for age files.
const IDENTITY: &str = "SKEP_AGE_IDENTITY";

/// Reads a value. The stderr of a command goes to the user.
///
/// # Errors
/// The reason and the next step to try. No message contains the output of a program.
pub async fn read_value(source: &ValueSource) -> Result<SecretBytes, String> {
    match source {
        ValueSource::Environment(name) => std::env::var_os(name)
            .map(|value| SecretBytes::new(std::os::unix::ffi::OsStringExt::into_vec(value)))
            .ok_or_else(|| format!("it is not set; try: export {name}=...")),
        ValueSource::Command(command) => {
            let mut shell = Command::from(child_command("sh"));
            shell.args(["-c", command]);
            let printed = output(shell, "sh", &[]).await?;
            Ok(SecretBytes::new(without_line_break(printed)))
        }
        ValueSource::Age { ciphertext, .. } => {
            open_age(ciphertext, std::env::var_os(IDENTITY)).await
        }
    }
}

async fn open_age(ciphertext: &[u8], identity: Option<OsString>) -> Result<SecretBytes, String> {
    let identity = identity.ok_or_else(|| {
        format!(
            "decrypting the file needs an identity; try: export {IDENTITY}=FILE (made by age-keygen)"
        )
    })?;
    let mut age = Command::from(child_command("age"));
    age.args(["--decrypt", "--identity"]).arg(identity);
    output(age, "age", ciphertext).await.map(SecretBytes::new)
}

/// Encrypts bytes for recipients of age(1): `age1...`, or public keys of SSH.
///
/// # Errors
/// The reason and the next step to try.
pub async fn encrypt_for(recipients: &[String], plaintext: &[u8]) -> Result<Vec<u8>, String> {
    let is_key = |key: &&String| key.starts_with("age1") || key.starts_with("ssh-");
    if let Some(bad) = recipients.iter().find(|key| !is_key(key)) {
        return Err(format!(
            "{bad:?} is no recipient of age; try: age-keygen -o identity.txt, and the line `public key` of its output"
        ));
    }
    let mut age = Command::from(child_command("age"));
    age.arg("--encrypt");
    for recipient in recipients {
        age.arg("--recipient").arg(recipient);
    }
    output(age, "age", plaintext).await
}

async fn output(mut command: Command, program: &str, input: &[u8]) -> Result<Vec<u8>, String> {
    command
        .kill_on_drop(true)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    let run = async {
        let mut child = command.spawn().map_err(|error| {
            format!("{program} cannot be started: {error}; try: apt-get install {program}")
        })?;
        if let Some(mut stdin) = child.stdin.take() {
            // Errors are ignored: a program that does not read all of its input reports that with
            // its status.
            let _ = stdin.write_all(input).await;
        }
        child
            .wait_with_output()
            .await
            .map_err(|error| error.to_string())
    };
    let output = tokio::time::timeout(LIMIT, run).await.map_err(|_| {
        format!(
            "{program} timed out after {}",
            humantime::format_duration(LIMIT)
        )
    })??;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(format!("{program} ended with {}", output.status))
    }
}

/// Removes a line break at the end, as `$(...)` does, but only one: further line breaks may belong
/// to the value.
fn without_line_break(mut printed: Vec<u8>) -> Vec<u8> {
    if printed.last() == Some(&b'\n') {
        printed.pop();
        if printed.last() == Some(&b'\r') {
            printed.pop();
        }
    }
    printed
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn values_are_complete_and_errors_do_not_contain_them() {
        let command = |text: &str| ValueSource::Command(text.into());
        let value = read_value(&command("printf 'one\\ntwo\\n\\n'"))
            .await
            .unwrap();
        assert_eq!(value.expose(), b"one\ntwo\n");
        let error = read_value(&command("echo hunter2; exit 3"))
            .await
            .unwrap_err();
        assert!(
            error.contains("exit status: 3") && !error.contains("hunter2"),
            "{error}"
        );
        let error = read_value(&ValueSource::Environment("SKEP_NO_SUCH_VARIABLE".into()))
            .await
            .unwrap_err();
        assert_eq!(
            error,
            "it is not set; try: export SKEP_NO_SUCH_VARIABLE=..."
        );
        let path = read_value(&ValueSource::Environment("PATH".into()))
            .await
            .unwrap();
        assert_eq!(path.expose(), std::env::var("PATH").unwrap().as_bytes());
    }
    /// Uses the real program: creates a key, encrypts a value with it and reads the value; another
    /// key does not decrypt it.
    #[tokio::test]
    async fn age_files_are_decrypted_with_their_own_identity_only() {
        let folder = tempfile::tempdir().unwrap();
        let run = |program: &str, arguments: &[&str]| {
            let output = child_command(program)
                .args(arguments)
                .current_dir(folder.path())
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{program}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            output.stdout
        };
        for name in ["mine", "other"] {
            run("age-keygen", &["-o", name]);
        }
        let recipient = String::from_utf8(run("age-keygen", &["-y", "mine"])).unwrap();
        std::fs::write(folder.path().join("plain"), b"hunter2\n\0 and more").unwrap();
        let ciphertext = run(
            "age",
            &["--encrypt", "--recipient", recipient.trim(), "plain"],
        );
        let identity = |name: &str| folder.path().join(name).into_os_string();
        let opened = open_age(&ciphertext, Some(identity("mine"))).await.unwrap();
        assert_eq!(
            opened.expose(),
            b"hunter2\n\0 and more",
            "every byte is kept, no line break is removed"
        );
        for (name, word) in [("other", "age ended with"), ("none", "age ended with")] {
            let error = open_age(&ciphertext, Some(identity(name)))
                .await
                .unwrap_err();
            assert!(
                error.contains(word) && !error.contains("hunter2"),
                "{error}"
            );
        }
        let half = &ciphertext[..ciphertext.len() - 1];
        assert!(
            open_age(half, Some(identity("mine"))).await.is_err(),
            "a truncated file is an error"
        );
        let error = open_age(&ciphertext, None).await.unwrap_err();
        assert!(error.contains("export SKEP_AGE_IDENTITY=FILE"), "{error}");
    }
}
