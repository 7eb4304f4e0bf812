//! Merges the SSH configuration into a host, in which the inventory's settings take precedence.
//! Settings that skep does not support become warnings.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::TransportError;
use super::output::HostSettings;
use super::tokens::{self, TokenValues};
use crate::inventory::{
    AddressFamily, HostKeyPolicy, IdentityAgent, Keepalive, SettingOrigin, SshProxy, SshTarget,
};

/// Keywords that skep follows.
const READ: &[&str] = &[
    "host",
    "hostname",
    "port",
    "user",
    "identityfile",
    "identitiesonly",
    "identityagent",
    "certificatefile",
    "proxyjump",
    "proxycommand",
    "userknownhostsfile",
    "globalknownhostsfile",
    "stricthostkeychecking",
    "hostkeyalias",
    "hashknownhosts",
    "connecttimeout",
    "serveraliveinterval",
    "serveralivecountmax",
    "kexalgorithms",
    "ciphers",
    "macs",
    "hostkeyalgorithms",
    "preferredauthentications",
    "pubkeyauthentication",
    "passwordauthentication",
    "kbdinteractiveauthentication",
    "addressfamily",
    "bindaddress",
    "revokedhostkeys",
    "requiredrsasize",
];

/// Keywords that restrict the trusted hosts, and that skep cannot follow: a connection without them
/// would be less safe than the writer of the configuration demands.
const REFUSED: &[&str] = &["knownhostscommand"];

/// Keywords that concern terminals, forwarding to the user, other programs or speed, or that `ssh
/// -G` has already applied. They change neither the host that is reached nor the keys that are
/// trusted.
const WITHOUT_MEANING_HERE: &[&str] = &[
    "addkeystoagent",
    "batchmode",
    "canonicaldomains",
    "canonicalizefallbacklocal",
    "canonicalizehostname",
    "canonicalizemaxdots",
    "canonicalizepermittedcnames",
    "clearallforwardings",
    "compression",
    "connectionattempts",
    "controlmaster",
    "controlpath",
    "controlpersist",
    "dynamicforward",
    "enableescapecommandline",
    "escapechar",
    "exitonforwardfailure",
    "fingerprinthash",
    "forkafterauthentication",
    "forwardagent",
    "forwardx11",
    "forwardx11timeout",
    "forwardx11trusted",
    "gatewayports",
    "gssapiauthentication",
    "gssapidelegatecredentials",
    "gssapikexalgorithms",
    "gssapikeyexchange",
    "gssapirenewalforcesrekey",
    "gssapitrustdns",
    "ipqos",
    "localforward",
    "loglevel",
    "logverbose",
    "numberofpasswordprompts",
    "permitremoteopen",
    "remoteforward",
    "requesttty",
    "sendenv",
    "sessiontype",
    "setenv",
    "stdinnull",
    "streamlocalbindmask",
    "streamlocalbindunlink",
    "syslogfacility",
    "tag",
    "tcpkeepalive",
    "updatehostkeys",
    "visualhostkey",
    "warnweakcrypto",
    "xauthlocation",
];

/// Returns the host with the configuration's values for settings that the inventory does not give,
/// and warnings about settings that skep cannot follow.
///
/// # Errors
/// [`TransportError::Settings`] naming the keyword with an invalid value.
pub(super) fn overlay(
    target: &SshTarget,
    settings: &HostSettings,
    defaults: &HostSettings,
    file: &Path,
) -> Result<(SshTarget, Vec<String>), TransportError> {
    let beyond = settings.beyond(defaults);
    let original = target.address.clone();
    let mut overlay = SettingsOverlay {
        target: target.clone(),
        settings,
        beyond,
        original,
        file,
        warnings: Vec::new(),
    };
    overlay.name_and_login();
    overlay.host_keys()?;
    overlay.keys()?;
    overlay.apply_proxy();
    overlay.algorithms();
    overlay.unsupported();
    Ok((overlay.target, overlay.warnings))
}

struct SettingsOverlay<'a> {
    target: SshTarget,
    settings: &'a HostSettings,
    /// Settings that differ from the defaults.
    beyond: HostSettings,
    original: String,
    file: &'a Path,
    warnings: Vec<String>,
}

impl SettingsOverlay<'_> {
    /// Returns a value of the files for a setting that the inventory does not give, and records its
    /// origin.
    fn changed(&mut self, keyword: &str, setting: &'static str) -> Option<String> {
        let value = self.beyond.first(keyword)?.to_owned();
        if self.target.is_given(setting) {
            return None;
        }
        self.target
            .origins
            .insert(setting, SettingOrigin::SshConfig);
        Some(value)
    }

    fn name_and_login(&mut self) {
        if let Some(name) = self
            .settings
            .first("hostname")
            .filter(|name| *name != self.original)
        {
            self.target.address = name.to_owned();
            self.target
                .origins
                .insert("address", SettingOrigin::SshConfig);
        }
        if let Some(user) = self.changed("user", "user") {
            self.target.user = user;
        }
        if let Some(port) = self
            .changed("port", "port")
            .and_then(|port| port.parse().ok())
        {
            self.target.port = port;
        }
        // For `ssh`, zero means no limit but the system's. A run waits for all of its hosts, so
        // skep's own limit stays.
        if self.beyond.first("connecttimeout") != Some("0")
            && let Some(limit) = self
                .changed("connecttimeout", "connect_timeout")
                .and_then(|limit| limit.parse().ok())
        {
            self.target.connect_timeout = Duration::from_secs(limit);
        }
    }

    fn host_keys(&mut self) -> Result<(), TransportError> {
        if let Some(alias) = self.changed("hostkeyalias", "HostKeyAlias") {
            self.target.ssh.host_key_alias = Some(alias);
        }
        let checking = self.changed("stricthostkeychecking", "host_keys");
        match checking.as_deref() {
            Some("true" | "yes") => self.target.host_key_policy = HostKeyPolicy::Strict,
            Some("ask") => self.target.host_key_policy = HostKeyPolicy::Ask,
            Some("accept-new") => self.target.host_key_policy = HostKeyPolicy::AcceptNew,
            Some("false" | "no" | "off") => {
                self.target.host_key_policy = HostKeyPolicy::AcceptNew;
                self.warnings.push(format!(
                    "{}: StrictHostKeyChecking no applies to new host keys only; skep still refuses a changed host key",
                    self.file.display()
                ));
            }
            Some(other) => {
                return Err(self.trouble(
                    "StrictHostKeyChecking",
                    format!("skep does not know the value `{other}`; it knows yes, ask, accept-new and no"),
                ));
            }
            None => {}
        }
        self.restrictions()?;
        let hashes = self.changed("hashknownhosts", "HashKnownHosts");
        self.target.ssh.hash_known_hosts =
            hashes.is_some_and(|value| value == "yes" || value == "true");
        let named = ["userknownhostsfile", "globalknownhostsfile"];
        if named
            .iter()
            .any(|keyword| self.changed(keyword, "known_hosts").is_some())
        {
            let [users, everybodys] = named.map(|keyword| {
                let files = self
                    .settings
                    .all(keyword)
                    .iter()
                    .flat_map(|list| list.split_ascii_whitespace());
                files.filter(|file| *file != "none").collect::<Vec<_>>()
            });
            let mut files = Vec::new();
            // skep writes new keys to the first file, and like `ssh` never to the global one.
            if users.is_empty() {
                files.push("/dev/null".into());
            }
            for file in users {
                files.push(self.path_of_ssh("UserKnownHostsFile", file)?);
            }
            // GlobalKnownHostsFile has no tokens.
            files.extend(everybodys.iter().map(|file| tokens::in_home(file)));
            self.target.known_hosts = files;
        }
        Ok(())
    }

    /// Reads the settings that restrict the trusted hosts further. No setting of the inventory
    /// replaces them.
    fn restrictions(&mut self) -> Result<(), TransportError> {
        for keyword in REFUSED {
            let value = self.beyond.first(keyword).filter(|value| *value != "none");
            if value.is_some() {
                return Err(self.trouble(
                    keyword,
                    "skep cannot follow this setting, and a connection without it would be less safe".into(),
                ));
            }
        }
        if let Some(files) = self.changed("revokedhostkeys", "RevokedHostKeys")
            && files != "none"
        {
            self.target.ssh.revoked_host_keys = files
                .split_ascii_whitespace()
                .map(|file| self.path("RevokedHostKeys", file))
                .collect::<Result<_, _>>()?;
        }
        if let Some(size) = self.changed("requiredrsasize", "RequiredRSASize") {
            let bits = size.parse().map_err(|_| {
                self.trouble(
                    "RequiredRSASize",
                    format!("`{size}` is not a number of bits"),
                )
            })?;
            self.target.ssh.required_rsa_size = Some(bits);
        }
        Ok(())
    }

    /// Returns the error for a setting of the files.
    fn trouble(&self, setting: &str, why: String) -> TransportError {
        TransportError::Settings {
            setting: setting.into(),
            place: self.file.display().to_string().into(),
            why,
        }
    }

    fn keys(&mut self) -> Result<(), TransportError> {
        if self.changed("identityfile", "identity_file").is_some() {
            let files = self
                .beyond
                .all("identityfile")
                .iter()
                .filter(|file| *file != "none");
            self.target.identity_files = files
                .map(|file| self.path("IdentityFile", file))
                .collect::<Result<_, _>>()?;
        }
        if self.changed("certificatefile", "CertificateFile").is_some() {
            let files = self
                .beyond
                .all("certificatefile")
                .iter()
                .filter(|file| *file != "none");
            self.target.ssh.certificate_files = files
                .map(|file| self.path("CertificateFile", file))
                .collect::<Result<_, _>>()?;
        }
        if let Some(value) = self.changed("identitiesonly", "IdentitiesOnly") {
            self.target.ssh.identities_only = value == "yes";
        }
        if let Some(agent) = self.changed("identityagent", "IdentityAgent") {
            let variable = agent
                .strip_prefix('$')
                .filter(|name| !name.starts_with('{'));
            self.target.ssh.identity_agent = match (agent.as_str(), variable) {
                ("none", _) => IdentityAgent::Off,
                ("SSH_AUTH_SOCK", _) => IdentityAgent::Environment,
                (_, Some(name)) => std::env::var_os(name).map_or(IdentityAgent::Off, |path| {
                    IdentityAgent::Socket(PathBuf::from(path))
                }),
                (path, None) => IdentityAgent::Socket(self.path_of_ssh("IdentityAgent", path)?),
            };
        }
        Ok(())
    }

    fn apply_proxy(&mut self) {
        if let Some(jump) = self.changed("proxyjump", "proxy") {
            self.target.ssh.proxy = if jump == "none" {
                SshProxy::Direct
            } else {
                SshProxy::Jump(jump)
            };
        } else if let Some(command) = self.changed("proxycommand", "proxy") {
            self.target.ssh.proxy = if command == "none" {
                SshProxy::Direct
            } else {
                SshProxy::Command(command)
            };
        }
        match self.changed("addressfamily", "AddressFamily").as_deref() {
            Some("inet") => self.target.ssh.family = AddressFamily::Inet,
            Some("inet6") => self.target.ssh.family = AddressFamily::Inet6,
            _ => {}
        }
        self.target.ssh.bind_address = self.changed("bindaddress", "BindAddress");
        let interval = self
            .changed("serveraliveinterval", "ServerAliveInterval")
            .and_then(|text| text.parse().ok());
        let count = self
            .settings
            .first("serveralivecountmax")
            .and_then(|text| text.parse().ok());
        if let (Some(interval), Some(count)) = (interval, count) {
            self.target.ssh.keepalive = Some(Keepalive {
                interval: Duration::from_secs(interval),
                count,
            });
        }
    }

    fn algorithms(&mut self) {
        let mut list = |keyword, setting| {
            let names = self.changed(keyword, setting)?;
            Some(names.split(',').map(str::to_owned).collect::<Vec<_>>())
        };
        let key_exchanges = list("kexalgorithms", "KexAlgorithms");
        let ciphers = list("ciphers", "Ciphers");
        let macs = list("macs", "MACs");
        let host_keys = list("hostkeyalgorithms", "HostKeyAlgorithms");
        let preferred = list("preferredauthentications", "PreferredAuthentications");
        let ssh = &mut self.target.ssh;
        (
            ssh.key_exchanges,
            ssh.ciphers,
            ssh.macs,
            ssh.host_key_algorithms,
        ) = (key_exchanges, ciphers, macs, host_keys);
        let switches = [
            ("pubkeyauthentication", "publickey"),
            ("kbdinteractiveauthentication", "keyboard-interactive"),
            ("passwordauthentication", "password"),
        ];
        let off: Vec<&str> = switches
            .iter()
            .filter(|(keyword, _)| matches!(self.settings.first(keyword), Some("no" | "false")))
            .map(|(_, method)| *method)
            .collect();
        if preferred.is_some() || !off.is_empty() {
            let all = || {
                ["publickey", "keyboard-interactive", "password"]
                    .map(str::to_owned)
                    .to_vec()
            };
            let mut methods = preferred.unwrap_or_else(all);
            methods.retain(|method| !off.contains(&method.as_str()));
            ssh.methods = Some(methods);
            self.target
                .origins
                .insert("PreferredAuthentications", SettingOrigin::SshConfig);
        }
    }

    fn unsupported(&mut self) {
        let known = |keyword: &&str| {
            !READ.contains(keyword)
                && !REFUSED.contains(keyword)
                && !WITHOUT_MEANING_HERE.contains(keyword)
        };
        let met: Vec<&str> = self.beyond.keywords().filter(known).collect();
        self.warnings.extend(met.iter().map(|keyword| {
            format!(
                "{}: the setting {keyword} is not supported and is ignored",
                self.file.display()
            )
        }));
    }

    /// Returns a path of a setting whose tokens `ssh` replaces before it prints the path.
    fn path_of_ssh(&self, setting: &str, text: &str) -> Result<PathBuf, TransportError> {
        if self.settings.is_by_ssh() {
            Ok(tokens::in_home(text))
        } else {
            self.path(setting, text)
        }
    }

    fn path(&self, setting: &str, text: &str) -> Result<PathBuf, TransportError> {
        let tokens = TokenValues {
            target: &self.target,
            original: &self.original,
        };
        tokens
            .path(text.trim_matches('"'))
            .map_err(|error| error.at(setting, self.file.display().to_string()))
    }
}
