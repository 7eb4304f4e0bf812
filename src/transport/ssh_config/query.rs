//! One question to `ssh -G`.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::TransportError;
use super::output::HostSettings;
use crate::inventory::SshTarget;
use crate::transport::secrets::hide_secrets;

/// `Match exec` and name lookups may take their time.
const LIMIT: Duration = Duration::from_secs(20);

/// What came of it.
pub enum ConfigQueryResult {
    /// The settings.
    Settings(HostSettings),
    /// There is no `ssh` on this machine.
    NoProgram,
}

/// Which host, in which file.
pub struct ConfigQuery<'a> {
    /// The program `ssh`.
    pub program: &'a Path,
    /// The file of `-F`; `None` for what `ssh` reads by itself.
    pub file: Option<&'a Path>,
    /// The host; `None` asks for the defaults, without any file.
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
        // Stronger than the file, and known to its tokens and `Match user`.
        if target.is_given("user") {
            arguments.extend(["-l".into(), OsString::from(&target.user)]);
        }
        if target.is_given("port") {
            arguments.extend(["-p".into(), target.port.to_string().into()]);
        }
        arguments.extend(["--".into(), OsString::from(&target.address)]);
        arguments
    }

    /// Asks.
    ///
    /// # Errors
    /// [`TransportError::Settings`] with the words of `ssh`.
    pub async fn run_query(&self) -> Result<ConfigQueryResult, TransportError> {
        let trouble = |why: String| TransportError::Settings {
            setting: "the SSH configuration".into(),
            place: self.file.map_or_else(
                || "~/.ssh/config".to_owned(),
                |file| file.display().to_string(),
            ),
            why,
        };
        let mut command = Command::new(self.program);
        command
            .args(self.arguments())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        hide_secrets(&mut command);
        let output = match tokio::time::timeout(LIMIT, command.output()).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(ConfigQueryResult::NoProgram);
            }
            Ok(Err(error)) => return Err(trouble(format!("`ssh -G` cannot be started: {error}"))),
            Err(_) => {
                return Err(trouble(format!(
                    "`ssh -G` does not answer within {} s",
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
