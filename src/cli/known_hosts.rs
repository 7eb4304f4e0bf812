//! `skep known-hosts`: forgets the keys of a rebuilt host, or shows the keys that a host has now.

use clap::Subcommand;

use super::GlobalArgs;
use super::connect::SshConnector;
use super::exit_code::ExitStatus;
use super::selection::{InventorySelection, reject};
use crate::inventory::{Inventory, SshTarget};
use crate::names::HostName;
use crate::report::literal;
use crate::transport::{TransportError, forget};

/// Forget a host's SSH keys, or show its present keys.
#[derive(clap::Args)]
pub(super) struct KnownHostsArgs {
    #[command(subcommand)]
    act: KnownHostsCommand,
}

#[derive(Subcommand)]
enum KnownHostsCommand {
    /// Remove a rebuilt host from its files of known hosts. The old text is kept in FILE.old
    Forget(HostListArgs),
    /// Print the keys that a host shows now, as lines of known hosts, and their fingerprints.
    /// Trusts and writes nothing
    Scan(HostListArgs),
}

#[derive(clap::Args)]
struct HostListArgs {
    /// Hosts of the inventory, or names and addresses
    #[arg(value_name = "HOST", required = true)]
    hosts: Vec<String>,
    #[command(flatten)]
    selection: InventorySelection,
}

/// Runs the verb.
///
/// # Errors
/// Fails on configuration errors.
pub(super) async fn run(common: &GlobalArgs, args: &KnownHostsArgs) -> anyhow::Result<ExitStatus> {
    let screen = common.screen();
    let (KnownHostsCommand::Forget(hosts) | KnownHostsCommand::Scan(hosts)) = &args.act;
    // Without an inventory, every argument is a host name or an address.
    let inventory = match hosts.selection.hosts(&screen) {
        Ok((inventory, _)) => inventory,
        Err(_) if hosts.selection.inventory.is_empty() => Inventory::default(),
        Err(errors) => return Err(reject(&errors, &screen).into()),
    };
    let connector = SshConnector::new(&inventory, &hosts.selection.login.quiet(), &screen)?;
    let mut exit = ExitStatus::Fine;
    for host in &hosts.hosts {
        let name = HostName::new(host);
        let target = match connector.settings(&name).await {
            Some(settings) => settings,
            None => {
                connector
                    .stranger(&hosts.selection.login.apply(&SshTarget::unlisted(host))?)
                    .await
            }
        };
        let result = match target {
            Ok(target) => match &args.act {
                KnownHostsCommand::Forget(_) => forget_keys(host, &target).map(|forgotten| {
                    for line in forgotten.results {
                        screen.result(&format!("{line}\n"));
                    }
                    for line in forgotten.notes {
                        screen.note(&line);
                    }
                }),
                KnownHostsCommand::Scan(_) => connector.scan(&target).await.map(|lines| {
                    for (line, fingerprint) in lines {
                        screen.result(&format!("{line}\n"));
                        screen.note(&format!("{host}: {fingerprint}"));
                    }
                }),
            },
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            exit = if matches!(args.act, KnownHostsCommand::Scan(_)) {
                ExitStatus::Unreachable
            } else {
                ExitStatus::Failed
            };
            screen.note(&format!(
                "{host}: {}\n  try: {}",
                literal(&error.to_string()),
                literal(&error.hint())
            ));
        }
    }
    Ok(exit)
}

/// Report about the keys of one host that were removed, in lines.
#[derive(Default)]
pub(super) struct ForgottenKeys {
    /// The changes, or the statement that the host was not known.
    pub results: Vec<String>,
    /// Lines of the files that were kept.
    pub notes: Vec<String>,
}

/// Removes the keys of one host from its files of known hosts.
///
/// # Errors
/// If a file cannot be read or written.
pub(super) fn forget_keys(host: &str, target: &SshTarget) -> Result<ForgottenKeys, TransportError> {
    let (address, port) = target.known_name();
    let mut report = ForgottenKeys::default();
    // The system's file belongs to the administrator; the other files belong to the user.
    for file in target
        .known_hosts
        .iter()
        .filter(|file| !file.starts_with("/etc"))
    {
        let forgotten = forget(file, address, port)?;
        if !forgotten.lines.is_empty() {
            let (count, file) = (forgotten.lines.len(), file.display());
            report.results.push(format!(
                "{host}: {count} line(s) forgotten in {file}; the old text is in {file}.old"
            ));
        }
        for line in forgotten.patterns {
            report.notes.push(format!(
                "{host}: {}:{line} is a pattern and was kept",
                file.display()
            ));
        }
    }
    if report.results.is_empty() && report.notes.is_empty() {
        report.results.push(format!("{host}: not known"));
    }
    Ok(report)
}
