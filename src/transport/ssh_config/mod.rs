//! Settings from the user's SSH configuration; those of the inventory take precedence. skep runs
//! `ssh -G HOST` and therefore follows every rule of `ssh` itself (`Match`, `Include`, `Match
//! exec`, which runs its command). If `ssh` is not installed, skep reads the files itself and warns
//! about the parts that it cannot follow.

mod file;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;
mod include;
mod keywords;
mod line;
mod match_line;
mod output;
mod overlay;
mod presence;
mod query;
mod tokens;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tokio::sync::{OnceCell, Semaphore};

use self::file::ConfigCheck;
use self::output::HostSettings;
pub(super) use self::tokens::{TokenValues, own_number};
use super::TransportError;
use crate::inventory::{HostKeyPolicy, SettingOrigin, SshConfigFile, SshTarget};
use crate::transport::ssh_config::query::ConfigQueryResult;

/// Maximum number of concurrent `ssh` processes: each takes 7 ms of CPU time, and `Match exec` may
/// start further processes.
const AT_ONCE: usize = 8;

/// Receives a warning.
pub(super) type WarningListener = Box<dyn Fn(&str) + Send + Sync>;

/// SSH configuration of a run: queried once per host, and once for its defaults.
pub(super) struct SshConfig {
    usual: OnceCell<Option<PathBuf>>,
    defaults: OnceCell<HostSettings>,
    permits: Semaphore,
    warnings: Mutex<BTreeSet<String>>,
    pub(super) listener: Option<WarningListener>,
    program: PathBuf,
}

impl Default for SshConfig {
    fn default() -> Self {
        Self {
            usual: OnceCell::new(),
            defaults: OnceCell::new(),
            permits: Semaphore::new(AT_ONCE),
            warnings: Mutex::default(),
            listener: None,
            program: "ssh".into(),
        }
    }
}

impl SshConfig {
    /// Returns the host with the settings that its configuration adds. Without a configuration that
    /// has an effect, the host is returned unchanged.
    ///
    /// # Errors
    /// [`TransportError::Settings`] when `ssh` refuses the configuration or a value is invalid.
    pub(super) async fn resolve(&self, target: &SshTarget) -> Result<SshTarget, TransportError> {
        let file = match &target.ssh_config {
            SshConfigFile::Off => None,
            SshConfigFile::File(path) => Some(path.clone()),
            SshConfigFile::Usual => self
                .usual
                .get_or_init(async || presence::usual())
                .await
                .clone(),
        };
        let Some(file) = file else {
            return Ok(target.clone());
        };
        let given = matches!(target.ssh_config, SshConfigFile::File(_)).then_some(file.as_path());
        let question = |target| query::ConfigQuery {
            program: &self.program,
            file: given,
            target,
        };
        let permit = self.permits.acquire().await;
        let printed = match question(Some(target)).run_query().await? {
            ConfigQueryResult::Settings(printed) => printed,
            ConfigQueryResult::NoProgram => {
                drop(permit);
                let (target, warnings) = by_itself(target, given, &file)?;
                warnings.into_iter().for_each(|warning| self.warn(warning));
                return Ok(target);
            }
        };
        let defaults =
            self.defaults
                .get_or_try_init(async || match question(None).run_query().await? {
                    ConfigQueryResult::Settings(printed) => Ok(printed),
                    ConfigQueryResult::NoProgram => Ok(HostSettings::default()),
                });
        let defaults = defaults.await?;
        drop(permit);
        let (mut found, warnings) = overlay::overlay(target, &printed, defaults, &file)?;
        warnings.into_iter().for_each(|warning| self.warn(warning));
        // `ask` is also the default of `ssh`, so its output does not tell whether a file has it.
        if !target.is_given("host_keys")
            && printed.first("stricthostkeychecking") == Some("ask")
            // A file that only `ssh` can read may have it as well: refusing is safe.
            && file::read(target, given, ConfigCheck::DoneBySsh).map_or(true, |read| read.asks_about_host_keys())
        {
            found.host_key_policy = HostKeyPolicy::Ask;
            found.origins.insert("host_keys", SettingOrigin::SshConfig);
        }
        Ok(found)
    }

    /// Passes a warning to the listener, each warning once per run.
    fn warn(&self, warning: String) {
        let mut given = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if !given.contains(&warning) {
            if let Some(listener) = &self.listener {
                listener(&warning);
            }
            given.insert(warning);
        }
    }
}

/// Returns the host with the settings that skep reads from the files itself.
fn by_itself(
    target: &SshTarget,
    given: Option<&Path>,
    file: &Path,
) -> Result<(SshTarget, Vec<String>), TransportError> {
    let read = file::read(target, given, ConfigCheck::AsSsh)?;
    if let Some((place, why)) = read.unsafe_parts.into_iter().next() {
        return Err(TransportError::Settings {
            setting: "the SSH configuration".into(),
            place: place.into(),
            why: format!("{why}: install openssh-client"),
        });
    }
    let (target, warnings) =
        overlay::overlay(target, &read.printed, &HostSettings::default(), file)?;
    Ok((target, [read.unread, warnings].concat()))
}

#[cfg(test)]
mod tests;
