//! Origin of each connection setting of a host, for `skep ping -v`.

use crate::inventory::{IdentityAgent, SettingOrigin, SshProxy, SshTarget};
use crate::names::HostName;
use crate::report::{TextTable, literal};
use crate::transport::TransportError;

/// Renders a table of settings, values and origins.
pub(super) fn text(host: &HostName, settings: Result<SshTarget, TransportError>) -> String {
    let target = match settings {
        Ok(target) => target,
        Err(error) => return format!("{host}: {}\n", literal(&error.to_string())),
    };
    let mut table = TextTable::new(&["SETTING", "VALUE", "FROM"]);
    for (setting, value) in values(&target) {
        let origin = match target.origins.get(setting) {
            Some(SettingOrigin::Inventory) => "inventory",
            Some(SettingOrigin::SshConfig) => "ssh config",
            None if setting == "address" => "inventory",
            None => "default",
        };
        table.row([
            setting.to_owned(),
            literal(&value).to_string(),
            origin.to_owned(),
        ]);
    }
    format!("{host}\n{}\n", table.text())
}

/// Returns the settings that always apply, and the optional settings that are set.
fn values(target: &SshTarget) -> Vec<(&'static str, String)> {
    let paths = |paths: &[std::path::PathBuf]| {
        paths
            .iter()
            .map(|path| path.display().to_string())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let time = |time| humantime::format_duration(time).to_string();
    let ssh = &target.ssh;
    let keys = if target.identity_files.is_empty() {
        "the agent's, then ~/.ssh/id_*".to_owned()
    } else {
        paths(&target.identity_files)
    };
    let proxy = match &ssh.proxy {
        SshProxy::Direct => "none".to_owned(),
        SshProxy::Jump(list) => format!("ProxyJump {list}"),
        SshProxy::Command(command) => format!("ProxyCommand {command}"),
    };
    let agent = match &ssh.identity_agent {
        IdentityAgent::Environment => "SSH_AUTH_SOCK".to_owned(),
        IdentityAgent::Off => "none".to_owned(),
        IdentityAgent::Socket(path) => path.display().to_string(),
    };
    let list = |list: &Option<Vec<String>>| {
        list.as_ref()
            .map(|names| names.join(","))
            .unwrap_or_default()
    };
    let always = [
        ("address", target.address.clone()),
        ("port", target.port.to_string()),
        ("user", target.user.clone()),
        ("become", target.become_root.to_string()),
        ("become_user", target.become_user.clone()),
        ("identity_file", keys),
        ("agent", target.agent.to_string()),
        ("host_keys", target.host_key_policy.name().to_owned()),
        ("known_hosts", paths(&target.known_hosts)),
        ("proxy", proxy),
        ("connect_timeout", time(target.connect_timeout)),
        ("connect_wait", time(target.connect_wait)),
    ];
    let given = [
        (
            "HostKeyAlias",
            ssh.host_key_alias.clone().unwrap_or_default(),
        ),
        ("IdentitiesOnly", ssh.identities_only.to_string()),
        ("IdentityAgent", agent),
        ("CertificateFile", paths(&ssh.certificate_files)),
        ("RevokedHostKeys", paths(&ssh.revoked_host_keys)),
        (
            "RequiredRSASize",
            ssh.required_rsa_size
                .map(|bits| bits.to_string())
                .unwrap_or_default(),
        ),
        ("HashKnownHosts", ssh.hash_known_hosts.to_string()),
        (
            "ServerAliveInterval",
            ssh.keepalive
                .map(|alive| format!("{} x {}", time(alive.interval), alive.count))
                .unwrap_or_default(),
        ),
        ("KexAlgorithms", list(&ssh.key_exchanges)),
        ("Ciphers", list(&ssh.ciphers)),
        ("MACs", list(&ssh.macs)),
        ("HostKeyAlgorithms", list(&ssh.host_key_algorithms)),
        ("PreferredAuthentications", list(&ssh.methods)),
        ("AddressFamily", format!("{:?}", ssh.family).to_lowercase()),
        ("BindAddress", ssh.bind_address.clone().unwrap_or_default()),
    ];
    let given = given
        .into_iter()
        .filter(|(setting, _)| target.origins.contains_key(setting));
    always.into_iter().chain(given).collect()
}
