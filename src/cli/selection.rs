//! Options that select the inventory, playbooks, hosts and tags; many verbs share them.

use std::path::{Path, PathBuf};

use clap::Args;

use super::login::LoginArgs;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::diagnostic::{SourceFile, SourceSpan};
use crate::inventory::{IGNORE_FILE, Inventory, InventoryRequest};
use crate::names::HostName;
use crate::playbook::{PreparedRun, ResolveOptions, RunRequest, prepare};
use crate::report::Screen;

/// Number of hosts in work at a time, unless the command line or the inventory sets another.
const DEFAULT_FORKS: usize = 32;

/// Folder of the inventory if none is named.
const DEFAULT_INVENTORY: &str = "inventory";

/// Location of the inventory, and additional variables.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct InventorySelection {
    /// Inventory file or folder, vagrant:DIR, terraform:DIR, ansible:FILE, or a program that prints
    /// JSON; may be repeated [default: the only *.toml in inventory/]
    #[arg(
        short,
        long = "inventory",
        value_name = "PATH",
        env = "SKEP_INVENTORY",
        value_delimiter = ','
    )]
    pub inventory: Vec<PathBuf>,

    /// Only these hosts: a pattern such as `workers:!docker03`; may be repeated
    #[arg(short, long, value_name = "PATTERN", allow_hyphen_values = true)]
    pub limit: Vec<String>,

    /// Variable `key=value` (a TOML value, otherwise a string) or `@file.toml`; may be repeated
    #[arg(short, long = "extra-vars", value_name = "VAR")]
    pub extra_vars: Vec<String>,

    /// Number of hosts to work on at once [default: the inventory's `forks`, or 32]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub forks: Option<u16>,

    /// Options for the login on hosts.
    #[command(flatten)]
    pub login: LoginArgs,
}

/// Selection of a run.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct RunSelection {
    /// Playbooks, run one after the other
    #[arg(value_name = "PLAYBOOK", required = true)]
    pub playbooks: Vec<PathBuf>,

    /// Inventory, hosts and variables.
    #[command(flatten)]
    pub inventory: InventorySelection,

    /// Only resources with one of these tags
    #[arg(short, long, value_name = "TAG", value_delimiter = ',')]
    pub tags: Vec<String>,

    /// No resources with one of these tags
    #[arg(long, value_name = "TAG", value_delimiter = ',')]
    pub skip_tags: Vec<String>,
}

/// Configuration that cannot be used: every error, rendered. Exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct ConfigurationError(pub String);

impl InventorySelection {
    /// Returns the number of hosts in work at a time.
    #[must_use]
    pub(super) fn forks(&self, inventory: &Inventory) -> usize {
        self.forks
            .map(usize::from)
            .or(inventory.forks())
            .unwrap_or(DEFAULT_FORKS)
    }

    /// Loads the inventory and selects its hosts, in its order; prints warnings on the screen.
    ///
    /// # Errors
    /// Fails with every error of the inventory and of `--limit`.
    pub(super) fn hosts(&self, screen: &Screen) -> Result<(Inventory, Vec<HostName>), Diagnostics> {
        let request = self.request()?;
        let inventory = Inventory::load(&request.paths, &request.extra_vars)?;
        print_warnings(inventory.warnings(), screen);
        let all = || inventory.hosts().map(|(name, _)| name.clone());
        if self.limit.is_empty() {
            let hosts = all().collect();
            return Ok((inventory, hosts));
        }
        let mut meant: indexmap::IndexSet<HostName> = indexmap::IndexSet::new();
        for pattern in &self.limit {
            let selected = inventory.select(pattern).map_err(|error| {
                let place =
                    SourceSpan::new(&SourceFile::new("--limit", pattern.as_str()), error.span);
                Diagnostic::error(error.message)
                    .at(place)
                    .maybe_hint(error.hint)
            })?;
            meant.extend(selected);
        }
        let hosts = all().filter(|name| meant.contains(name)).collect();
        Ok((inventory, hosts))
    }

    /// Returns the inventory to load.
    ///
    /// # Errors
    /// Fails if no inventory is named and there is not exactly one in the default folder.
    pub(super) fn request(&self) -> Result<InventoryRequest, Diagnostics> {
        let paths = if self.inventory.is_empty() {
            vec![default_inventory()?]
        } else {
            self.inventory.clone()
        };
        Ok(InventoryRequest {
            paths,
            extra_vars: self.extra_vars.clone(),
        })
    }
}

impl RunSelection {
    /// Returns the words that identify this selection; a relative path includes the folder to which
    /// it is relative.
    #[must_use]
    pub(super) fn words(&self) -> Vec<String> {
        let whole = |path: &PathBuf| {
            std::path::absolute(path)
                .unwrap_or_else(|_| path.clone())
                .display()
                .to_string()
        };
        let inventories = self.inventory.inventory.iter().map(whole);
        let playbooks = self.playbooks.iter().map(whole);
        let mut words: Vec<String> = inventories
            .chain(["--playbooks".into()])
            .chain(playbooks)
            .collect();
        for (flag, values) in [
            ("--limit", &self.inventory.limit),
            ("--extra-vars", &self.inventory.extra_vars),
            ("--tags", &self.tags),
            ("--skip-tags", &self.skip_tags),
        ] {
            words.extend(values.iter().map(|value| format!("{flag}={value}")));
        }
        words
    }

    /// Loads and resolves everything; prints warnings on the screen.
    ///
    /// # Errors
    /// Fails with a [`ConfigurationError`] that holds every error of the files, rendered.
    pub(super) fn prepare(&self, screen: &Screen) -> Result<PreparedRun, ConfigurationError> {
        let prepared = self
            .request()
            .and_then(|request| prepare(&request))
            .map_err(|errors| reject(&errors, screen))?;
        print_warnings(&prepared.resolved.warnings, screen);
        Ok(prepared)
    }

    /// Returns the run to prepare.
    ///
    /// # Errors
    /// Fails if no inventory is named and there is not exactly one in the default folder.
    pub(super) fn request(&self) -> Result<RunRequest, Diagnostics> {
        Ok(RunRequest {
            inventory: self.inventory.request()?,
            playbooks: self.playbooks.clone(),
            options: ResolveOptions {
                limit: self.inventory.limit.clone(),
                tags: self.tags.clone(),
                skip_tags: self.skip_tags.clone(),
            },
        })
    }
}

fn print_warnings(warnings: &Diagnostics, screen: &Screen) {
    if !warnings.is_empty() {
        screen.note(warnings.render(screen.colors_messages()).trim_end());
    }
}

/// Renders errors for the screen.
#[must_use]
pub(super) fn reject(errors: &Diagnostics, screen: &Screen) -> ConfigurationError {
    ConfigurationError(errors.render(screen.colors_messages()))
}

fn default_inventory() -> Result<PathBuf, Diagnostics> {
    let folder = Path::new(DEFAULT_INVENTORY);
    let is_toml = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
            && path.file_name().is_some_and(|name| name != IGNORE_FILE)
    };
    let entries = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_toml).collect();
    files.sort();
    let at = || SourceSpan::new(&SourceFile::new(folder, ""), 0..0);
    match files.as_slice() {
        [file] => Ok(file.clone()),
        [] => Err(
            Diagnostic::error("no inventory is named, and there is no inventory/*.toml")
                .at(at())
                .hint("name one with `-i`; README.md shows an example")
                .into(),
        ),
        several => {
            let names: Vec<String> = several
                .iter()
                .map(|file| file.display().to_string())
                .collect();
            Err(
                Diagnostic::error(format!("several inventories: {}", names.join(", ")))
                    .at(at())
                    .hint("choose one with `-i`; `-i` reads a folder as one inventory")
                    .into(),
            )
        }
    }
}
