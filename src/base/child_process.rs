//! The only constructor of processes. A program that skep starts does not receive the passwords
//! that the operator gave to skep in environment variables.

use std::ffi::OsStr;
use std::process::Command;

/// Environment variables of skep that hold secrets.
pub const SECRET_VARIABLES: &[&str] = &[
    "SKEP_SSH_PASSWORD",
    "SKEP_BECOME_PASSWORD",
    "SKEP_KEY_PASSPHRASE",
    UNLOCK_KEY,
];

/// Environment variable with the unlock key of a swarm.
pub const UNLOCK_KEY: &str = "SKEP_UNLOCK_KEY";

/// Returns a command that runs a program with skep's environment, without the variables that hold
/// secrets.
///
/// A tokio command is made from it: `tokio::process::Command::from(child_command("ssh"))`.
#[must_use]
pub fn child_command(program: impl AsRef<OsStr>) -> Command {
    // This is the only place of the crate that may call `Command::new`: a test forbids it
    // elsewhere.
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if is_secret(&name) {
            command.env_remove(name);
        }
    }
    command
}

/// Returns true for the listed variables, and for a variable of skep whose name says that it holds
/// a secret. The second rule also covers variables that a later version adds.
fn is_secret(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    let words = ["PASSWORD", "PASSPHRASE", "SECRET", "TOKEN"];
    SECRET_VARIABLES.contains(&name)
        || name.starts_with("SKEP_") && words.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names() {
        for name in SECRET_VARIABLES {
            assert!(is_secret(OsStr::new(name)), "{name}");
        }
        assert!(is_secret(OsStr::new("SKEP_REGISTRY_TOKEN")));
        for name in ["SKEP_INVENTORY", "SKEP_LOG", "PATH", "DB_PASSWORD"] {
            assert!(!is_secret(OsStr::new(name)), "{name}");
        }
    }

    /// The test calls itself with the variables set, because a test must not change the environment
    /// of its own process.
    #[test]
    fn a_child_does_not_receive_the_secrets() {
        const CASE: &str = "SKEP_CHILD_PROCESS_CASE";
        if std::env::var_os(CASE).is_some() {
            let output = child_command("env").output().unwrap();
            let seen = String::from_utf8(output.stdout).unwrap();
            assert!(seen.contains("SKEP_CHILD_PROCESS_CASE=1"), "{seen}");
            assert!(!seen.contains("hunter2"), "{seen}");
            return;
        }
        let mut this = child_command(std::env::current_exe().unwrap());
        this.args([
            "--exact",
            "base::child_process::tests::a_child_does_not_receive_the_secrets",
        ])
        .env(CASE, "1");
        for name in SECRET_VARIABLES {
            this.env(name, "hunter2");
        }
        let output = this.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}"
        );
    }
}
