//! Reads connection settings: the keys that `[defaults]` and each host's table share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{HostKeyPolicy, SettingOrigin, SshConfigFile, SshProxy, SshSettings, SshTarget};
use crate::base::token_value_fault;
use crate::diagnostic::is_secret_key;
use crate::document::{FieldReader, TomlEntry, TomlNode};
use crate::names::HostName;

/// Keys that `[defaults]` and hosts share.
pub(super) const KEYS: &[&str] = &[
    "user",
    "port",
    "become",
    "become_user",
    "become_password_command",
    "password_command",
    "identity_file",
    "agent",
    "host_keys",
    "host_key_alias",
    "known_hosts",
    "connect_timeout",
    "connect_wait",
    "proxy_jump",
    "proxy_command",
    "ssh_config",
];

/// Connection settings that were given; `None` means not given.
#[derive(Debug, Clone, Default)]
pub(super) struct ConnectionSettings {
    user: Option<String>,
    port: Option<u16>,
    become_root: Option<bool>,
    become_user: Option<String>,
    become_password_command: Option<String>,
    password_command: Option<String>,
    identity_files: Option<Vec<PathBuf>>,
    agent: Option<bool>,
    host_keys: Option<HostKeyPolicy>,
    host_key_alias: Option<String>,
    known_hosts: Option<Vec<PathBuf>>,
    connect_timeout: Option<Duration>,
    connect_wait: Option<Duration>,
    proxy: Option<(&'static str, SshProxy)>,
    ssh_config: Option<SshConfigFile>,
}

impl ConnectionSettings {
    /// Reads a key if it is a connection setting, and returns true if it is.
    pub(super) fn take(&mut self, reader: &mut FieldReader<'_>, entry: &TomlEntry) -> bool {
        let (node, key) = (&entry.node, entry.key.as_str());
        match key {
            "user" => self.user = user(reader, node, key).or(self.user.take()),
            "become_user" => self.become_user = user(reader, node, key).or(self.become_user.take()),
            "become_password_command" => {
                self.become_password_command =
                    words(reader, node, key).or(self.become_password_command.take());
            }
            "password_command" => {
                self.password_command = words(reader, node, key).or(self.password_command.take());
            }
            "proxy_jump" => {
                self.proxy =
                    proxy(reader, node, "proxy_jump", SshProxy::Jump).or(self.proxy.take());
            }
            "proxy_command" => {
                self.proxy =
                    proxy(reader, node, "proxy_command", SshProxy::Command).or(self.proxy.take());
            }
            "ssh_config" => self.ssh_config = ssh_config(reader, entry).or(self.ssh_config.take()),
            "port" => {
                let port = reader
                    .integer(node, key, 1..=65535)
                    .and_then(|port| u16::try_from(port).ok());
                self.port = port.or(self.port);
            }
            "become" => self.become_root = reader.boolean(node, key).or(self.become_root),
            "identity_file" => {
                self.identity_files = paths(reader, entry).or(self.identity_files.take());
            }
            "agent" => self.agent = reader.boolean(node, key).or(self.agent),
            "host_keys" => self.host_keys = host_keys(reader, node).or(self.host_keys),
            "host_key_alias" => {
                self.host_key_alias = alias(reader, node).or(self.host_key_alias.take());
            }
            "known_hosts" => self.known_hosts = paths(reader, entry).or(self.known_hosts.take()),
            "connect_timeout" => {
                self.connect_timeout = duration(reader, entry).or(self.connect_timeout);
            }
            "connect_wait" => self.connect_wait = duration(reader, entry).or(self.connect_wait),
            _ => return false,
        }
        true
    }

    /// Returns these settings overridden by a stronger set.
    pub(super) fn overlay(&self, stronger: &Self) -> Self {
        Self {
            user: stronger.user.clone().or_else(|| self.user.clone()),
            port: stronger.port.or(self.port),
            become_root: stronger.become_root.or(self.become_root),
            identity_files: stronger
                .identity_files
                .clone()
                .or_else(|| self.identity_files.clone()),
            agent: stronger.agent.or(self.agent),
            host_keys: stronger.host_keys.or(self.host_keys),
            host_key_alias: stronger
                .host_key_alias
                .clone()
                .or_else(|| self.host_key_alias.clone()),
            known_hosts: stronger
                .known_hosts
                .clone()
                .or_else(|| self.known_hosts.clone()),
            connect_timeout: stronger.connect_timeout.or(self.connect_timeout),
            connect_wait: stronger.connect_wait.or(self.connect_wait),
            become_user: stronger
                .become_user
                .clone()
                .or_else(|| self.become_user.clone()),
            become_password_command: stronger
                .become_password_command
                .clone()
                .or_else(|| self.become_password_command.clone()),
            password_command: stronger
                .password_command
                .clone()
                .or_else(|| self.password_command.clone()),
            proxy: stronger.proxy.clone().or_else(|| self.proxy.clone()),
            ssh_config: stronger
                .ssh_config
                .clone()
                .or_else(|| self.ssh_config.clone()),
        }
    }

    /// Returns a host's merged settings, with the defaults of [`SshTarget`] for settings that were
    /// not given.
    pub(super) fn target(self, name: HostName, address: String) -> SshTarget {
        let origins = self.origins();
        // A login as root needs no sudo. The SSH configuration may still set the user later.
        let become_root = self.become_root.unwrap_or(false) && self.user.as_deref() != Some("root");
        let user = self.user.unwrap_or_else(local_user);
        let become_user = self.become_user.unwrap_or_else(|| "root".into());
        SshTarget {
            port: self.port.unwrap_or(22),
            become_root,
            become_user,
            become_password_command: self.become_password_command,
            password_command: self.password_command,
            user,
            identity_files: self.identity_files.unwrap_or_default(),
            agent: self.agent.unwrap_or(true),
            host_key_policy: self.host_keys.unwrap_or_default(),
            known_hosts: self.known_hosts.unwrap_or_else(|| {
                vec![
                    expand("~/.ssh/known_hosts", Path::new("")),
                    "/etc/ssh/ssh_known_hosts".into(),
                ]
            }),
            connect_timeout: self.connect_timeout.unwrap_or(Duration::from_secs(10)),
            connect_wait: self.connect_wait.unwrap_or(Duration::ZERO),
            ssh_config: self.ssh_config.unwrap_or_default(),
            ssh: SshSettings {
                proxy: self.proxy.map_or(SshProxy::Direct, |(_, proxy)| proxy),
                host_key_alias: self.host_key_alias,
                ..SshSettings::default()
            },
            origins,
            ..SshTarget::new(name, address)
        }
    }

    /// Returns the settings that were given, each with the inventory as its origin.
    fn origins(&self) -> BTreeMap<&'static str, SettingOrigin> {
        let given = [
            ("user", self.user.is_some()),
            ("port", self.port.is_some()),
            ("become", self.become_root.is_some()),
            ("become_user", self.become_user.is_some()),
            (
                "become_password_command",
                self.become_password_command.is_some(),
            ),
            ("password_command", self.password_command.is_some()),
            ("identity_file", self.identity_files.is_some()),
            ("agent", self.agent.is_some()),
            ("host_keys", self.host_keys.is_some()),
            ("HostKeyAlias", self.host_key_alias.is_some()),
            ("known_hosts", self.known_hosts.is_some()),
            ("connect_timeout", self.connect_timeout.is_some()),
            ("connect_wait", self.connect_wait.is_some()),
            ("proxy", self.proxy.is_some()),
            ("ssh_config", self.ssh_config.is_some()),
        ];
        given
            .into_iter()
            .filter(|(_, given)| *given)
            .map(|(key, _)| (key, SettingOrigin::Inventory))
            .collect()
    }
}

/// Returns the hint for keys that people often expect but that an inventory does not have.
pub(super) fn hint_for(key: &str) -> Option<&'static str> {
    match key {
        "password" | "ssh_password" | "ansible_password" => Some(
            "passwords are not allowed in a file; use `password_command`, `--ask-pass` or SKEP_SSH_PASSWORD",
        ),
        "become_password" | "sudo_password" | "ansible_become_password" => Some(
            "passwords are not allowed in a file; use `become_password_command`, `--ask-become-pass` or SKEP_BECOME_PASSWORD",
        ),
        "jump" | "bastion" | "gateway" => Some("did you mean `proxy_jump`?"),
        "host" | "hostname" | "ansible_host" | "ip" => Some("did you mean `address`?"),
        "sudo" | "ansible_become" => Some("did you mean `become`?"),
        "timeout" => Some("did you mean `connect_timeout`?"),
        key if is_secret_key(key) => Some("an inventory holds no secrets"),
        _ => None,
    }
}

/// Reads a login name. Characters that are special in a shell are refused because the name is
/// passed to ProxyCommand and sudo.
fn user(reader: &mut FieldReader<'_>, node: &TomlNode, key: &str) -> Option<String> {
    let user = reader.string(node, key)?;
    if let Some(fault) = token_value_fault(user) {
        reader.error(
            &node.span,
            format!("`{user}` is not a valid login name: {fault}"),
            Some("e.g. `user = \"vagrant\"`".into()),
        );
        return None;
    }
    Some(user.to_owned())
}

/// Reads the name of a host in known hosts. The name replaces `%k` of a ProxyCommand. A pattern
/// such as `*` or `a,b` would be learned for several hosts.
fn alias(reader: &mut FieldReader<'_>, node: &TomlNode) -> Option<String> {
    let alias = words(reader, node, "host_key_alias")?;
    // `[host]:port` is the name of a server at another port than 22.
    let plain = match alias
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("]:"))
    {
        Some((host, port)) if port.parse::<u16>().is_ok() => host,
        _ => &alias,
    };
    let fault = token_value_fault(plain)
        .or_else(|| plain.contains(',').then(|| "it contains `,`".to_owned()));
    if let Some(fault) = fault {
        reader.error(
            &node.span,
            format!("`{alias}` is not a name of a host in known hosts: {fault}"),
            Some("e.g. `host_key_alias = \"web.example.org\"`".into()),
        );
        return None;
    }
    Some(alias)
}

/// Reads a command line or a list of hosts: any single-line text that is not empty.
fn words(reader: &mut FieldReader<'_>, node: &TomlNode, key: &str) -> Option<String> {
    let text = reader.string(node, key)?.trim();
    if text.is_empty() || text.contains(['\n', '\0']) {
        reader.error(
            &node.span,
            format!("`{key}` is empty or has several lines"),
            None,
        );
        return None;
    }
    Some(text.to_owned())
}

fn proxy(
    reader: &mut FieldReader<'_>,
    node: &TomlNode,
    key: &'static str,
    form: fn(String) -> SshProxy,
) -> Option<(&'static str, SshProxy)> {
    let text = words(reader, node, key)?;
    // As in OpenSSH, `none` switches a weaker proxy setting off.
    Some((
        key,
        if text.eq_ignore_ascii_case("none") {
            SshProxy::Direct
        } else {
            form(text)
        },
    ))
}

fn ssh_config(reader: &mut FieldReader<'_>, entry: &TomlEntry) -> Option<SshConfigFile> {
    if entry.node.as_str().is_some() {
        let path = paths(reader, entry)?.into_iter().next()?;
        if !path.is_file() {
            let message = format!("there is no file {}", path.display());
            reader.error(
                &entry.node.span,
                message,
                Some("`ssh_config` is true, false or a file".into()),
            );
        }
        return Some(SshConfigFile::File(path));
    }
    let on = reader.boolean(&entry.node, "ssh_config")?;
    Some(if on {
        SshConfigFile::Usual
    } else {
        SshConfigFile::Off
    })
}

fn host_keys(reader: &mut FieldReader<'_>, node: &TomlNode) -> Option<HostKeyPolicy> {
    let word = reader.string(node, "host_keys")?;
    let known = HostKeyPolicy::NAMES;
    if let Some((_, policy)) = known.iter().find(|(name, _)| *name == word) {
        return Some(*policy);
    }
    let hint = crate::document::did_you_mean(word, known.map(|(name, _)| name));
    reader.error(
        &node.span,
        format!("`host_keys` cannot be \"{word}\""),
        hint,
    );
    None
}

fn duration(reader: &mut FieldReader<'_>, entry: &TomlEntry) -> Option<Duration> {
    let text = reader.string(&entry.node, &entry.key)?;
    match humantime::parse_duration(text) {
        Ok(duration) => Some(duration),
        Err(error) => {
            let message = format!("`{}` is not a valid duration: {error}", entry.key);
            reader.error(
                &entry.node.span,
                message,
                Some("e.g. \"10s\" or \"2min\"".into()),
            );
            None
        }
    }
}

fn paths(reader: &mut FieldReader<'_>, entry: &TomlEntry) -> Option<Vec<PathBuf>> {
    let folder = reader
        .source
        .path()
        .parent()
        .map(Path::to_path_buf)
        .unwrap_or_default();
    let texts = reader.strings(&entry.node, &entry.key)?;
    Some(
        texts
            .into_iter()
            .map(|(text, _)| expand(text, &folder))
            .collect(),
    )
}

/// Expands a local path: `~` is the home folder, and a relative path starts at the folder of the
/// inventory file.
pub(super) fn expand(text: &str, folder: &Path) -> PathBuf {
    let home = || std::env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from);
    match text.strip_prefix("~/") {
        Some(rest) => home().join(rest),
        None if text == "~" => home(),
        None => folder.join(text),
    }
}

/// Returns the name of the local user.
pub(crate) fn local_user() -> String {
    ["USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .filter(|user| !user.is_empty())
        .unwrap_or("root".into())
}
