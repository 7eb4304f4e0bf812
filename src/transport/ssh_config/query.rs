//! A query to `ssh -G`. The parent module limits how many run concurrently.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::TransportError;
use super::output::HostSettings;
use super::tokens::check_value;
use crate::base::child_command;
use crate::inventory::SshTarget;

/// Time limit of a query; `Match exec` and name lookups may be slow.
const LIMIT: Duration = Duration::from_secs(20);

/// Result of a query.
pub(super) enum ConfigQueryResult {
    /// The settings that `ssh` printed.
    Settings(HostSettings),
    /// The program `ssh` is not installed on this machine.
    NoProgram,
}

/// A query for the settings of a host.
pub(super) struct ConfigQuery<'a> {
    /// Path of the program `ssh`.
    pub program: &'a Path,
    /// File for `-F`; `None` for the files that `ssh` reads by default.
    pub file: Option<&'a Path>,
    /// The host; `None` queries the defaults, without any file.
    pub target: Option<&'a SshTarget>,
}

impl ConfigQuery<'_> {
    fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["-G".into()];
        let Some(target) = self.target else {
            arguments.extend([
                "-F".into(),
                "none".into(),
                "--".into(),
                "skep-defaults".into(),
            ]);
            return arguments;
        };
        if let Some(file) = self.file {
            arguments.extend(["-F".into(), file.into()]);
        }
        // Options take precedence over the file, and its tokens and `Match user` see them.
        if target.is_given("user") {
            arguments.extend(["-l".into(), OsString::from(&target.user)]);
        }
        if target.is_given("port") {
            arguments.extend(["-p".into(), target.port.to_string().into()]);
        }
        arguments.extend(["--".into(), OsString::from(&target.address)]);
        arguments
    }

    /// Values of the host that `ssh` gets, each with its description.
    fn values(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let target = self.target.into_iter();
        target.flat_map(|target| {
            let user = target
                .is_given("user")
                .then_some(("the user", target.user.as_str()));
            std::iter::once(("the host", target.address.as_str())).chain(user)
        })
    }

    /// Runs the query.
    ///
    /// # Errors
    /// [`TransportError::Settings`] with the error text of `ssh`; [`TransportError::UnsafeValue`]
    /// for a name or user that a command line must not contain.
    pub(super) async fn run_query(&self) -> Result<ConfigQueryResult, TransportError> {
        let place = || match self.file {
            Some(file) => file.display().to_string(),
            None => "~/.ssh/config".to_owned(),
        };
        let trouble = |why: String| TransportError::Settings {
            setting: "the SSH configuration".into(),
            place: place().into(),
            why,
        };
        // `Match exec` runs a command line with these values in it.
        for (what, value) in self.values() {
            check_value(what, value).map_err(|error| error.at("the SSH configuration", place()))?;
        }
        let mut command = Command::from(child_command(self.program));
        command
            .args(self.arguments())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = match tokio::time::timeout(LIMIT, command.output()).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(ConfigQueryResult::NoProgram);
            }
            Ok(Err(error)) => return Err(trouble(format!("`ssh -G` cannot be started: {error}"))),
            Err(_) => {
                return Err(trouble(format!(
                    "`ssh -G` timed out after {} s",
                    LIMIT.as_secs()
                )));
            }
        };
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            let words: Vec<&str> = words
                .lines()
                .map(str::trim)
                .filter(|line| !line.starts_with("Pseudo-terminal"))
                .collect();
            return Err(trouble(words.join("; ")));
        }
        Ok(ConfigQueryResult::Settings(HostSettings::parse(
            &String::from_utf8_lossy(&output.stdout),
        )))
    }
}
