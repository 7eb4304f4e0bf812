//! `skep swarm backup`: arguments, the plan, the question, the file and the exit code. The backup
//! itself is in `crate::maintenance`.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;

use super::recipients::recipients;
use crate::base::write_whole_file;
use crate::cli::GlobalArgs;
use crate::cli::exit_code::ExitStatus;
use crate::cli::interrupt::stop_on_interrupt;
use crate::cli::maintenance_site::{MaintenanceSite, VisitLimits, plan_text};
use crate::cli::selection::InventorySelection;
use crate::maintenance::{create_backup, plan_backup};
use crate::names::HostName;
use crate::report::literal;
use crate::transport::encrypt_for;

/// Arguments of `skep swarm backup`.
#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    #[command(flatten)]
    selection: InventorySelection,
    /// File to write, encrypted with age(1)
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Public key of age or SSH that may read the file; may be repeated [default: the inventory's
    /// variable `backup_recipients`]
    #[arg(long, value_name = "KEY")]
    recipient: Vec<String>,
    /// Manager to copy from, in place of one that is not the leader
    #[arg(long, value_name = "HOST")]
    from: Option<String>,
    #[command(flatten)]
    limits: VisitLimits,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
}

/// Makes a backup.
///
/// # Errors
/// Configuration errors, and a backup that is refused or fails.
pub(super) async fn backup_swarm(
    common: &GlobalArgs,
    args: &BackupArgs,
) -> anyhow::Result<ExitStatus> {
    let site = MaintenanceSite::open(common, &args.selection)?.limit(&args.limits.drain);
    // A wrong key is found before a manager is drained.
    let recipients = recipients(&args.recipient, &site.inventory, &site.hosts).await?;
    site.act(async |site| backup_site(common, args, &recipients, site).await)
        .await
}

async fn backup_site(
    common: &GlobalArgs,
    args: &BackupArgs,
    recipients: &[String],
    site: &MaintenanceSite,
) -> anyhow::Result<ExitStatus> {
    let (started, screen) = (Instant::now(), &site.screen);
    let from = args.from.as_deref().map(HostName::new);
    let forks = site.options.forks;
    let plan = plan_backup(&site.fleet, &site.inventory, from.as_ref(), forks).await?;
    let host = &plan.target.host;
    if !common.json {
        screen.result(&plan_text([&plan.target]));
        if let Some(note) = &plan.note {
            screen.result(&format!("{}\n", literal(&format!("{host}: {note}"))));
        }
    }
    if !args.limits.drain.allow_interruption {
        plan.check()?;
    }
    let question =
        format!("Drain {host}, stop its Engine for a moment, and copy the state of the swarm?");
    if !site.confirm(args.yes, question).await? {
        return Ok(ExitStatus::Failed);
    }
    let stop = stop_on_interrupt();
    let note = |line: &str| screen.note(&literal(line));
    let reconnect = || site.connect();
    let visit = site.visit(&args.limits, &reconnect, &stop, &note);
    let backup = create_backup(visit, &plan).await?;
    let archive = backup.pack().map_err(anyhow::Error::msg)?;
    let sealed = encrypt_for(recipients, &archive)
        .await
        .map_err(anyhow::Error::msg)?;
    write_whole_file(&args.to, &sealed, 0o600)
        .with_context(|| format!("cannot write {}", args.to.display()))?;
    if common.json {
        screen.json(&serde_json::json!({ "action": "backup", "file": args.to, "manifest": backup.manifest }));
    } else {
        screen.result(&format!(
            "{}: {} nodes, {} services, {} bytes, for {} recipients, in {:.1} s.\n",
            literal(&args.to.display().to_string()),
            backup.manifest.nodes.len(),
            backup.manifest.services.len(),
            sealed.len(),
            recipients.len(),
            started.elapsed().as_secs_f64()
        ));
    }
    Ok(ExitStatus::Fine)
}
