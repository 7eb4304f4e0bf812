//! `-i vagrant:DIR`: reads the current machines from Vagrant. Roles and private addresses come from
//! `.vagrant/skep/cluster.json`, which the Vagrantfile writes (vagrant/README.md shows how any
//! Vagrantfile can do that).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::vagrant_output::{failure, first_sentence, ssh_config, status};
use super::{ExternalInventoryError, GeneratedHost, GeneratedInventory, keys, program};
use crate::inventory::external::cache;
use crate::inventory::external::cache::EnvironmentStatus;

/// Number of attempts for a command if another Vagrant process locks the machine.
const LOCK_TRIES: usize = 10;
/// Pause between two attempts.
const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(300);
const INSTALL: &str =
    "install Vagrant (Debian: apt-get install vagrant), or name an inventory file with `-i`";

/// Machines, groups and variables that the Vagrantfile writes for skep.
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
    /// Address in the private network.
    address: Option<String>,
    vars: BTreeMap<String, Value>,
}

/// Folders of a Vagrant environment.
struct VagrantFolders {
    root: PathBuf,
    dotfiles: PathBuf,
}

/// Loads the inventory of the environment in a folder; an empty path means the current folder.
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
            // The key describes the files before the query, so a change during the query
            // invalidates the cached answer.
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
            // skep does not connect to a stopped machine; the address is for people who read the
            // list.
            let address = roles.and_then(|roles| roles.address.clone());
            host.set("address", address.unwrap_or_else(|| name.clone()));
            host.set("user", "vagrant");
            host.set("not_running", not_running(name, &machine.state));
        }
        host.set("become", true);
        host.set("agent", false);
        host.set("ssh_config", false);
        // Safe to accept: the machine's name in known hosts is derived from the identity that the
        // provider gave it, so a key is new only if the machine is new.
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

/// Returns the folder of the Vagrantfile.
pub(super) fn root(folder: &Path) -> Option<PathBuf> {
    VagrantFolders::find(folder)
        .ok()
        .map(|environment| environment.root)
}

impl VagrantFolders {
    /// Finds the folder of the Vagrantfile: the given folder, its `vagrant/` if the path is empty,
    /// or the nearest folder above, as Vagrant itself does.
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

/// Runs `vagrant status` and `vagrant ssh-config` at once. `vagrant ssh-config` stops at the first
/// machine that does not run, so it is run once more for the machines that it left out.
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
            .hint("run `vagrant status` there by hand; `vagrant validate` finds mistakes in the Vagrantfile"));
    }
    let machines = status(&said.stdout);
    if machines.is_empty() {
        return Err(ExternalInventoryError::new(format!(
            "`vagrant status` lists no machine in {}",
            root.display()
        )));
    }
    let state = |name: &String| machines.get(name).map(|machine| machine.state.as_str());
    ssh_configs.retain(|name, _| state(name).is_some_and(|state| !is_stopped(state)));
    let missing: Vec<&str> = machines
        .keys()
        .filter(|name| state(name).is_some_and(is_running) && !ssh_configs.contains_key(*name))
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
                "`vagrant ssh-config {name}` printed no SSH settings: {why}"
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

/// Returns true if a state means that the machine runs: `running` of most providers, `active` of
/// DigitalOcean, OpenStack, Rackspace and Brightbox, `RUNNING` of Google.
fn is_running(state: &str) -> bool {
    ["running", "active"].contains(&state.to_lowercase().as_str())
}

/// Returns true if a state means that the machine does not run. Providers choose their words, and
/// `vagrant ssh-config` of some also answers for a stopped machine. A machine with another word
/// runs if `vagrant ssh-config` says how it is reached.
fn is_stopped(state: &str) -> bool {
    const STOPPED: &[&str] = &[
        "aborted",
        "archive",
        "deleted",
        "gurumeditation",
        "halted",
        "inaccessible",
        "inactive",
        "not created",
        "off",
        "paused",
        "poweroff",
        "powered off",
        "poweredoff",
        "preparing",
        "saved",
        "shelved",
        "shut off",
        "shutdown",
        "shutoff",
        "shutting down",
        "stopped",
        "stopping",
        "suspended",
        "terminated",
    ];
    STOPPED.contains(&state.to_lowercase().replace(['_', '-'], " ").as_str())
}

/// Runs Vagrant, and retries if it is locked. Vagrant locks its index of machines for moments, and
/// a command fails at once if another command holds the lock.
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
                "Vagrant stopped while it was creating the machine; try `vagrant destroy -f {name} && vagrant up {name}`"
            )
        }
        _ => format!("Vagrant says that it is {words}; try `vagrant up {name}`"),
    }
}

/// Returns the identity of a machine. A machine has no identity before it is created; while it is
/// being created, the docker provider writes `preparing`, which is not an identity.
fn identity(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    Some(text.trim().to_owned()).filter(|identity| !identity.is_empty() && identity != "preparing")
}

fn read_cluster(file: &Path) -> Result<VagrantfileCluster, ExternalInventoryError> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        // The Vagrantfile does not write the file: the machines are in no group.
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
            "{} does not have the format that skep expects from the Vagrantfile: {error}",
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
    fn a_folder_without_a_vagrantfile_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let why = inventory(folder.path()).unwrap_err().why;
        assert!(why.starts_with("there is no Vagrantfile in "), "{why}");
        assert_eq!(
            inventory(Path::new("/no/such")).unwrap_err().why,
            "there is no folder /no/such"
        );
    }

    #[test]
    fn identities_are_read_from_the_id_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("id");
        assert_eq!(identity(&file), None);
        std::fs::write(&file, "preparing").unwrap();
        assert_eq!(identity(&file), None);
        std::fs::write(&file, "a1b2\n").unwrap();
        assert_eq!(identity(&file).as_deref(), Some("a1b2"));
    }

    #[test]
    fn providers_have_different_words_for_states() {
        for state in ["running", "active", "RUNNING"] {
            assert!(is_running(state) && !is_stopped(state), "{state}");
        }
        for state in [
            "not_created",
            "shut-off",
            "SHUTOFF",
            "poweroff",
            "TERMINATED",
        ] {
            assert!(is_stopped(state) && !is_running(state), "{state}");
        }
        assert!(!is_running("ready") && !is_stopped("ready"));
    }

    #[test]
    fn stopped_machines_have_a_next_step() {
        assert!(not_running("a", "not_created").contains("not created; try `vagrant up a`"));
        assert!(not_running("a", "saved").contains("vagrant resume a"));
        assert!(not_running("a", "preparing").contains("vagrant destroy -f a"));
    }
}
