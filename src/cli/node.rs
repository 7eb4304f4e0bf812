//! `skep node rebuild`: destroy a machine, make it again, and bring it back to its place in the swarm, in one command.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use clap::{Args, Subcommand};

use super::GlobalArgs;
use super::apply::{ApplyOptions, apply_loaded};
use super::cluster::read_cluster;
use super::execute::fleet;
use super::exit_code::ExitStatus;
use super::selection::{InventorySelection, RunSelection, reject};
use crate::cli::query_hosts::query_hosts;
use crate::inventory::Inventory;
use crate::kinds::node_labels::NodeLabelsResource;
use crate::machine::Machines;
use crate::model::{DefinedResource, Query, ShellQuery};
use crate::names::HostName;
use crate::playbook::{HostResource, PreparedRun, ResourceBinding};
use crate::report::Screen;
use crate::runner::{DockerReader as _, EventSender};
use crate::swarm::{SwarmNode, VoterLoss, may_lose};

/// Work on one machine of the cluster.
#[derive(Debug, Args)]
pub(super) struct NodeArgs {
    #[command(subcommand)]
    act: NodeCommand,
}

#[derive(Debug, Subcommand)]
enum NodeCommand {
    /// Destroy a machine of Vagrant or the lab, make it again, and apply: same name, same role, same labels, no ghost
    Rebuild(RebuildArgs),
}

#[derive(Debug, Args)]
struct RebuildArgs {
    /// The machine
    #[arg(value_name = "HOST")]
    host: String,
    #[command(flatten)]
    selection: RunSelection,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
    /// Rebuild although a majority of the managers is lost
    #[arg(long)]
    force: bool,
    /// Rebuild the only manager: the swarm, its services, secrets and labels are lost, and a new one is started
    #[arg(long)]
    new_cluster: bool,
    /// The data directories of the new machine are meant to be empty: its labels are set all the same
    #[arg(long)]
    data_empty: bool,
}

/// Runs the verb.
///
/// # Errors
/// Configuration errors, and what must not be rebuilt.
pub(super) async fn run(common: &GlobalArgs, args: &NodeArgs) -> anyhow::Result<ExitStatus> {
    let NodeCommand::Rebuild(args) = &args.act;
    let screen = common.screen();
    let started = Instant::now();
    let host = HostName::new(&args.host);
    // Everything that can be known to go wrong goes wrong before anything is destroyed.
    let prepared = args.selection.prepare(&screen)?;
    let inventory = prepared.inventory.clone();
    anyhow::ensure!(
        inventory.host(&host).is_some(),
        "there is no host `{host}` in the inventory"
    );
    anyhow::ensure!(
        prepared.resolved.hosts().contains(&host),
        "no play of the playbook is about {host}"
    );
    let machines = Machines::of(&inventory)?;
    machines.check(&inventory, std::slice::from_ref(&host), "rebuild")?;
    let starts_anew = quorum_check(args, &inventory, &host, &screen).await?;
    let data = data_directories(&prepared, &host);
    if !args.yes {
        let what = if starts_anew {
            "the only manager, and the swarm with it"
        } else {
            "its disks and all data on them"
        };
        let question = format!("Destroy {host} ({what}) and make it again?");
        let asker = screen.clone();
        let agreed =
            tokio::task::spawn_blocking(move || asker.can_ask() && asker.ask(&question)).await?;
        anyhow::ensure!(agreed, "nothing was done: nobody said yes (or give --yes)");
    }
    {
        let (machines, host, screen) = (machines.clone(), host.clone(), screen.clone());
        tokio::task::spawn_blocking(move || machines.rebuild(&host, &|line| screen.note(line)))
            .await??;
    }
    if starts_anew {
        let exit = leave_what_is_gone(common, &screen, args, &inventory, &host).await?;
        if exit != ExitStatus::Fine {
            return Ok(exit);
        }
    }
    // The new machine has another port, key and identity.
    let mut prepared = args.selection.prepare(&screen)?;
    let whole = data.is_empty() || args.data_empty;
    if args.data_empty {
        change_labels(&mut prepared, |name, labels| {
            (*name == host).then(|| labels.beginning_anew())
        });
    }
    if starts_anew {
        change_labels(&mut prepared, |name, labels| {
            (*name != host).then(|| labels.inheriting())
        });
    }
    if !whole {
        leave_out_labels(&mut prepared, &host);
    }
    let exit = apply(common, &screen, args, &args.selection, prepared).await?;
    if exit != ExitStatus::Fine {
        return Ok(exit);
    }
    if !whole {
        let empty = empty_ones(args, &inventory_of(args, &screen)?, &host, &data, &screen).await?;
        if !empty.is_empty() {
            screen.note(&format!(
                "{host} is back without its labels: {} is empty, and services that are bound to the labels would start without their data\n  \
                 try: put the data back and `skep apply` again; if it is meant to be empty, `skep node rebuild` with --data-empty, or `skep apply`",
                empty.join(", ")
            ));
            return Ok(ExitStatus::Failed);
        }
        let prepared = args.selection.prepare(&screen)?;
        let exit = apply(common, &screen, args, &args.selection, prepared).await?;
        if exit != ExitStatus::Fine {
            return Ok(exit);
        }
    }
    screen.result(&format!(
        "{host} is rebuilt, in {:.1} s.\n",
        started.elapsed().as_secs_f64()
    ));
    Ok(ExitStatus::Fine)
}

/// Whether the machine may go; true when a new cluster is to be started.
async fn quorum_check(
    args: &RebuildArgs,
    inventory: &Inventory,
    host: &HostName,
    screen: &Screen,
) -> anyhow::Result<bool> {
    let selection = &args.selection.inventory;
    let all: Vec<HostName> = inventory.hosts().map(|(name, _)| name.clone()).collect();
    let fleet = fleet(inventory, EventSender::silent(), &selection.login, screen)?;
    let seen = read_cluster(&fleet, &all, selection.forks(inventory), false).await;
    let mut nodes: Option<Vec<SwarmNode>> = None;
    for row in seen.page.rows.iter().filter(|row| row.role == "manager") {
        if let Some(manager) = &row.host
            && nodes.is_none()
        {
            nodes = fleet
                .get(manager, "/nodes")
                .await
                .ok()
                .and_then(|body| SwarmNode::list(body).ok());
        }
    }
    fleet.close().await;
    let in_group = |name: &HostName| {
        inventory
            .host(name)
            .is_some_and(|host| host.groups.iter().any(|group| group == "managers"))
    };
    let Some(nodes) = nodes else {
        // No manager answers: either there is no swarm, or it was this host's.
        let others = all.iter().any(|name| name != host && in_group(name));
        let in_swarm = seen.page.rows.iter().any(|row| !row.node_id.is_empty());
        anyhow::ensure!(
            !(others && in_swarm) || args.force,
            "no manager answers, so what the loss of {host} would do to the swarm cannot be known; bring a manager back first (--force goes on)"
        );
        return match (in_swarm && in_group(host), args.new_cluster) {
            (true, false) => Err(only_manager(host)),
            (is_only, _) => Ok(is_only),
        };
    };
    // By identity where its Engine answers; else by the address that it advertises.
    let id = seen
        .page
        .rows
        .iter()
        .find(|row| row.host.as_ref() == Some(host) && !row.node_id.is_empty());
    let address = inventory
        .roster()
        .hosts
        .get(host)
        .and_then(|entry| entry.swarm_address.clone());
    let node = match id {
        Some(row) => nodes.iter().find(|node| node.id == row.node_id),
        None => nodes
            .iter()
            .find(|node| Some(&node.address) == address.as_ref()),
    };
    let Some(node) = node.filter(|node| node.manager.is_some()) else {
        return Ok(false);
    };
    if nodes.iter().filter(|node| node.manager.is_some()).count() == 1 {
        return if args.new_cluster {
            Ok(true)
        } else {
            Err(only_manager(host))
        };
    }
    if let Err(refusal) = may_lose(&nodes, &node.id, host.as_str(), VoterLoss::Leaving)
        && !args.force
    {
        anyhow::bail!("{}; {}", refusal.why, refusal.hint);
    }
    Ok(false)
}

fn only_manager(host: &HostName) -> anyhow::Error {
    anyhow::anyhow!(
        "{host} is the only manager: with it the swarm is lost, its services, secrets, configs and labels; \
         `--new-cluster` does that and starts a new one, or make another node a manager first"
    )
}

/// The others are nodes of a swarm that no longer exists: they leave it, and apply joins them to the new one.
async fn leave_what_is_gone(
    common: &GlobalArgs,
    screen: &Screen,
    args: &RebuildArgs,
    inventory: &Inventory,
    host: &HostName,
) -> anyhow::Result<ExitStatus> {
    if inventory.hosts().len() < 2 {
        return Ok(ExitStatus::Fine);
    }
    let mut file = tempfile::Builder::new()
        .prefix("skep-")
        .suffix(".toml")
        .tempfile()?;
    write!(
        file,
        "[[plays]]\nname = \"Leave the swarm that is gone\"\nhosts = \"all:!{host}\"\n[[plays.resources]]\n\
         command = {{ run = \"docker swarm leave --force\", unless = \"{{% raw %}}! command -v docker >/dev/null || docker info --format \
         '{{{{.Swarm.LocalNodeState}}}}' | grep -qx inactive{{% endraw %}}\" }}\n"
    )?;
    let selection = RunSelection {
        playbooks: vec![file.path().to_path_buf()],
        inventory: InventorySelection {
            limit: vec![format!("all:!{host}")],
            ..args.selection.inventory.clone()
        },
        ..RunSelection::default()
    };
    let prepared = selection.prepare(screen)?;
    apply(common, screen, args, &selection, prepared).await
}

async fn apply(
    common: &GlobalArgs,
    screen: &Screen,
    args: &RebuildArgs,
    selection: &RunSelection,
    prepared: PreparedRun,
) -> anyhow::Result<ExitStatus> {
    let manner = ApplyOptions {
        yes: true,
        diff: false,
        lock_wait: std::time::Duration::from_secs(60),
        force: args.force,
    };
    apply_loaded(common, screen, selection, prepared, &manner).await
}

fn inventory_of(args: &RebuildArgs, screen: &Screen) -> anyhow::Result<Inventory> {
    let (inventory, _) = args
        .selection
        .inventory
        .hosts()
        .map_err(|errors| reject(&errors, screen))?;
    Ok(inventory)
}

/// Directories that the host's labels promise.
fn data_directories(prepared: &PreparedRun, host: &HostName) -> Vec<String> {
    let labels = prepared
        .resolved
        .host_resources(host)
        .filter_map(|(_, host_resource)| host_resource.ready());
    labels
        .filter_map(|resource| Some(NodeLabelsResource::of(resource.as_ref())?.data()))
        .flatten()
        .collect()
}

/// Puts other resources in the place of labels. Volumes that the swarm notes on the machine that is gone begin with the empty directories
/// of the new one; those that a cluster which is gone has marked on other machines become the new cluster's.
fn change_labels(
    prepared: &mut PreparedRun,
    change: impl Fn(&HostName, &NodeLabelsResource) -> Option<NodeLabelsResource>,
) {
    let host_resources = prepared
        .resolved
        .plays
        .iter_mut()
        .flat_map(|play| &mut play.host_resources);
    for (host, host_resource) in host_resources.flat_map(|(host, host_resources)| {
        host_resources
            .iter_mut()
            .map(move |host_resource| (host, host_resource))
    }) {
        let Some(resource) = host_resource.ready() else {
            continue;
        };
        let changed =
            NodeLabelsResource::of(resource.as_ref()).and_then(|labels| change(host, labels));
        if let (Some(labels), Some(definition)) = (changed, resource.definition()) {
            host_resource.resource =
                ResourceBinding::Bound(DefinedResource::wrap(Arc::new(labels), definition));
        }
    }
}

fn leave_out_labels(prepared: &mut PreparedRun, host: &HostName) {
    let promises = |host_resource: &HostResource| {
        host_resource.ready().is_some_and(|resource| {
            NodeLabelsResource::of(resource.as_ref())
                .is_some_and(|labels| !labels.data().is_empty())
        })
    };
    for play in &mut prepared.resolved.plays {
        if let Some(host_resources) = play.host_resources.get_mut(host) {
            host_resources.retain(|host_resource| !promises(host_resource));
        }
    }
}

/// Those of the directories that hold nothing.
async fn empty_ones(
    args: &RebuildArgs,
    inventory: &Inventory,
    host: &HostName,
    directories: &[String],
    screen: &Screen,
) -> anyhow::Result<Vec<String>> {
    let holding = |path: &String| {
        Query::Shell(ShellQuery::Holding {
            directory: path.clone(),
        })
    };
    let queries: BTreeSet<Query> = directories.iter().map(holding).collect();
    let replies = query_hosts(
        inventory,
        &args.selection.inventory,
        std::slice::from_ref(host),
        queries,
        screen,
    )
    .await?;
    let Some(Ok(reply)) = replies.get(host) else {
        anyhow::bail!("{host} cannot be asked what its data directories hold")
    };
    let mut empty = Vec::new();
    for path in directories {
        if reply
            .answers
            .directory_usage(path)?
            .is_none_or(|holding| holding.files == 0)
        {
            empty.push(path.clone());
        }
    }
    Ok(empty)
}
