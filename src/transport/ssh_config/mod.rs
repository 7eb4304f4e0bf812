//! Settings from the user's SSH configuration, beneath those of the inventory: `ssh -G HOST` is asked, so that every rule
//! of `ssh` itself holds (`Match`, `Include`, `Match exec`, which runs its command). Where there is no `ssh`, skep reads the files
//! itself and names what it cannot follow.

mod file;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;
mod include;
mod line;
mod output;
mod overlay;
mod presence;
mod query;
mod tokens;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tokio::sync::{OnceCell, Semaphore};

use self::output::HostSettings;
pub(super) use self::tokens::{TokenValues, own_number};
use super::TransportError;
use crate::inventory::{SshConfigFile, SshTarget};
use crate::transport::ssh_config::query::ConfigQueryResult;

/// `ssh` processes at once: each is 7 ms of a processor, and `Match exec` may start more.
const AT_ONCE: usize = 8;

/// Takes a warning.
pub(super) type WarningListener = Box<dyn Fn(&str) + Send + Sync>;

/// The SSH configuration of a run: asked once a host, its defaults once.
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
    /// The host with what its configuration adds. Without a configuration that says anything, it is the host itself.
    ///
    /// # Errors
    /// [`TransportError::Settings`] when `ssh` refuses the configuration or a value means nothing.
    pub async fn resolve(&self, target: &SshTarget) -> Result<SshTarget, TransportError> {
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
        let (target, warnings) = overlay::overlay(target, &printed, defaults, &file)?;
        warnings.into_iter().for_each(|warning| self.warn(warning));
        Ok(target)
    }

    /// Gives a warning on; the same one once a run.
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

/// The host with what skep itself reads of the files.
fn by_itself(
    target: &SshTarget,
    given: Option<&Path>,
    file: &Path,
) -> Result<(SshTarget, Vec<String>), TransportError> {
    let read = file::read(target, given)?;
    let (target, warnings) =
        overlay::overlay(target, &read.printed, &HostSettings::default(), file)?;
    Ok((target, [read.unread, warnings].concat()))
}

#[cfg(test)]
mod tests;
