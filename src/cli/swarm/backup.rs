//! `skep swarm backup`: arguments, the plan, the question, the file and the exit code. The backup
//! itself is in `crate::maintenance`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;

use crate::base::write_whole_file;
use crate::cli::GlobalArgs;
use crate::cli::execute::fleet;
use crate::cli::exit_code::ExitStatus;
use crate::cli::interrupt::stop_on_interrupt;
use crate::cli::maintenance_site::{MaintenanceSite, plan_text, settle};
use crate::cli::selection::{ConfigurationError, InventorySelection, reject};
use crate::inventory::Inventory;
use crate::maintenance::{create_backup, plan_backup};
use crate::names::HostName;
use crate::report::literal;
use crate::runner::EventSender;
use crate::transport::encrypt_for;

/// Variable of the inventory with the recipients of backups.
const RECIPIENTS: &str = "backup_recipients";

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
    /// Copy although services are interrupted
    #[arg(long)]
    allow_interruption: bool,
    /// Time for the tasks of the manager to leave it; after it, the node gets its availability back
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Time for the node to come back
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = humantime::parse_duration)]
    return_timeout: Duration,
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
    let screen = common.screen();
    let loaded = args.selection.hosts(&screen);
    let (inventory, hosts) = loaded.map_err(|errors| reject(&errors, &screen))?;
    let recipients = recipients(args, &inventory, &hosts)?;
    // A wrong key is found before a manager is drained.
    let tried = encrypt_for(&recipients, b"").await;
    tried.map_err(|why| anyhow::anyhow!("the backup cannot be encrypted: {why}"))?;
    let mut site = MaintenanceSite::new(Arc::new(inventory), hosts, &args.selection, screen)?;
    site.options.allow_interruption = args.allow_interruption;
    site.options.limit = args.timeout;
    let outcome = backup_site(common, args, &recipients, &site).await;
    site.fleet.close().await;
    settle(outcome, &site.screen)
}

/// Returns the recipients of the command line, or those of the inventory.
fn recipients(
    args: &BackupArgs,
    inventory: &Inventory,
    hosts: &[HostName],
) -> anyhow::Result<Vec<String>> {
    let mut recipients = args.recipient.clone();
    if recipients.is_empty() {
        let vars = hosts.first().and_then(|host| inventory.vars(host));
        let listed = vars
            .and_then(|vars| vars.get(RECIPIENTS))
            .map(|value| value.node.to_json());
        let listed = listed.as_ref().and_then(serde_json::Value::as_array);
        let keys = listed
            .into_iter()
            .flatten()
            .filter_map(serde_json::Value::as_str);
        recipients = keys.map(str::to_owned).collect();
    }
    if recipients.is_empty() {
        let why = format!(
            "error: nobody could read the backup: no recipient is given\n  try: --recipient age1..., or {RECIPIENTS} = [\"age1...\"] in the \
             inventory's [vars]; `age-keygen -o identity.txt` makes a key\n"
        );
        return Err(ConfigurationError(why).into());
    }
    Ok(recipients)
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
    if !args.allow_interruption {
        plan.check()?;
    }
    let question =
        format!("Drain {host}, stop its Engine for a moment, and copy the state of the swarm?");
    if !site.confirm(args.yes, question).await? {
        return Ok(ExitStatus::Failed);
    }
    let stop = stop_on_interrupt();
    let note = |line: &str| screen.note(&literal(line));
    let reconnect = || {
        let events = EventSender::silent();
        fleet(&site.inventory, events, &args.selection.login, screen)
            .map_err(|error| error.to_string())
    };
    let (inventory, options, limit) = (&site.inventory, &site.options, args.return_timeout);
    let backup = create_backup(&reconnect, inventory, &plan, options, limit, &stop, &note).await?;
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
