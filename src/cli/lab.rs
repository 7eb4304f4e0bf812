//! `skep lab`: throwaway nodes on this machine. Results go to stdout, progress to stderr.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};

use super::exit_code::ExitStatus;
use crate::lab::{
    self, DebianSuite, DockerStopOutcome, LabError, LabName, LabOptions, LoginUser, NodeState,
    PresentedOs, ProgressFn, StateDirectory, TestImage,
};

/// Create and break throwaway nodes on this machine, to try skep on
#[derive(Debug, Args)]
pub(super) struct LabArgs {
    #[command(subcommand)]
    verb: LabVerb,
    /// Folder for keys, records and caches [default: ~/.local/state/skep/lab]
    #[arg(long, global = true, env = "SKEP_STATE_DIR", value_name = "DIRECTORY")]
    state_dir: Option<PathBuf>,
    /// Name of the lab environment; several can exist side by side
    // `--lot` is the name of this flag in older versions.
    #[arg(
        id = "environment",
        long = "name",
        alias = "lot",
        global = true,
        default_value = "lab",
        value_name = "NAME"
    )]
    name: String,
}

#[derive(Debug, Subcommand)]
enum LabVerb {
    /// Create a lab environment, or repair it, and write its inventory
    Up {
        /// Number of managers
        #[arg(long, default_value_t = 1, value_name = "N")]
        managers: u8,
        /// Number of workers
        #[arg(long, default_value_t = 2, value_name = "N")]
        workers: u8,
        /// Debian release of the nodes [default: trixie; forky for ubuntu-26.04]
        #[arg(long, value_enum)]
        suite: Option<SuiteName>,
        /// Distribution that the nodes state in /etc/os-release; ubuntu-26.04 also has its
        /// coreutils and its sudo
        #[arg(long, value_enum, default_value_t = PresentedOsName::Debian)]
        present_as: PresentedOsName,
        /// Account for logins; vagrant has passwordless sudo
        #[arg(long, value_enum, default_value_t = UserName::Vagrant)]
        user: UserName,
        /// Nodes on which Docker Engine, Buildx and Compose are already installed, instead of bare
        /// ones
        #[arg(long, conflicts_with = "virtual_machines")]
        with_docker: bool,
        /// Whole virtual machines (QEMU) instead of containers: with a kernel of their own, and
        /// slower by minutes
        #[arg(long)]
        virtual_machines: bool,
        /// Inventory to write
        #[arg(short, long, default_value = "inventory/lab.toml", value_name = "FILE")]
        inventory: PathBuf,
    },
    /// Remove a lab environment: its nodes, network, keys and inventory
    Down {
        /// Remove every lab environment of this state directory
        #[arg(long)]
        all: bool,
        /// Also remove node images and package mirrors that no environment uses
        #[arg(long)]
        purge: bool,
        /// Also stop dockerd, if `skep lab` started it
        #[arg(long)]
        stop_docker: bool,
    },
    /// Shut nodes down
    Stop {
        /// The nodes, such as docker02
        #[arg(required = true)]
        nodes: Vec<String>,
        /// Cut the power instead
        #[arg(long)]
        now: bool,
    },
    /// Start stopped nodes
    Start {
        /// The nodes, such as docker02
        #[arg(required = true)]
        nodes: Vec<String>,
    },
    /// Disconnect nodes from the network: packets are dropped without a signal
    Cut {
        /// The nodes, such as docker02
        #[arg(required = true)]
        nodes: Vec<String>,
    },
    /// Reconnect nodes to the network
    Heal {
        /// The nodes, such as docker02
        #[arg(required = true)]
        nodes: Vec<String>,
    },
    /// Load an image built from Debian's packages into the nodes' Docker Engines, as NAME:lab
    Load {
        /// Image to load
        #[arg(value_enum)]
        image: ImageName,
        /// The nodes, such as docker02 [default: all]
        nodes: Vec<String>,
    },
    /// Describe the node image as JSON, for programs that make machines of it (Vagrant)
    Image {
        /// Debian release of the nodes
        #[arg(long, value_enum, default_value_t = SuiteName::Trixie)]
        suite: SuiteName,
        /// File of public keys that may log in as vagrant
        #[arg(long, value_name = "FILE")]
        authorize: PathBuf,
        /// Take packages from the mirror of this lab environment instead of Debian
        #[arg(long, value_name = "NAME")]
        mirror_of: Option<String>,
        /// Build the image if it is missing
        #[arg(long)]
        build: bool,
    },
    /// Show the nodes of a lab environment and their state
    Status,
    /// List the lab environments of this state directory
    List,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SuiteName {
    Trixie,
    Bookworm,
    Forky,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PresentedOsName {
    Debian,
    Ubuntu,
    #[value(name = "ubuntu-26.04")]
    Ubuntu2604,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum UserName {
    Root,
    Vagrant,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ImageName {
    /// A shell and small tools, 2 MB
    Busybox,
    /// busybox and a registry
    Registry,
    /// Apache, nginx, php-fpm, MariaDB, PostgreSQL, Redis, Caddy, Prometheus, Flask, a registry
    Services,
}

/// Runs the verb, and prints an error to stderr. The exit code is 1 on an error.
#[must_use]
pub(super) fn main(arguments: &LabArgs) -> ExitStatus {
    match run(arguments) {
        Ok(()) => ExitStatus::Fine,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitStatus::Failed
        }
    }
}

/// Runs the verb.
///
/// # Errors
/// The error of the lab; its text says what failed, why and what to try.
fn run(arguments: &LabArgs) -> anyhow::Result<()> {
    let state = match &arguments.state_dir {
        Some(path) => StateDirectory::at(path)?,
        None => StateDirectory::standard()?,
    };
    let lab = LabName::new(&arguments.name)?;
    let started = Instant::now();
    let progress = |line: &str| {
        say(&format!(
            "[{:5.1} s] {line}",
            started.elapsed().as_secs_f64()
        ));
    };
    match &arguments.verb {
        LabVerb::Up {
            managers,
            workers,
            suite,
            present_as,
            user,
            with_docker,
            virtual_machines,
            inventory,
        } => {
            let present_as = PresentedOs::from(*present_as);
            let suite = suite.map(DebianSuite::from);
            if let (Some(needed), Some(given)) = (present_as.needed_suite(), suite) {
                anyhow::ensure!(
                    given == needed,
                    "--present-as {} has the programs of --suite {}; leave --suite out",
                    present_as.name(),
                    needed.name()
                );
            }
            let options = LabOptions {
                name: lab,
                managers: *managers,
                workers: *workers,
                suite: suite.or(present_as.needed_suite()).unwrap_or_default(),
                present_as,
                user: (*user).into(),
                with_docker: *with_docker,
                virtual_machines: *virtual_machines,
                inventory: inventory.clone(),
                state,
            };
            lab::up(&options, &progress)?;
        }
        LabVerb::Down {
            all,
            purge,
            stop_docker,
        } => {
            let labs = if *all { lab::list(&state)? } else { vec![lab] };
            for lab in labs {
                lab::down(&state, &lab, &progress)?;
                progress(&format!("lab environment {lab} is removed"));
            }
            if *purge {
                lab::ensure_docker(&state, &progress)?;
                lab::purge(&state, &progress)?;
            }
            if *stop_docker {
                progress(&match lab::stop_docker(&state, &progress)? {
                    DockerStopOutcome::Stopped => "dockerd is stopped".to_owned(),
                    DockerStopOutcome::NotStartedByLab => {
                        "dockerd still runs: `skep lab` did not start it".to_owned()
                    }
                    DockerStopOutcome::InUse(names) => {
                        format!(
                            "dockerd still runs, because it has running containers: {}",
                            names.join(", ")
                        )
                    }
                });
            }
        }
        LabVerb::Image {
            suite,
            authorize,
            mirror_of,
            build,
        } => {
            let keys = std::fs::read_to_string(authorize).with_context(|| {
                format!(
                    "cannot read the keys of --authorize {}",
                    authorize.display()
                )
            })?;
            let lab = mirror_of.as_deref().map(LabName::new).transpose()?;
            let image = lab::machine_image(
                &state,
                (*suite).into(),
                lab.as_ref(),
                &keys,
                *build,
                &progress,
            )?;
            print(&serde_json::to_string(&image)?)?;
        }
        LabVerb::List => {
            for lab in lab::list(&state)? {
                print(&list_line(&state, &lab))?;
            }
        }
        verb => {
            let lab = lab::find(&state, &lab)?;
            if !lab.record().virtual_machines {
                lab::ensure_docker(&state, &progress)?;
            }
            on_nodes(&lab, verb, &progress)?;
        }
    }
    Ok(())
}

fn on_nodes(lab: &lab::Lab, verb: &LabVerb, progress: ProgressFn<'_>) -> anyhow::Result<()> {
    match verb {
        LabVerb::Stop { nodes, now } => {
            for node in nodes {
                progress(&format!("{node}: stopping"));
                lab.stop(node, *now)?;
            }
        }
        LabVerb::Start { nodes } => {
            for node in nodes {
                progress(&format!("{node}: starting"));
                lab.start(node, progress)?;
            }
        }
        LabVerb::Cut { nodes } => {
            for node in nodes {
                lab.cut(node)?;
                progress(&format!("{node}: disconnected"));
            }
        }
        LabVerb::Heal { nodes } => {
            for node in nodes {
                lab.heal(node)?;
                progress(&format!("{node}: connected"));
            }
        }
        LabVerb::Load { image, nodes } => lab.load_image((*image).into(), nodes, progress)?,
        _ => {
            for node in lab.nodes() {
                let state = match lab.node_state(&node.name)? {
                    NodeState::Running => "running",
                    NodeState::Cut => "cut off",
                    NodeState::Stopped => "stopped",
                    NodeState::Missing => "missing",
                };
                print(&format!(
                    "{:<10} {:<15} {state}",
                    node.name,
                    node.address.to_string()
                ))?;
            }
        }
    }
    Ok(())
}

fn list_line(state: &StateDirectory, name: &LabName) -> String {
    match lab::find(state, name) {
        Ok(lab) => format!(
            "{:<20} {} {}  {}  {}",
            name.as_str(),
            lab.nodes().len(),
            if lab.record().virtual_machines {
                "virtual machines"
            } else {
                "nodes"
            },
            lab.record().suite.name(),
            lab.record().inventory.display()
        ),
        Err(LabError::NoSuchLab { .. }) => format!("{:<20} incomplete", name.as_str()),
        Err(error) => format!("{:<20} {error}", name.as_str()),
    }
}

fn print(line: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout().lock(), "{line}")
}

fn say(line: &str) {
    // A closed stderr leaves no place to report the failure.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

impl From<SuiteName> for DebianSuite {
    fn from(name: SuiteName) -> Self {
        match name {
            SuiteName::Trixie => Self::Trixie,
            SuiteName::Bookworm => Self::Bookworm,
            SuiteName::Forky => Self::Forky,
        }
    }
}

impl From<PresentedOsName> for PresentedOs {
    fn from(name: PresentedOsName) -> Self {
        match name {
            PresentedOsName::Debian => Self::Debian,
            PresentedOsName::Ubuntu => Self::Ubuntu,
            PresentedOsName::Ubuntu2604 => Self::Ubuntu2604,
        }
    }
}

impl From<ImageName> for TestImage {
    fn from(name: ImageName) -> Self {
        match name {
            ImageName::Busybox => Self::Busybox,
            ImageName::Registry => Self::Registry,
            ImageName::Services => Self::Services,
        }
    }
}

impl From<UserName> for LoginUser {
    fn from(name: UserName) -> Self {
        match name {
            UserName::Root => Self::Root,
            UserName::Vagrant => Self::Vagrant,
        }
    }
}
