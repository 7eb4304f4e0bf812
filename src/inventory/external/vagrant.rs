//! `-i vagrant:DIR`: machines as Vagrant has them now, roles and private addresses as the Vagrantfile wrote them into
//! `.vagrant/skep/cluster.json` (vagrant/README.md shows how any Vagrantfile can).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::vagrant_output::{failure, first_sentence, ssh_config, status};
use super::{ExternalInventoryError, GeneratedHost, GeneratedInventory, keys, program};
use crate::inventory::external::cache;
use crate::inventory::external::cache::EnvironmentStatus;

/// How often a command is tried whose machine another Vagrant holds, and the pause between.
const LOCK_TRIES: usize = 10;
const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(300);
const INSTALL: &str =
    "install Vagrant (Debian: apt-get install vagrant), or name an inventory file with `-i`";

/// What the Vagrantfile says about its machines.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct VagrantfileCluster {
    machines: BTreeMap<String, VagrantfileMachine>,
    /// Groups that may be empty.
    groups: Vec<String>,
    vars: BTreeMap<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct VagrantfileMachine {
    groups: Vec<String>,
    /// The private network's address.
    address: Option<String>,
    vars: BTreeMap<String, Value>,
}

/// Where an environment keeps its things.
struct VagrantFolders {
    root: PathBuf,
    dotfiles: PathBuf,
}

/// Reads the environment of a folder, or of this one.
pub(super) fn inventory(folder: &Path) -> Result<GeneratedInventory, ExternalInventoryError> {
    let environment = VagrantFolders::find(folder)?;
    let machines_folder = environment.dotfiles.join("machines");
    let own = environment.dotfiles.join("skep");
    let (mark, kept) = (
        cache::cache_key(&environment.root, &machines_folder),
        own.join("answer.json"),
    );
    let answer = match cache::load_cached(&kept, mark) {
        Some(answer) => answer,
        None => {
            let answer = ask(&environment.root)?;
            // The files as they were before the question: what changes while it is asked is asked about again.
            cache::store_cached(&kept, mark, &answer);
            answer
        }
    };
    let cluster = read_cluster(&own.join("cluster.json"))?;
    let known_hosts = own.join("known_hosts");
    let about = format!(
        "The machines of Vagrant in {}, as they were when this was written.",
        environment.root.display()
    );
    let mut written = GeneratedInventory {
        about,
        disposable: true,
        vars: cluster.vars,
        ..GeneratedInventory::default()
    };
    written.groups.extend(
        cluster
            .groups
            .into_iter()
            .map(|group| (group, Default::default())),
    );
    let mut living = BTreeSet::new();
    for (name, machine) in &answer.machines {
        let roles = cluster.machines.get(name);
        let identity = identity(
            &machines_folder
                .join(name)
                .join(&machine.provider)
                .join("id"),
        );
        let mut host = GeneratedHost::default();
        if let Some(machine_config) = answer.ssh_configs.get(name) {
            host.set("address", machine_config.address.as_str());
            host.set("port", machine_config.port);
            host.set("user", machine_config.user.as_str());
            host.set("identity_file", machine_config.keys.clone());
            if let Some(command) = &machine_config.proxy_command {
                host.set("proxy_command", command.as_str());
            }
        } else {
            // Nobody connects to it; the address is for the people who read the list.
            let address = roles.and_then(|roles| roles.address.clone());
            host.set("address", address.unwrap_or_else(|| name.clone()));
            host.set("user", "vagrant");
            host.set("not_running", not_running(name, &machine.state));
        }
        host.set("become", true);
        host.set("agent", false);
        host.set("ssh_config", false);
        // A key is new only where the machine is: its name in known hosts is the identity that its provider gave it.
        host.set("host_keys", "accept-new");
        host.set("known_hosts", known_hosts.to_string_lossy());
        if let Some(identity) = identity {
            let alias = keys::alias(&identity);
            host.set("host_key_alias", alias.as_str());
            living.insert(alias);
        }
        if let Some(roles) = roles {
            host.groups.clone_from(&roles.groups);
            host.vars.clone_from(&roles.vars);
            if let Some(address) = &roles.address {
                host.vars
                    .insert("swarm_address".into(), address.as_str().into());
            }
        }
        written.hosts.push((name.clone(), host));
    }
    keys::forget_all_but(&known_hosts, &living);
    Ok(written)
}

/// The folder of the Vagrantfile.
pub(super) fn root(folder: &Path) -> Option<PathBuf> {
    VagrantFolders::find(folder)
        .ok()
        .map(|environment| environment.root)
}

impl VagrantFolders {
    /// The folder of the Vagrantfile: this one, its `vagrant/`, or, as Vagrant itself does, the nearest one above.
    fn find(folder: &Path) -> Result<Self, ExternalInventoryError> {
        let name = std::env::var("VAGRANT_VAGRANTFILE").unwrap_or_else(|_| "Vagrantfile".into());
        let here = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        if !here.is_dir() {
            return Err(ExternalInventoryError::new(format!(
                "there is no folder {}",
                here.display()
            ))
            .hint("name the folder of the Vagrantfile: `-i vagrant:DIR`"));
        }
        let whole = std::path::absolute(here).unwrap_or_else(|_| here.to_path_buf());
        let inside = whole.join("vagrant");
        let above = whole
            .ancestors()
            .find(|folder| folder.join(&name).is_file());
        let root = match above {
            Some(root) if root == whole => whole.clone(),
            _ if folder.as_os_str().is_empty() && inside.join(&name).is_file() => inside,
            Some(root) => root.to_path_buf(),
            None => {
                return Err(ExternalInventoryError::new(format!(
                    "there is no {name} in {} or above it",
                    here.display()
                ))
                .hint("name the folder of the Vagrantfile: `-i vagrant:DIR`"));
            }
        };
        let dotfiles = root
            .join(std::env::var_os("VAGRANT_DOTFILE_PATH").unwrap_or_else(|| ".vagrant".into()));
        Ok(Self { root, dotfiles })
    }
}

/// Asks both questions at once. `vagrant ssh-config` ends at the first machine that does not run, so it is asked once more
/// for those that were left out.
fn ask(root: &Path) -> Result<EnvironmentStatus, ExternalInventoryError> {
    let vagrant = |arguments: &[&str]| run_with_retry(arguments, root);
    let (said, ssh_configs) = std::thread::scope(|scope| {
        let ssh_configs = scope.spawn(|| vagrant(&["ssh-config"]));
        let said = vagrant(&["status", "--machine-readable"]);
        (
            said,
            ssh_configs.join().unwrap_or_else(|_| {
                Err(ExternalInventoryError::new(
                    "`vagrant ssh-config` was not run",
                ))
            }),
        )
    });
    let (said, mut ssh_configs) = (said?, ssh_config(&ssh_configs?.stdout));
    if !said.success {
        let why =
            failure(&said.stdout).map_or_else(|| first_sentence(&said.stderr), |(_, words)| words);
        return Err(ExternalInventoryError::new(format!("`vagrant status` failed in {}: {why}", root.display()))
            .hint("run `vagrant status` there by hand; `vagrant validate` looks for mistakes in the Vagrantfile"));
    }
    let machines = status(&said.stdout);
    if machines.is_empty() {
        return Err(ExternalInventoryError::new(format!(
            "`vagrant status` lists no machine in {}",
            root.display()
        )));
    }
    let running = |name: &String| {
        machines
            .get(name)
            .is_some_and(|machine| machine.state == "running")
    };
    ssh_configs.retain(|name, _| running(name));
    let missing: Vec<&str> = machines
        .keys()
        .filter(|name| running(name) && !ssh_configs.contains_key(*name))
        .map(String::as_str)
        .collect();
    if !missing.is_empty() {
        let said = vagrant(&[&["ssh-config"], missing.as_slice()].concat())?;
        ssh_configs.extend(ssh_config(&said.stdout));
        if let Some(name) = missing
            .iter()
            .find(|name| !ssh_configs.contains_key(**name))
        {
            let why = first_sentence(if said.stderr.trim().is_empty() {
                &said.stdout
            } else {
                &said.stderr
            });
            return Err(ExternalInventoryError::new(format!(
                "`vagrant ssh-config {name}` does not say how it is reached: {why}"
            ))
            .hint(format!(
                "run `vagrant reload {name}`; or `vagrant destroy {name}` and `vagrant up {name}`"
            )));
        }
    }
    Ok(EnvironmentStatus {
        machines,
        ssh_configs,
    })
}

/// Vagrant locks its index of machines for moments, and a command that meets the lock of another one fails at once.
fn run_with_retry(
    arguments: &[&str],
    root: &Path,
) -> Result<program::ProgramOutput, ExternalInventoryError> {
    let mut tries = 0;
    loop {
        let said = program::run(OsStr::new("vagrant"), arguments, root, INSTALL)?;
        let locked = |text: &str| {
            text.contains("because it is locked") || text.contains("Errors::MachineLocked")
        };
        tries += 1;
        if said.success || tries == LOCK_TRIES || !(locked(&said.stdout) || locked(&said.stderr)) {
            return Ok(said);
        }
        std::thread::sleep(LOCK_PAUSE);
    }
}

fn not_running(name: &str, state: &str) -> String {
    let words = state.replace('_', " ");
    match state {
        "saved" => format!("Vagrant says that it is suspended; try `vagrant resume {name}`"),
        "preparing" => {
            format!(
                "Vagrant stopped half-way while making it; try `vagrant destroy -f {name} && vagrant up {name}`"
            )
        }
        _ => format!("Vagrant says that it is {words}; try `vagrant up {name}`"),
    }
}

/// The identity of a machine; none before it is made, and none for the word that the docker provider writes meanwhile.
fn identity(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    Some(text.trim().to_owned()).filter(|identity| !identity.is_empty() && identity != "preparing")
}

fn read_cluster(file: &Path) -> Result<VagrantfileCluster, ExternalInventoryError> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        // A Vagrantfile that says nothing to skep: the machines are in no group.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(VagrantfileCluster::default());
        }
        Err(error) => {
            return Err(ExternalInventoryError::new(format!(
                "cannot read {}: {error}",
                file.display()
            )));
        }
    };
    serde_json::from_str(&text).map_err(|error| {
        ExternalInventoryError::new(format!(
            "{} is not what the Vagrantfile should write: {error}",
            file.display()
        ))
        .hint("remove the file; any `vagrant` command writes it again")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_folder_without_a_vagrantfile_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let why = inventory(folder.path()).unwrap_err().why;
        assert!(why.starts_with("there is no Vagrantfile in "), "{why}");
        assert_eq!(
            inventory(Path::new("/no/such")).unwrap_err().why,
            "there is no folder /no/such"
        );
    }

    #[test]
    fn identities() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("id");
        assert_eq!(identity(&file), None);
        std::fs::write(&file, "preparing").unwrap();
        assert_eq!(identity(&file), None);
        std::fs::write(&file, "a1b2\n").unwrap();
        assert_eq!(identity(&file).as_deref(), Some("a1b2"));
    }

    #[test]
    fn stopped_machines_come_with_a_next_step() {
        assert!(not_running("a", "not_created").contains("not created; try `vagrant up a`"));
        assert!(not_running("a", "saved").contains("vagrant resume a"));
        assert!(not_running("a", "preparing").contains("vagrant destroy -f a"));
    }
}
