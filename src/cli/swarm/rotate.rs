//! `skep swarm rotate`: arguments, the question, output and exit code. The rotation itself is in
//! `crate::maintenance`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::recipients::recipients;
use crate::base::write_whole_file;
use crate::cli::GlobalArgs;
use crate::cli::exit_code::ExitStatus;
use crate::cli::interrupt::stop_on_interrupt;
use crate::cli::maintenance_site::{MaintenanceSite, nodes};
use crate::cli::selection::InventorySelection;
use crate::maintenance::{
    RotatedTokens, RotationOutcome, rotate_authority, rotate_tokens, rotate_unlock_key,
};
use crate::report::literal;
use crate::transport::encrypt_for;

/// Arguments of `skep swarm rotate`.
#[derive(Debug, Args)]
pub(super) struct RotateArgs {
    #[command(subcommand)]
    target: RotationTarget,
}

#[derive(Debug, Subcommand)]
enum RotationTarget {
    /// Make new join tokens; the former ones are refused from then on
    Tokens(TokenArgs),
    /// Replace the certificate authority, and wait until each node has a new certificate
    Ca(AuthorityArgs),
    /// Make a new unlock key, and write it into an encrypted file
    UnlockKey(UnlockKeyArgs),
}

#[derive(Debug, Args)]
struct CommonArgs {
    #[command(flatten)]
    selection: InventorySelection,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
}

#[derive(Debug, Args)]
struct TokenArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Only the token of workers
    #[arg(long, conflicts_with = "manager")]
    worker: bool,
    /// Only the token of managers
    #[arg(long)]
    manager: bool,
}

#[derive(Debug, Args)]
struct AuthorityArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Time for all nodes to get a new certificate
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

#[derive(Debug, Args)]
struct UnlockKeyArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// File to write, encrypted with age(1); `skep swarm unlock --key FILE` uses it
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Public key of age or SSH that may read the file; may be repeated [default: the inventory's
    /// variable `backup_recipients`]
    #[arg(long, value_name = "KEY")]
    recipient: Vec<String>,
}

/// Rotates tokens, the authority or the unlock key.
///
/// # Errors
/// Configuration errors, and a rotation that is refused or fails.
pub(super) async fn rotate(common: &GlobalArgs, args: &RotateArgs) -> anyhow::Result<ExitStatus> {
    let given = match &args.target {
        RotationTarget::Tokens(args) => &args.common,
        RotationTarget::Ca(args) => &args.common,
        RotationTarget::UnlockKey(args) => &args.common,
    };
    let mut site = MaintenanceSite::open(common, &given.selection)?;
    match &args.target {
        RotationTarget::Tokens(args) => {
            site.act(async |site| rotate_site_tokens(common, args, site).await)
                .await
        }
        RotationTarget::Ca(args) => {
            site.options.limit = args.timeout;
            site.act(async |site| rotate_site_authority(common, args, site).await)
                .await
        }
        RotationTarget::UnlockKey(args) => {
            let keys = recipients(&args.recipient, &site.inventory, &site.hosts).await?;
            site.act(async |site| rotate_site_unlock_key(common, args, &keys, site).await)
                .await
        }
    }
}

async fn rotate_site_tokens(
    common: &GlobalArgs,
    args: &TokenArgs,
    site: &MaintenanceSite,
) -> anyhow::Result<ExitStatus> {
    let (tokens, words) = match (args.worker, args.manager) {
        (true, _) => (RotatedTokens::Worker, "the join token of workers"),
        (false, true) => (RotatedTokens::Manager, "the join token of managers"),
        (false, false) => (RotatedTokens::Both, "both join tokens"),
    };
    let question =
        format!("Rotate {words}? Nodes of the swarm stay; the former tokens are refused.");
    if !site.confirm(args.common.yes, question).await? {
        return Ok(ExitStatus::Failed);
    }
    let (fleet, inventory, stop) = (&site.fleet, &site.inventory, stop_on_interrupt());
    let outcome = rotate_tokens(fleet, inventory, tokens, &site.options, &stop).await?;
    let line = format!(
        "{} managers have new tokens, and refuse the former ones; `skep apply` records them, until then `skep check` reports the rotation.",
        outcome.managers.len()
    );
    print(common, site, "rotate tokens", &outcome, &line);
    Ok(ExitStatus::Fine)
}

async fn rotate_site_authority(
    common: &GlobalArgs,
    args: &AuthorityArgs,
    site: &MaintenanceSite,
) -> anyhow::Result<ExitStatus> {
    let question =
        "Replace the certificate authority of the swarm, and the certificate of each node?";
    if !site.confirm(args.common.yes, question.to_owned()).await? {
        return Ok(ExitStatus::Failed);
    }
    let (screen, stop) = (&site.screen, stop_on_interrupt());
    let note = |line: &str| screen.note(&literal(line));
    let (fleet, inventory) = (&site.fleet, &site.inventory);
    let outcome = rotate_authority(fleet, inventory, &site.options, &stop, &note).await?;
    let line = format!(
        "{} trust the new authority only, after {:.1} s; the join tokens have changed with it.",
        nodes(outcome.nodes),
        outcome.seconds
    );
    print(common, site, "rotate ca", &outcome, &line);
    Ok(ExitStatus::Fine)
}

async fn rotate_site_unlock_key(
    common: &GlobalArgs,
    args: &UnlockKeyArgs,
    recipients: &[String],
    site: &MaintenanceSite,
) -> anyhow::Result<ExitStatus> {
    let question = "Make a new unlock key? Managers that are locked later need the new one.";
    if !site.confirm(args.common.yes, question.to_owned()).await? {
        return Ok(ExitStatus::Failed);
    }
    // A folder that cannot be written is found before the key changes.
    write_key(&args.to, recipients, b"").await?;
    let (fleet, inventory, stop) = (&site.fleet, &site.inventory, stop_on_interrupt());
    let key = rotate_unlock_key(fleet, inventory, &site.options, &stop).await;
    let key = match key {
        Ok(key) => key,
        Err(error) => {
            let _ = std::fs::remove_file(&args.to);
            return Err(error.into());
        }
    };
    let written = write_key(&args.to, recipients, key.expose()).await;
    written.context(
        "the swarm has a new unlock key; `docker swarm unlock-key` on a manager shows it",
    )?;
    let shown = args.to.display().to_string();
    if common.json {
        let report = serde_json::json!({ "action": "rotate unlock-key", "file": shown });
        site.screen.json(&report);
    } else {
        let line = format!(
            "{shown}: the new unlock key, for {} recipients.",
            recipients.len()
        );
        site.screen.result(&format!("{}\n", literal(&line)));
    }
    Ok(ExitStatus::Fine)
}

async fn write_key(path: &Path, recipients: &[String], key: &[u8]) -> anyhow::Result<()> {
    let sealed = encrypt_for(recipients, key).await;
    let sealed = sealed.map_err(anyhow::Error::msg)?;
    let written = write_whole_file(path, &sealed, 0o600);
    written.with_context(|| format!("cannot write {}", path.display()))
}

fn print(
    common: &GlobalArgs,
    site: &MaintenanceSite,
    action: &str,
    outcome: &RotationOutcome,
    line: &str,
) {
    if common.json {
        let report = serde_json::json!({ "action": action, "result": outcome });
        site.screen.json(&report);
    } else {
        site.screen.result(&format!("{}\n", literal(line)));
    }
}
