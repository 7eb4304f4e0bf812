//! `skep swarm unlock`: arguments, the key, output and exit code. The unlock itself is in
//! `crate::maintenance`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use secrecy::ExposeSecret as _;

use crate::base::UNLOCK_KEY;
use crate::cli::GlobalArgs;
use crate::cli::exit_code::ExitStatus;
use crate::cli::interrupt::stop_on_interrupt;
use crate::cli::maintenance_site::MaintenanceSite;
use crate::cli::selection::{ConfigurationError, InventorySelection};
use crate::maintenance::{plan_unlock, unlock_managers};
use crate::model::{SecretBytes, ValueSource};
use crate::names::HostName;
use crate::report::{Screen, literal};
use crate::transport::read_value;

/// Arguments of `skep swarm unlock`.
#[derive(Debug, Args)]
pub(super) struct UnlockArgs {
    #[command(flatten)]
    selection: InventorySelection,
    /// File with the key, encrypted with age(1); SKEP_AGE_IDENTITY names the file that opens it
    /// [default: the environment variable SKEP_UNLOCK_KEY, the inventory's variable
    /// `swarm_unlock_key`, or a question]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Time for the managers to work again
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

/// Unlocks managers.
///
/// # Errors
/// Configuration errors, a wrong key, and managers that do not work in time.
pub(super) async fn unlock_swarm(
    common: &GlobalArgs,
    args: &UnlockArgs,
) -> anyhow::Result<ExitStatus> {
    let mut site = MaintenanceSite::open(common, &args.selection)?;
    site.options.limit = args.timeout;
    site.act(async |site| unlock_site(common, args, site).await)
        .await
}

async fn unlock_site(
    common: &GlobalArgs,
    args: &UnlockArgs,
    site: &MaintenanceSite,
) -> anyhow::Result<ExitStatus> {
    let screen = &site.screen;
    let locked = plan_unlock(&site.fleet, &site.hosts, site.options.forks).await?;
    if locked.is_empty() {
        if common.json {
            screen.json(&serde_json::json!({ "action": "unlock", "result": null }));
        } else {
            screen.result("In sync: no manager is locked.\n");
        }
        return Ok(ExitStatus::Fine);
    }
    let key = match &args.key {
        Some(path) => key_of_file(path).await?,
        None => match &site.options.unlock_key {
            Some(source) => key_of_source(source).await?,
            None => key_of_operator(screen).await?,
        },
    };
    let stop = stop_on_interrupt();
    let outcome = unlock_managers(&site.fleet, &locked, &key, &site.options, &stop).await?;
    if common.json {
        screen.json(&serde_json::json!({ "action": "unlock", "result": outcome }));
    } else {
        let names: Vec<&str> = outcome.unlocked.iter().map(HostName::as_str).collect();
        let line = format!(
            "{} unlocked, in {:.1} s.",
            names.join(", "),
            outcome.seconds
        );
        screen.result(&format!("{}\n", literal(&line)));
    }
    Ok(ExitStatus::Fine)
}

async fn key_of_file(path: &Path) -> anyhow::Result<SecretBytes> {
    let ciphertext = std::fs::read(path);
    let ciphertext = ciphertext.with_context(|| format!("cannot read {}", path.display()))?;
    let source = ValueSource::Age {
        name: path.display().to_string(),
        ciphertext,
    };
    key_of_source(&source).await
}

async fn key_of_source(source: &ValueSource) -> anyhow::Result<SecretBytes> {
    let key = read_value(source).await;
    key.map_err(|why| anyhow::anyhow!("{source:?}: {why}"))
}

/// Asks for the key.
async fn key_of_operator(screen: &Screen) -> anyhow::Result<SecretBytes> {
    let asking = screen.clone();
    let ask =
        move || Screen::has_keyboard().then(|| asking.ask_secret("Unlock key of the swarm: "));
    let answer = tokio::task::spawn_blocking(ask).await?.flatten();
    let Some(answer) = answer else {
        let why = format!(
            "error: the unlock key is not given\n  try: --key FILE, or the environment variable {UNLOCK_KEY}; \
             `docker swarm unlock-key` on a manager that works shows the key\n"
        );
        return Err(ConfigurationError(why).into());
    };
    Ok(SecretBytes::new(answer.expose_secret().as_bytes().to_vec()))
}
