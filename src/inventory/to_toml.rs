//! Writes the merged inventory as one file: `skep inventory --toml`. Meant for machines that
//! another program created and that skep manages from now on.

use serde_json::Value;

use super::external::{GeneratedHost, GeneratedInventory};
use super::{Host, Inventory, SshConfigFile, SshProxy};
use crate::diagnostic::is_secret_key;
use crate::names::HostName;

impl Inventory {
    /// Returns these hosts as the text of an inventory file. Every setting is written with its
    /// host. Variables with the name of a secret are left out, and a comment lists them.
    #[must_use]
    pub fn toml(&self, hosts: &[HostName]) -> String {
        let chosen = || self.hosts.iter().filter(|(name, _)| hosts.contains(name));
        let mut written = GeneratedInventory {
            about: "Written by `skep inventory --toml`.".into(),
            ..GeneratedInventory::default()
        };
        // `disposable` applies to all hosts of a file, so all chosen hosts must have it.
        written.disposable = chosen().all(|(_, host)| host.disposable);
        written.allowed_paths = self
            .allowed_paths
            .iter()
            .map(|path| path.to_string_lossy().into_owned())
            .collect();
        // Hosts name their own groups. Groups without a chosen host are declared here, so that
        // patterns that name them stay valid.
        let named = |group: &String| chosen().any(|(_, host)| host.groups.contains(group));
        written.groups.extend(
            self.groups
                .keys()
                .filter(|group| !named(group))
                .map(|group| (group.clone(), Default::default())),
        );
        let mut left_out: Vec<String> = Vec::new();
        for (name, host) in chosen() {
            let mut machine = settings(host);
            machine.groups.clone_from(&host.groups);
            for (key, var) in &host.vars.0 {
                if is_secret_key(key) {
                    left_out.push(format!("{name}: {key}"));
                } else {
                    machine.vars.insert(key.clone(), var.node.to_json());
                }
            }
            written.hosts.push((name.as_str().to_owned(), machine));
        }
        if !left_out.is_empty() {
            written.about.push_str(&format!(
                "\nLeft out because they have the name of a secret: {}",
                left_out.join(", ")
            ));
        }
        written.text()
    }
}

fn settings(host: &Host) -> GeneratedHost {
    let (target, mut machine) = (&host.target, GeneratedHost::default());
    let paths = |paths: &[std::path::PathBuf]| -> Value {
        paths
            .iter()
            .map(|path| Value::from(path.to_string_lossy()))
            .collect()
    };
    machine.set("address", target.address.as_str());
    let mut given = |setting: &str, key: &'static str, value: Value| {
        if target.is_given(setting) {
            machine.set(key, value);
        }
    };
    given("port", "port", target.port.into());
    given("user", "user", target.user.as_str().into());
    given("become", "become", target.become_root.into());
    given(
        "become_user",
        "become_user",
        target.become_user.as_str().into(),
    );
    given(
        "become_password_command",
        "become_password_command",
        target.become_password_command.clone().into(),
    );
    given(
        "password_command",
        "password_command",
        target.password_command.clone().into(),
    );
    given(
        "identity_file",
        "identity_file",
        paths(&target.identity_files),
    );
    given("agent", "agent", target.agent.into());
    given(
        "host_keys",
        "host_keys",
        serde_json::to_value(target.host_key_policy).unwrap_or_default(),
    );
    given(
        "HostKeyAlias",
        "host_key_alias",
        target.ssh.host_key_alias.clone().into(),
    );
    given("known_hosts", "known_hosts", paths(&target.known_hosts));
    let time = |time| Value::from(humantime::format_duration(time).to_string());
    given(
        "connect_timeout",
        "connect_timeout",
        time(target.connect_timeout),
    );
    given("connect_wait", "connect_wait", time(target.connect_wait));
    match &target.ssh.proxy {
        SshProxy::Direct => given("proxy", "proxy_jump", "none".into()),
        SshProxy::Jump(hosts) => given("proxy", "proxy_jump", hosts.as_str().into()),
        SshProxy::Command(command) => given("proxy", "proxy_command", command.as_str().into()),
    }
    let ssh_config = match &target.ssh_config {
        SshConfigFile::Usual => true.into(),
        SshConfigFile::Off => false.into(),
        SshConfigFile::File(path) => path.to_string_lossy().into(),
    };
    given("ssh_config", "ssh_config", ssh_config);
    if host.unmanaged {
        machine.set("unmanaged", true);
    }
    machine
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_written_file_loads_as_the_same_inventory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        let text = "disposable = true\n[defaults]\nuser='ann'\nbecome=true\nidentity_file='k'\nhost_keys='strict'\nproxy_jump='a'\n\
            [vars]\nx=[1,'y']\ndb_password='no'\n[groups.site]\nchildren=['m']\nvars={z={q=1}}\n[groups.empty]\n\
            [hosts.a]\naddress='10.0.0.1'\nport=2222\ngroups=['m']\nproxy_jump='none'\nhost_key_alias='one'\nconnect_wait='2min'\n\
            [hosts.b]\nssh_config=false\nunmanaged=true\n";
        std::fs::write(&path, text).unwrap();
        let first = Inventory::load(std::slice::from_ref(&path), &[]).unwrap();
        let names: Vec<HostName> = first.hosts().map(|(name, _)| name.clone()).collect();
        let kept = first.toml(&names);
        assert!(
            kept.contains("left out") || kept.contains("Left out"),
            "{kept}"
        );
        assert!(!kept.contains("'no'") && !kept.contains("\"no\""), "{kept}");
        std::fs::write(&path, &kept).unwrap();
        let second = Inventory::load(&[path], &[]).unwrap();
        let view = |inventory: &Inventory| {
            let mut view = serde_json::to_value(inventory.view()).unwrap();
            for host in ["a", "b"] {
                view["hosts"][host]["vars"]
                    .as_object_mut()
                    .unwrap()
                    .remove("db_password");
            }
            view
        };
        let (mut before, mut after) = (view(&first), view(&second));
        // The order of groups is that of the file, which differs between the two.
        for view in [&mut before, &mut after] {
            let groups = view["groups"].as_object().unwrap().clone();
            view["groups"] = serde_json::to_value(
                groups
                    .into_iter()
                    .collect::<std::collections::BTreeMap<_, _>>(),
            )
            .unwrap();
        }
        assert_eq!(before, after, "{kept}");
        let target = second.target(&HostName::new("a")).unwrap();
        assert_eq!(
            (target.known_name(), &target.ssh.proxy),
            (("one", 22), &SshProxy::Direct)
        );
    }
}
