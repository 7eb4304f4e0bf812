//! The inventory of a lot: the text that `skep lab up` writes, in the format every inventory has.

use std::fmt::Write;

use super::lot::{Lot, Node, Role};
use super::options::LoginUser;
use super::state::StateDirectory;

/// The first line of every inventory that the lab writes; `down` removes no file without it.
pub(crate) const HEADER: &str = "# Written by `skep lab up`";

/// The whole file.
pub(crate) fn text(lot: &Lot, state: &StateDirectory) -> String {
    let mut text = format!(
        "{HEADER} for the lot \"{name}\": throwaway nodes on this machine.\n\
         # It is written again by each `up` and removed by `skep lab down --lot {name}`; changes made here are lost.\n\
         disposable = true\n\n\
         [defaults]\nuser = {user}\n",
        name = lot.name,
        user = quoted(lot.user.name()),
    );
    if lot.user != LoginUser::Root {
        text.push_str("become = true\n");
    }
    let files = [
        ("identity_file", lot.identity_file(state)),
        ("known_hosts", lot.known_hosts(state)),
    ];
    for (key, path) in files {
        line(&mut text, key, &quoted(&path.to_string_lossy()));
    }
    if lot.virtual_machines {
        // Emulated processors take seconds for what SSH computes.
        line(&mut text, "connect_timeout", "\"60s\"");
    }
    text.push_str("\n[vars]\n");
    line(&mut text, "user", "\"vagrant\"");
    line(&mut text, "docker_users", "[\"vagrant\"]");
    line(&mut text, "registry", "\"docker01:5000\"");
    text.push_str("# A stand-in for Docker's repository, made of Debian's packages.\n");
    line(
        &mut text,
        "docker_repository",
        &quoted(&format!("{}/docker", lot.mirror)),
    );
    // The shipped playbooks name the group, and a name that nothing declares is an error.
    if lot.nodes.iter().all(|node| node.role != Role::Worker) {
        text.push_str("\n[groups.workers]\n");
    }
    for (at, node) in lot.nodes.iter().enumerate() {
        text.push_str(&host(lot, at, node));
    }
    text
}

fn host(lot: &Lot, at: usize, node: &Node) -> String {
    let mut groups = vec![match node.role {
        Role::Manager => "managers",
        Role::Worker => "workers",
    }];
    if at == 0 {
        groups.push("registry");
    }
    // The second node holds the data; in a lot of one, the only one.
    if at == 1 || lot.nodes.len() == 1 {
        groups.push("db");
    }
    let groups: Vec<String> = groups.iter().map(|group| quoted(group)).collect();
    // A virtual machine is reached through its NAT, as one of Vagrant's; the swarm lives in the private network.
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
    use crate::lab::network::Network;
    use crate::lab::options::{LabOptions, LotName, Presentation, Suite};

    fn lot(managers: u8, workers: u8, user: LoginUser) -> (Lot, StateDirectory) {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDirectory::at(folder.path()).unwrap();
        let options = LabOptions {
            lot: LotName::new("lab").unwrap(),
            managers,
            workers,
            suite: Suite::Trixie,
            present_as: Presentation::Debian,
            user,
            virtual_machines: false,
            inventory: "lab.toml".into(),
            state: state.clone(),
        };
        let mut lot = Lot::new(&options, Path::new("/tmp/lab.toml").to_path_buf());
        lot.mirror = "http://10.213.10.1".to_owned();
        let network = Network {
            name: "skep-lab".to_owned(),
            gateway: "10.213.10.1".parse().unwrap(),
        };
        lot.grow(managers, workers, &network);
        (lot, state)
    }

    #[test]
    fn three_nodes() {
        let (lot, state) = lot(1, 2, LoginUser::Vagrant);
        let read: toml::Table = text(&lot, &state).parse().unwrap();
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
        let (mut lot, state) = lot(1, 1, LoginUser::Root);
        lot.virtual_machines = true;
        lot.nodes[1].port = Some(22_007);
        let read: toml::Table = text(&lot, &state).parse().unwrap();
        let host = &read["hosts"]["docker02"];
        assert_eq!(host["address"].as_str(), Some("127.0.0.1"));
        assert_eq!(host["port"].as_integer(), Some(22_007));
        assert_eq!(host["vars"]["swarm_address"].as_str(), Some("10.213.10.12"));
    }

    #[test]
    fn root_needs_no_sudo_and_a_single_node_is_everything() {
        let (lot, state) = lot(1, 0, LoginUser::Root);
        let text = text(&lot, &state);
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
        let (mut lot, _state) = lot(1, 1, LoginUser::Root);
        let network = Network {
            name: "skep-lab".to_owned(),
            gateway: "10.213.11.1".parse().unwrap(),
        };
        lot.grow(2, 1, &network);
        let names: Vec<_> = lot
            .nodes
            .iter()
            .map(|node| (node.name.as_str(), node.role))
            .collect();
        assert_eq!(
            names,
            [
                ("docker01", Role::Manager),
                ("docker02", Role::Worker),
                ("docker03", Role::Manager)
            ]
        );
        assert_eq!(lot.nodes[0].address.to_string(), "10.213.11.11");
    }
}
