//! Parses Vagrant's output: `status --machine-readable` (lines of `time,machine,kind,data`, a comma
//! in data written as `%!(VAGRANT_COMMA)`;
//! developer.hashicorp.com/vagrant/docs/cli/machine-readable) and `ssh-config` (ssh_config(5)).

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// State of one machine from `vagrant status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MachineStatus {
    /// `virtualbox`, `libvirt`, `docker`, ...
    pub(super) provider: String,
    /// `running`, `poweroff`, `not_created`, ...
    pub(super) state: String,
}

/// SSH settings of one machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MachineSshConfig {
    pub(super) address: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) keys: Vec<String>,
    pub(super) proxy_command: Option<String>,
}

/// Reads the machines by name, in Vagrant's order.
pub(super) fn status(text: &str) -> IndexMap<String, MachineStatus> {
    let mut machines: IndexMap<String, MachineStatus> = IndexMap::new();
    for line in text.lines() {
        let mut parts = line.splitn(4, ',');
        let (Some(_), Some(machine), Some(kind), Some(data)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        if machine.is_empty() {
            continue;
        }
        match kind {
            "provider-name" => machines.entry(plain(machine)).or_default().provider = plain(data),
            "state" => machines.entry(plain(machine)).or_default().state = plain(data),
            _ => {}
        }
    }
    machines.retain(|_, machine| !machine.state.is_empty());
    machines
}

/// Returns the class and the first sentence of the error that ended Vagrant.
pub(super) fn failure(text: &str) -> Option<(String, String)> {
    let line = text
        .lines()
        .find(|line| line.split(',').nth(2) == Some("error-exit"))?;
    let (class, words) = line.splitn(4, ',').nth(3)?.split_once(',')?;
    Some((class.to_owned(), first_sentence(&plain(words))))
}

/// Returns the first sentence of a text of several lines. Paragraphs that end with a colon are
/// skipped because they only introduce the next paragraph.
pub(super) fn first_sentence(text: &str) -> String {
    let paragraphs = || {
        text.split("\n\n")
            .map(str::trim)
            .filter(|paragraph| !paragraph.is_empty())
    };
    let paragraph = paragraphs()
        .find(|paragraph| !paragraph.ends_with(':'))
        .or_else(|| paragraphs().last());
    let line = paragraph
        .unwrap_or_default()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    match line.find(". ") {
        Some(end) => line[..end].to_owned(),
        None => line.trim_end_matches('.').to_owned(),
    }
}

/// Reads the `Host` blocks by name.
pub(super) fn ssh_config(text: &str) -> IndexMap<String, MachineSshConfig> {
    let mut ssh_configs: IndexMap<String, MachineSshConfig> = IndexMap::new();
    for line in text.lines() {
        let Some((keyword, value)) = line.trim().split_once(char::is_whitespace) else {
            continue;
        };
        let value = value.trim().trim_matches('"');
        if keyword == "Host" {
            ssh_configs.insert(
                value.to_owned(),
                MachineSshConfig {
                    port: 22,
                    ..MachineSshConfig::default()
                },
            );
            continue;
        }
        let Some((_, machine_config)) = ssh_configs.last_mut() else {
            continue;
        };
        match keyword {
            "HostName" => value.clone_into(&mut machine_config.address),
            "User" => value.clone_into(&mut machine_config.user),
            "Port" => machine_config.port = value.parse().unwrap_or(22),
            "IdentityFile" => machine_config.keys.push(value.to_owned()),
            "ProxyCommand" => machine_config.proxy_command = Some(value.to_owned()),
            _ => {}
        }
    }
    ssh_configs.retain(|_, machine_config| !machine_config.address.is_empty());
    ssh_configs
}

fn plain(text: &str) -> String {
    text.replace("%!(VAGRANT_COMMA)", ",")
        .replace("\\n", "\n")
        .replace("\\r", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "1795266366,docker01,metadata,provider,docker\n\
        1795266369,docker01,provider-name,docker\n\
        1795266369,docker01,state,running\n\
        1795266369,docker01,state-human-long,The container is created%!(VAGRANT_COMMA) and running.\\n\\nMore.\n\
        1795266369,docker02,provider-name,virtualbox\n\
        1795266369,docker02,state,poweroff\n\
        1795266369,,ui,info,Current machine states:\\n\\ndocker01 running\n";

    #[test]
    fn status_gives_states_and_providers() {
        let machines = status(STATUS);
        let found: Vec<(&str, &str, &str)> = machines
            .iter()
            .map(|(name, machine)| {
                (
                    name.as_str(),
                    machine.provider.as_str(),
                    machine.state.as_str(),
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                ("docker01", "docker", "running"),
                ("docker02", "virtualbox", "poweroff")
            ]
        );
        assert!(status("garbage\n1,2\n,,,\n").is_empty());
    }

    #[test]
    fn the_error_is_cut_to_one_sentence() {
        let text = "1795266408,,ui,error,x\n1795266408,,error-exit,Vagrant::Errors::NoEnvironmentError,A Vagrant \
            environment or target machine is required to run this\\ncommand. Run `vagrant init`%!(VAGRANT_COMMA) or\n";
        let (class, words) = failure(text).unwrap_or_default();
        assert_eq!(class, "Vagrant::Errors::NoEnvironmentError");
        assert_eq!(
            words,
            "A Vagrant environment or target machine is required to run this command"
        );
        assert_eq!(failure(STATUS), None);
        let early = "Vagrant failed to initialize at a very early stage:\n\nThere is a syntax error in the following Vagrantfile. It \
            is\nreproduced below:\n\n/v/Vagrantfile:2: syntax error,\nunexpected end\n";
        assert_eq!(
            first_sentence(early),
            "/v/Vagrantfile:2: syntax error, unexpected end"
        );
        assert_eq!(first_sentence("Only this:\n"), "Only this:");
    }

    #[test]
    fn ssh_configs_are_parsed() {
        let text = "Host docker01\n  HostName 127.0.0.1\n  User vagrant\n  Port 2200\n  UserKnownHostsFile /dev/null\n  \
            IdentityFile \"/a b/private_key\"\n  IdentitiesOnly yes\n\nHost two\n  HostName 192.168.121.7\n  \
            ProxyCommand ssh x -W %h:%p\n  IdentityFile /k1\n  IdentityFile /k2\n";
        let ssh_configs = ssh_config(text);
        let one = MachineSshConfig {
            address: "127.0.0.1".into(),
            port: 2200,
            user: "vagrant".into(),
            keys: vec!["/a b/private_key".into()],
            proxy_command: None,
        };
        assert_eq!(ssh_configs.get("docker01"), Some(&one));
        let two = ssh_configs.get("two").cloned().unwrap_or_default();
        assert_eq!(
            (two.port, two.keys.len(), two.proxy_command.as_deref()),
            (22, 2, Some("ssh x -W %h:%p"))
        );
    }
}
