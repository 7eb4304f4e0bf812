//! `skep swarm restore`: arguments, the question, output and exit code. The restoration itself is
//! in `crate::maintenance`.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;

use crate::cli::GlobalArgs;
use crate::cli::exit_code::ExitStatus;
use crate::cli::interrupt::stop_on_interrupt;
use crate::cli::maintenance_site::MaintenanceSite;
use crate::cli::selection::{InventorySelection, reject};
use crate::maintenance::{
    BackupManifest, MaintenanceError, RestoreOptions, SwarmBackup, check_restore, restore_backup,
};
use crate::model::ValueSource;
use crate::names::HostName;
use crate::report::literal;
use crate::transport::read_value;

/// Arguments of `skep swarm restore`.
#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// The backup; SKEP_AGE_IDENTITY names the file with the identity that opens it
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Machine that becomes the manager: with Docker Engine, and in no swarm
    #[arg(long, value_name = "HOST")]
    to: String,
    #[command(flatten)]
    selection: InventorySelection,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
}

/// Restores a swarm.
///
/// # Errors
/// Configuration errors, and a restoration that is refused or fails.
pub(super) async fn restore_swarm(
    common: &GlobalArgs,
    args: &RestoreArgs,
) -> anyhow::Result<ExitStatus> {
    let screen = common.screen();
    let loaded = args.selection.hosts(&screen);
    let (inventory, hosts) = loaded.map_err(|errors| reject(&errors, &screen))?;
    let ciphertext = std::fs::read(&args.file);
    let ciphertext = ciphertext.with_context(|| format!("cannot read {}", args.file.display()))?;
    let source = ValueSource::Age {
        name: args.file.display().to_string(),
        ciphertext,
    };
    let opened = read_value(&source).await;
    let opened = opened.map_err(|why| anyhow::anyhow!("{}: {why}", args.file.display()))?;
    let backup = SwarmBackup::unpack(opened.expose()).map_err(anyhow::Error::msg)?;
    let site = MaintenanceSite::new(Arc::new(inventory), hosts, &args.selection, screen)?;
    site.act(async |site| restore_site(common, args, &backup, site).await)
        .await
}

async fn restore_site(
    common: &GlobalArgs,
    args: &RestoreArgs,
    backup: &SwarmBackup,
    site: &MaintenanceSite,
) -> anyhow::Result<ExitStatus> {
    let (screen, host) = (&site.screen, HostName::new(&args.to));
    let roster = site.inventory.roster();
    let Some(entry) = roster.hosts.get(&host) else {
        return Err(MaintenanceError::UnknownHost(host).into());
    };
    let options = RestoreOptions {
        address: entry
            .swarm_address
            .clone()
            .unwrap_or_else(|| entry.address.clone()),
        lock_wait: site.options.lease_wait,
        owner: site.options.owner.clone(),
        forks: site.options.forks,
    };
    let root = check_restore(&site.fleet, &site.inventory, backup, &host, &options).await?;
    if !common.json {
        screen.result(&manifest_text(&backup.manifest));
    }
    let question = format!(
        "Make {host} ({}) the only manager of this swarm?",
        options.address
    );
    if !site.confirm(args.yes, question).await? {
        return Ok(ExitStatus::Failed);
    }
    let stop = stop_on_interrupt();
    let note = |line: &str| screen.note(&literal(line));
    let outcome = restore_backup(&site.fleet, backup, &host, &root, &options, &stop, &note).await?;
    if common.json {
        screen.json(&serde_json::json!({ "action": "restore", "result": outcome }));
        return Ok(ExitStatus::Fine);
    }
    let mut lines = vec![format!(
        "{host} leads the swarm after {:.1} s, with {} services.",
        outcome.seconds,
        outcome.services.len()
    )];
    if !outcome.removed.is_empty() {
        lines.push(format!(
            "Removed from the list, because they are down: {}",
            outcome.removed.join(", ")
        ));
    }
    if !outcome.unknown.is_empty() {
        lines.push(format!(
            "Still listed, because the manager does not know whether they live: {}; `skep status` shows them",
            outcome.unknown.join(", ")
        ));
    }
    lines.push(
        "`skep apply` joins the other machines of the inventory, and sets their labels.".into(),
    );
    for (old, names) in &backup.manifest.volumes {
        lines.push(format!(
            "{old} had the volumes {}; their data is not in the backup",
            names.join(", ")
        ));
    }
    screen.result(&text(&lines));
    Ok(ExitStatus::Fine)
}

fn manifest_text(manifest: &BackupManifest) -> String {
    let mut lines = vec![format!(
        "Backup of {} from {} at {} (Docker Engine {}): cluster {}",
        manifest.created,
        manifest.host,
        manifest.address,
        manifest.engine_version,
        manifest.cluster_id,
    )];
    for node in &manifest.nodes {
        let labels: Vec<String> = node
            .labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        lines.push(format!(
            "  {} {} {} {}",
            node.hostname,
            node.role,
            node.availability,
            labels.join(" ")
        ));
    }
    lines.push(format!("  services: {}", manifest.services.join(", ")));
    text(&lines)
}

fn text(lines: &[String]) -> String {
    let lines: Vec<String> = lines
        .iter()
        .map(|line| literal(line.trim_end()).to_string())
        .collect();
    format!("{}\n", lines.join("\n"))
}
