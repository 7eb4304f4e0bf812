//! `skep status`: shows the swarm as its Engines and one manager report it, and its problems.

use std::collections::BTreeSet;

use super::GlobalArgs;
use super::execute::fleet;
use super::exit_code::ExitStatus;
use super::selection::{InventorySelection, reject};
use crate::report::{TextTable, literal, literal_line};
use crate::runner::EventSender;
use crate::safety::{ClusterStatus, read_cluster};
use crate::swarm::overview::{ClusterOverview, OverviewRow};

/// Show the swarm: nodes, roles, labels, voters, services, versions and problems. Reads only.
#[derive(clap::Args)]
pub(super) struct StatusArgs {
    /// Also list the images of the cluster's registries: repositories, tags, digests
    #[arg(long)]
    images: bool,
    #[command(flatten)]
    selection: InventorySelection,
}

/// Reads and prints. Returns 1 if there is a problem or skep itself failed on a host, 4 if a host
/// is unreachable.
///
/// # Errors
/// Fails on configuration errors.
pub(super) async fn run(common: &GlobalArgs, args: &StatusArgs) -> anyhow::Result<ExitStatus> {
    let screen = common.screen();
    let (inventory, hosts) = args
        .selection
        .hosts(&screen)
        .map_err(|errors| reject(&errors, &screen))?;
    let fleet = fleet(
        &inventory,
        EventSender::silent(),
        &args.selection.login,
        &screen,
    )?;
    let ClusterStatus {
        page,
        unreachable,
        failed,
        ..
    } = read_cluster(&fleet, &hosts, args.selection.forks(&inventory), true).await;
    let registries = if args.images {
        Some(super::images::read_registries(&fleet, &page).await)
    } else {
        None
    };
    fleet.close().await;
    let unread = registries
        .iter()
        .flatten()
        .any(|registry| registry.problem.is_some());
    if common.json {
        match &registries {
            Some(registries) => {
                screen.json(&serde_json::json!({ "status": page, "registries": registries }));
            }
            None => screen.json(&page),
        }
    } else {
        screen.result(&text(&page));
        if let Some(registries) = &registries {
            screen.result(&super::images::text(registries));
        }
    }
    if unread && page.problems.is_empty() {
        return Ok(ExitStatus::Failed);
    }
    Ok(match (page.problems.is_empty(), unreachable && !failed) {
        (true, _) => ExitStatus::Fine,
        (false, true) => ExitStatus::Unreachable,
        (false, false) => ExitStatus::Failed,
    })
}

fn text(page: &ClusterOverview) -> String {
    let mut table = TextTable::new(&[
        "HOST",
        "NODE",
        "ROLE",
        "AVAILABILITY",
        "STATE",
        "ENGINE",
        "ADDRESS",
        "LABELS",
    ]);
    for row in &page.rows {
        table.row(cells(row));
    }
    let mut text = table.text();
    let versions: BTreeSet<&str> = page
        .rows
        .iter()
        .map(|row| row.engine_version.as_str())
        .filter(|version| !version.is_empty())
        .collect();
    let (all, reachable) = page.managers;
    let versions: Vec<&str> = versions.into_iter().collect();
    text.push_str(&format!("\nvoters: {reachable} of {all} reachable"));
    text.push_str(&if versions.is_empty() {
        "\n".to_owned()
    } else {
        format!("; Engine {}\n", literal(&versions.join(", ")))
    });
    if !page.services.is_empty() {
        let mut table = TextTable::new(&["SERVICE", "MODE", "TASKS", "IMAGE"]);
        for service in &page.services {
            let tasks = service.tasks.map_or_else(
                || "-".to_owned(),
                |(running, desired)| format!("{running}/{desired}"),
            );
            table.row([
                service.name.clone(),
                service.mode.clone(),
                tasks,
                service.image.clone(),
            ]);
        }
        text.push('\n');
        text.push_str(&table.text());
    }
    for problem in &page.problems {
        text.push_str(&format!("problem: {}\n", literal_line(problem)));
    }
    text
}

fn cells(row: &OverviewRow) -> [String; 8] {
    let or_dash = |text: &str| {
        if text.is_empty() {
            "-".to_owned()
        } else {
            text.to_owned()
        }
    };
    let labels: Vec<String> = row
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let role = if row.leader {
        format!("{} (leader)", row.role)
    } else {
        or_dash(&row.role)
    };
    let host = row
        .host
        .as_ref()
        .map_or_else(|| format!("({})", row.hostname), ToString::to_string);
    [
        host,
        or_dash(&row.node_id.chars().take(12).collect::<String>()),
        role,
        or_dash(&row.availability),
        or_dash(&row.state),
        or_dash(&row.engine_version),
        or_dash(&row.address),
        or_dash(&labels.join(" ")),
    ]
}
