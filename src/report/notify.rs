//! `--notify`: runs the operator's command with the report on its standard input when the state of
//! the hosts has changed.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::base::child_command;
use crate::drift::CheckReport;
use crate::model::sha256;

/// Time limit for the command.
pub(super) const NOTIFY_TIMEOUT: Duration = Duration::from_secs(60);

/// Reason why a notification failed.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The command could not be started.
    #[error("the notify command cannot be started: {0}")]
    Start(std::io::Error),
    /// The command ended with a status other than 0.
    #[error("the notify command ended with {0}")]
    Failed(std::process::ExitStatus),
    /// The command timed out after `NOTIFY_TIMEOUT`.
    #[error(
        "the notify command timed out after {}",
        humantime::format_duration(NOTIFY_TIMEOUT)
    )]
    TooSlow,
}

/// Returns a digest of the facts that trigger a notification: the states of the hosts, and the
/// resources that differ or failed. Times, durations, notes and the differing values are not part
/// of it.
#[must_use]
pub fn fingerprint(report: &CheckReport) -> String {
    let mut lines = vec![format!("{}", report.state.key())];
    for host in &report.hosts {
        lines.push(format!("host {} {}", host.host, host.state.key()));
        for drift in &host.drift {
            let fields: Vec<&str> = drift
                .fields
                .iter()
                .map(|field| field.field.as_str())
                .collect();
            lines.push(format!("drift {} {}", drift.resource, fields.join(",")));
        }
        lines.extend(
            host.failed
                .iter()
                .map(|failure| format!("failed {}", failure.resource)),
        );
    }
    lines.extend(
        report
            .expired_rules
            .iter()
            .map(|rule| format!("expired {}", rule.place)),
    );
    sha256(lines.join("\n").as_bytes())
}

/// Runs the command with `sh -c`. Its output goes to stderr, as stdout is for results.
///
/// # Errors
/// [`NotifyError`]; the command is killed when it takes longer than `NOTIFY_TIMEOUT`.
pub async fn notify(command: &str, report: &[u8]) -> Result<(), NotifyError> {
    let mut child = Command::from(child_command("sh"))
        .arg("-c")
        .arg(command)
        .stdin(Stdio::piped())
        .stdout(std::io::stderr())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .map_err(NotifyError::Start)?;
    let talk = async {
        if let Some(mut stdin) = child.stdin.take() {
            // A command may ignore its input: only its exit status counts.
            let _ = stdin.write_all(report).await;
        }
        child.wait().await
    };
    match tokio::time::timeout(NOTIFY_TIMEOUT, talk).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(NotifyError::Failed(status)),
        Ok(Err(error)) => Err(NotifyError::Start(error)),
        Err(_) => Err(NotifyError::TooSlow),
    }
}
