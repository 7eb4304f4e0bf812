//! The inventory of a lab environment, which `skep lab up` writes in the usual inventory format.

use std::fmt::Write as _;

use super::error::LabError;
use super::options::LoginUser;
use super::record::{LabNode, LabRecord, NodeRole};
use super::state::{StateDirectory, write_file};

/// First line of every inventory that the lab writes. `down` removes no file without this line.
pub(crate) const HEADER: &str = "# Written by `skep lab up`";

/// Writes the inventory of an environment, and the folders above the file.
pub(crate) fn write(record: &LabRecord, state: &StateDirectory) -> Result<(), LabError> {
    let path = &record.inventory;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(LabError::file("create", folder))?;
    }
    write_file(path, text(record, state).as_bytes(), 0o644)
}

/// Returns the whole text of the inventory.
fn text(record: &LabRecord, state: &StateDirectory) -> String {
    let mut text = format!(
        "{HEADER} for the lab environment \"{name}\": throwaway nodes on this machine.\n\
         # Each `up` writes it again, `skep lab down --name {name}` removes it; changes made here are lost.\n\
         disposable = true\n\n\
         [defaults]\nuser = {user}\n",
        name = record.name,
        user = quoted(record.user.name()),
    );
    if record.user != LoginUser::Root {
        text.push_str("become = true\n");
    }
    let files = [
        ("identity_file", record.identity_file(state)),
        ("known_hosts", record.known_hosts(state)),
    ];
    for (key, path) in files {
        line(&mut text, key, &quoted(&path.to_string_lossy()));
    }
    if record.virtual_machines {
        // Emulated processors need seconds for the cryptography of SSH.
        line(&mut text, "connect_timeout", "\"60s\"");
    }
    text.push_str("\n[vars]\n");
    line(&mut text, "user", "\"vagrant\"");
    line(&mut text, "docker_users", "[\"vagrant\"]");
    line(&mut text, "registry", "\"docker01:5000\"");
    text.push_str("# A stand-in for Docker's repository, built from Debian's packages.\n");
    line(
        &mut text,
        "docker_repository",
        &quoted(&format!("{}/docker", record.mirror)),
    );
    // The shipped playbooks name the group, and an undeclared name is an error.
    if record
        .nodes
        .iter()
        .all(|node| node.role != NodeRole::Worker)
    {
        text.push_str("\n[groups.workers]\n");
    }
    for (at, node) in record.nodes.iter().enumerate() {
        text.push_str(&host(record, at, node));
    }
    text
}

fn host(record: &LabRecord, at: usize, node: &LabNode) -> String {
    let mut groups = vec![match node.role {
        NodeRole::Manager => "managers",
        NodeRole::Worker => "workers",
    }];
    if at == 0 {
        groups.push("registry");
    }
    // The second node holds the data; in an environment with one node, that node does.
    if at == 1 || record.nodes.len() == 1 {
        groups.push("db");
    }
    let groups: Vec<String> = groups.iter().map(|group| quoted(group)).collect();
    // A virtual machine is reached through its NAT, like a machine of Vagrant; the swarm uses the
    // private network.
    let ssh = match node.port {
        Some(port) => format!("address = \"127.0.0.1\"\nport = {port}\n"),
        None => format!("address = \"{}\"\n", node.address),
    };
    format!(
        "\n[hosts.{name}]\n{ssh}groups = [{groups}]\nvars = {{ swarm_address = \"{address}\" }}\n",
        name = node.name,
        address = node.address,
        groups = groups.join(", "),
    )
}

fn line(text: &mut String, key: &str, value: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{key} = {value}");
}

fn quoted(value: &str) -> String {
    toml::Value::String(value.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;
    use crate::lab::name::LabName;
    use crate::lab::network::LabNetwork;
    use crate::lab::options::{DebianSuite, LabOptions, PresentedOs};

    fn record(managers: u8, workers: u8, user: LoginUser) -> (LabRecord, StateDirectory) {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDirectory::at(folder.path()).unwrap();
        let options = LabOptions {
            name: LabName::new("lab").unwrap(),
            managers,
            workers,
            suite: DebianSuite::Trixie,
            present_as: PresentedOs::Debian,
            user,
            with_docker: false,
            virtual_machines: false,
            inventory: "lab.toml".into(),
            state: state.clone(),
        };
        let mut record = LabRecord::new(&options, Path::new("/tmp/lab.toml").to_path_buf());
        record.mirror = "http://10.213.10.1".to_owned();
        let network = LabNetwork {
            name: "skep-lab".to_owned(),
            gateway: "10.213.10.1".parse().unwrap(),
        };
        record.grow(managers, workers, &network);
        (record, state)
    }

    #[test]
    fn three_nodes() {
        let (record, state) = record(1, 2, LoginUser::Vagrant);
        let read: toml::Table = text(&record, &state).parse().unwrap();
        let host = |name: &str| read["hosts"][name].clone();
        let groups = |name: &str| host(name)["groups"].to_string();
        assert_eq!(read["defaults"]["become"].as_bool(), Some(true));
        assert_eq!(
            read["vars"]["docker_repository"].as_str(),
            Some("http://10.213.10.1/docker")
        );
        assert_eq!(groups("docker01"), r#"["managers", "registry"]"#);
        assert_eq!(groups("docker02"), r#"["workers", "db"]"#);
        assert_eq!(groups("docker03"), r#"["workers"]"#);
        assert_eq!(
            host("docker03")["vars"]["swarm_address"].as_str(),
            Some("10.213.10.13")
        );
    }

    #[test]
    fn virtual_machines_are_reached_through_their_nat() {
        let (mut record, state) = record(1, 1, LoginUser::Root);
        record.virtual_machines = true;
        record.nodes[1].port = Some(22_007);
        let read: toml::Table = text(&record, &state).parse().unwrap();
        let host = &read["hosts"]["docker02"];
        assert_eq!(host["address"].as_str(), Some("127.0.0.1"));
        assert_eq!(host["port"].as_integer(), Some(22_007));
        assert_eq!(host["vars"]["swarm_address"].as_str(), Some("10.213.10.12"));
    }

    #[test]
    fn root_needs_no_sudo_and_a_single_node_is_everything() {
        let (record, state) = record(1, 0, LoginUser::Root);
        let text = text(&record, &state);
        assert!(text.starts_with(HEADER));
        assert!(!text.contains("become"));
        assert!(text.contains(r#"groups = ["managers", "registry", "db"]"#));
        let read: toml::Table = text.parse().unwrap();
        assert!(
            read["groups"]["workers"].is_table(),
            "playbooks that name the workers run"
        );
    }

    #[test]
    fn a_lot_grows_and_keeps_its_nodes() {
        let (mut record, _state) = record(1, 1, LoginUser::Root);
        let network = LabNetwork {
            name: "skep-lab".to_owned(),
            gateway: "10.213.11.1".parse().unwrap(),
        };
        record.grow(2, 1, &network);
        let names: Vec<_> = record
            .nodes
            .iter()
            .map(|node| (node.name.as_str(), node.role))
            .collect();
        assert_eq!(
            names,
            [
                ("docker01", NodeRole::Manager),
                ("docker02", NodeRole::Worker),
                ("docker03", NodeRole::Manager)
            ]
        );
        assert_eq!(record.nodes[0].address.to_string(), "10.213.11.11");
    }
}
