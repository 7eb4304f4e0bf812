//! Routes to all hosts of a run: their settings, their jump hosts (one connection each, however
//! many hosts are behind it) and their known-hosts files (read once).

use std::collections::HashMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::ssh::{
    ConnectOptions, LoginLimiter, Route, SshConnection, connect_via, known_line, scan,
};
use super::ssh_config::{SshConfig, TokenValues};
use super::{KnownHosts, TransportError};
use crate::inventory::{SettingOrigin, SshProxy, SshTarget, local_user};
use crate::names::HostName;

/// State that a run shares to reach its hosts.
#[derive(Default)]
pub struct SshNetwork {
    options: ConnectOptions,
    config: SshConfig,
    // Hosts of the inventory: a jump host may be one of them.
    hosts: HashMap<HostName, SshTarget>,
    known: Mutex<HashMap<Vec<PathBuf>, KnownHosts>>,
    jumps: Mutex<HashMap<String, Arc<tokio::sync::Mutex<JumpSlot>>>>,
    login_limiter: LoginLimiter,
}

/// Connection of a jump host, or the error of the last attempt.
#[derive(Default)]
struct JumpSlot {
    connection: Option<Arc<SshConnection>>,
    failed: Option<(Instant, TransportError)>,
}

/// Connects and logs in with final settings: the SSH configuration is not read for the host itself.
///
/// # Errors
/// [`TransportError`]; attempts with retryable errors were repeated for
/// [`SshTarget::connect_wait`].
pub async fn connect_with(
    target: &SshTarget,
    known: &KnownHosts,
    options: &ConnectOptions,
) -> Result<Arc<SshConnection>, TransportError> {
    let network = SshNetwork::new(options.clone(), []);
    network.cache_known_hosts(&target.known_hosts, known.clone());
    network.connect_target(target, &[]).await
}

impl SshNetwork {
    /// Returns a network with the inventory's hosts; no connection is opened yet.
    pub fn new(options: ConnectOptions, hosts: impl IntoIterator<Item = SshTarget>) -> Self {
        let hosts = hosts
            .into_iter()
            .map(|target| (target.name.clone(), target))
            .collect();
        Self {
            options,
            hosts,
            ..Self::default()
        }
    }

    /// Returns a host with the settings of its SSH configuration.
    ///
    /// # Errors
    /// [`TransportError::Settings`] when `ssh` refuses the configuration or a value is invalid.
    pub async fn resolve(&self, target: &SshTarget) -> Result<SshTarget, TransportError> {
        self.config.resolve(target).await
    }

    /// Reads the settings of the SSH configuration, then connects and logs in.
    ///
    /// # Errors
    /// [`TransportError`]; attempts with retryable errors were repeated for
    /// [`SshTarget::connect_wait`].
    pub async fn connect(&self, target: &SshTarget) -> Result<Arc<SshConnection>, TransportError> {
        let target = self.resolve(target).await?;
        self.connect_target(&target, &[]).await
    }

    /// Returns the keys that a resolved host presents now, as known-hosts lines with their
    /// fingerprints. The scan neither trusts nor stores any of them.
    ///
    /// # Errors
    /// [`TransportError`] when it cannot be reached.
    pub async fn scan(&self, target: &SshTarget) -> Result<Vec<(String, String)>, TransportError> {
        let route = self.resolve_route(target, &[]).await?;
        let keys = scan(&route, target).await?;
        Ok(keys
            .iter()
            .filter_map(|key| known_line(target, key))
            .collect())
    }

    /// Sets the listener for warnings about settings that skep cannot follow; each warning is
    /// passed once. Default: no listener.
    #[must_use]
    pub fn on_warning(mut self, listener: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.config.listener = Some(Box::new(listener));
        self
    }

    fn cache_known_hosts(&self, files: &[PathBuf], known: KnownHosts) {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(files.to_vec(), known);
    }

    fn known_hosts(
        &self,
        files: &[PathBuf],
        revoked: &[PathBuf],
    ) -> Result<KnownHosts, TransportError> {
        let mut key = files.to_vec();
        if !revoked.is_empty() {
            // The empty path separates the lists.
            key.push(PathBuf::new());
            key.extend_from_slice(revoked);
        }
        let found = self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .cloned();
        match found {
            Some(known) => Ok(known),
            None => {
                let loaded = KnownHosts::load(files)?.with_revoked(revoked)?;
                let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                // Another task may have been faster; its entry may already contain newly learned
                // keys.
                Ok(all.entry(key).or_insert(loaded).clone())
            }
        }
    }

    /// Connects to a resolved host; `visited` are the hosts that are being reached through it.
    fn connect_target<'a>(
        &'a self,
        target: &'a SshTarget,
        visited: &'a [String],
    ) -> ConnectFuture<'a> {
        Box::pin(async move {
            let known = self.known_hosts(&target.known_hosts, &target.ssh.revoked_host_keys)?;
            let route = self.resolve_route(target, visited).await?;
            connect_via(&route, target, &known, &self.options, &self.login_limiter).await
        })
    }

    async fn resolve_route(
        &self,
        target: &SshTarget,
        visited: &[String],
    ) -> Result<Route, TransportError> {
        let trouble = |setting: &str, why: String| TransportError::Settings {
            setting: setting.into(),
            place: self.place(target, "proxy").into(),
            why,
        };
        let list = match &target.ssh.proxy {
            SshProxy::Direct => return Ok(Route::Tcp),
            SshProxy::Command(command) => {
                let original = self
                    .hosts
                    .get(&target.name)
                    .map_or(&target.address, |host| &host.address);
                let tokens = TokenValues { target, original };
                let command = tokens
                    .replace(command)
                    .map_err(|error| error.at("ProxyCommand", self.place(target, "proxy")))?;
                return Ok(Route::Command(command));
            }
            SshProxy::Jump(list) => list,
        };
        let (before, last) = list
            .rsplit_once(',')
            .map_or((None, list.as_str()), |(before, last)| (Some(before), last));
        let hop = hop::parse(last).map_err(|why| trouble("ProxyJump", why))?;
        let hop = self.resolve(&self.hop_target(target, &hop, before)).await?;
        let mut further: Vec<String> = visited.to_vec();
        further.push(label(target));
        let label = label(&hop);
        if further.contains(&label) {
            let circle = format!(
                "the jump hosts form a loop: {} of {} is already on the route: {}",
                hop.name,
                target.name,
                further.join(" -> ")
            );
            return Err(trouble("ProxyJump", circle));
        }
        let jump =
            self.jump(&hop, &label, &further)
                .await
                .map_err(|error| TransportError::Jump {
                    hop: format!(
                        "the jump host {last} (ProxyJump of {}, {})",
                        target.name,
                        self.place(target, "proxy")
                    ),
                    error: Box::new(error),
                })?;
        Ok(Route::Through {
            jump,
            name: format!("the jump host {last}"),
        })
    }

    /// Returns the settings of a jump host. A host of the inventory keeps its own settings. Any
    /// other host takes the inventory's settings for keys, known hosts and time limits from the
    /// host behind it, and the rest from the SSH configuration.
    fn hop_target(
        &self,
        target: &SshTarget,
        hop: &hop::JumpHost,
        before: Option<&str>,
    ) -> SshTarget {
        let mut found = match self.hosts.get(&HostName::new(&hop.host)) {
            Some(own) => own.clone(),
            None => {
                let taken = [
                    "identity_file",
                    "agent",
                    "known_hosts",
                    "host_keys",
                    "connect_timeout",
                    "connect_wait",
                ];
                let mut origins = target.origins.clone();
                origins.retain(|setting, origin| {
                    taken.contains(setting) && *origin == SettingOrigin::Inventory
                });
                let given = |setting: &str| origins.contains_key(setting);
                let fresh = SshTarget::new(HostName::new(&hop.host), hop.host.clone());
                SshTarget {
                    user: local_user(),
                    identity_files: if given("identity_file") {
                        target.identity_files.clone()
                    } else {
                        Vec::new()
                    },
                    agent: target.agent,
                    known_hosts: target.known_hosts.clone(),
                    host_key_policy: if given("host_keys") {
                        target.host_key_policy
                    } else {
                        fresh.host_key_policy
                    },
                    connect_timeout: target.connect_timeout,
                    connect_wait: target.connect_wait,
                    password_command: target.password_command.clone(),
                    ssh_config: target.ssh_config.clone(),
                    origins,
                    ..fresh
                }
            }
        };
        if let Some(user) = &hop.user {
            found.user.clone_from(user);
            found.origins.insert("user", SettingOrigin::Inventory);
        }
        if let Some(port) = hop.port {
            found.port = port;
            found.origins.insert("port", SettingOrigin::Inventory);
        }
        if let Some(before) = before {
            found.ssh.proxy = SshProxy::Jump(before.to_owned());
            found.origins.insert("proxy", SettingOrigin::Inventory);
        }
        found
    }

    /// Returns the shared connection to a jump host, and opens it if needed. A caller that waited
    /// while another caller's attempt failed gets the same error.
    async fn jump(
        &self,
        hop: &SshTarget,
        label: &str,
        visited: &[String],
    ) -> Result<Arc<SshConnection>, TransportError> {
        let asked = Instant::now();
        let key = format!(
            "{label} {:?} {:?} {:?}",
            hop.ssh.proxy, hop.identity_files, hop.known_hosts
        );
        let slot = {
            let mut jumps = self.jumps.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(jumps.entry(key).or_default())
        };
        let mut slot = slot.lock().await;
        if let Some(connection) = slot
            .connection
            .as_ref()
            .filter(|connection| !connection.is_lost())
        {
            return Ok(Arc::clone(connection));
        }
        if let Some((when, error)) = &slot.failed
            && *when >= asked
        {
            return Err(error.clone());
        }
        let result = self.connect_target(hop, visited).await;
        match &result {
            Ok(connection) => slot.connection = Some(Arc::clone(connection)),
            Err(error) => slot.failed = Some((Instant::now(), error.clone())),
        }
        result
    }

    fn place(&self, target: &SshTarget, setting: &str) -> String {
        match target.origins.get(setting) {
            Some(SettingOrigin::SshConfig) => "SSH configuration".into(),
            _ => "inventory".into(),
        }
    }
}

type ConnectFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Arc<SshConnection>, TransportError>> + Send + 'a>>;

/// Returns the identity of a server, to detect loops.
fn label(target: &SshTarget) -> String {
    format!("{}@{}:{}", target.user, target.address, target.port)
}

pub(super) mod hop {
    //! A single hop of a `ProxyJump` list.

    use crate::base::token_value_fault;

    /// A hop: `[user@]host[:port]` or `ssh://[user@]host[:port]`.
    #[derive(Debug, PartialEq, Eq)]
    pub(crate) struct JumpHost {
        pub user: Option<String>,
        pub host: String,
        pub port: Option<u16>,
    }

    /// Parses a hop; the error names the text that is not a hop.
    pub(crate) fn parse(text: &str) -> Result<JumpHost, String> {
        let wrong = || format!("`{text}` is not [user@]host[:port]");
        let rest = text.trim();
        let rest = rest
            .strip_prefix("ssh://")
            .unwrap_or(rest)
            .trim_end_matches('/');
        let (user, rest) = rest
            .rsplit_once('@')
            .map_or((None, rest), |(user, rest)| (Some(user), rest));
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (host, behind) = rest.split_once(']').ok_or_else(wrong)?;
                (host, behind.strip_prefix(':'))
            }
            None if rest.matches(':').count() > 1 => (rest, None),
            None => rest
                .split_once(':')
                .map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        let port = port
            .map(|port| {
                port.parse::<u16>()
                    .ok()
                    .filter(|port| *port > 0)
                    .ok_or_else(wrong)
            })
            .transpose()?;
        let fault = token_value_fault(host).or_else(|| user.and_then(token_value_fault));
        if let Some(fault) = fault {
            return Err(format!("{}: {fault}", wrong()));
        }
        Ok(JumpHost {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
        })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn every_form_of_a_hop_is_parsed() {
            let hop = |user: Option<&str>, host: &str, port| {
                Ok(JumpHost {
                    user: user.map(str::to_owned),
                    host: host.to_owned(),
                    port,
                })
            };
            assert_eq!(parse("bastion"), hop(None, "bastion", None));
            assert_eq!(
                parse(" ann@bastion:2222 "),
                hop(Some("ann"), "bastion", Some(2222))
            );
            assert_eq!(
                parse("ssh://ann@bastion:2222/"),
                hop(Some("ann"), "bastion", Some(2222))
            );
            assert_eq!(
                parse("[fe80::1%eth0]:22"),
                hop(None, "fe80::1%eth0", Some(22))
            );
            assert_eq!(parse("2001:db8::5"), hop(None, "2001:db8::5", None));
            assert_eq!(parse("ann@corp@host"), hop(Some("ann@corp"), "host", None));
            for wrong in [
                "",
                "host:0",
                "host:x",
                "@",
                "-oProxyCommand=x",
                "a b",
                "$(x)",
                "[::1",
                "u;x@host",
            ] {
                assert!(parse(wrong).is_err(), "{wrong}");
            }
        }
    }
}
