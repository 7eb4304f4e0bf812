//! Opens SSH connections to the inventory's hosts for the runner.

use std::sync::Arc;

use super::login::LoginArgs;
use crate::inventory::{Inventory, SshTarget};
use crate::model::{SecretBytes, ValueSource};
use crate::names::HostName;
use crate::report::{Screen, literal};
use crate::runner::Connector;
use crate::transport::{
    ConnectOptions, Connection, HostKeyListener, SshNetwork, TransportError, read_value,
};

/// Connects to hosts with the settings of the inventory and the SSH configuration.
pub(super) struct SshConnector {
    targets: std::collections::HashMap<HostName, SshTarget>,
    network: Arc<SshNetwork>,
}

impl SshConnector {
    /// Creates a connector for all hosts of an inventory; connects to no host yet. Asks for the
    /// passwords that the options of the command line request.
    ///
    /// # Errors
    /// Fails if a file or a password of the command line is missing.
    pub(super) fn new(
        inventory: &Inventory,
        login: &LoginArgs,
        screen: &Screen,
    ) -> anyhow::Result<Self> {
        let screen_of_warnings = screen.clone();
        let warn =
            move |warning: &str| screen_of_warnings.note(&format!("warning: {}", literal(warning)));
        Self::warning(inventory, login, screen, warn)
    }

    /// Creates a second connector of the same run. It asks for no password and repeats no warning
    /// of the first.
    ///
    /// # Errors
    /// Fails if a file of the command line is missing.
    pub(super) fn second(
        inventory: &Inventory,
        login: &LoginArgs,
        screen: &Screen,
    ) -> anyhow::Result<Self> {
        Self::warning(inventory, &login.quiet(), screen, |_| {})
    }

    fn warning(
        inventory: &Inventory,
        login: &LoginArgs,
        screen: &Screen,
        warn: impl Fn(&str) + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let targets = inventory
            .hosts()
            .map(|(_, host)| login.apply(&host.target))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let screen_of_keys = screen.clone();
        let options = ConnectOptions {
            secrets: login.secrets(screen)?,
            host_key_listener: HostKeyListener::new(move |key| {
                let text = format!("{}: {key}", key.host);
                screen_of_keys.note(&literal(&text));
            }),
            ..ConnectOptions::default()
        };
        let network = SshNetwork::new(options, targets.iter().cloned()).on_warning(warn);
        let targets = targets
            .into_iter()
            .map(|target| (target.name.clone(), target))
            .collect();
        Ok(Self {
            targets,
            network: Arc::new(network),
        })
    }

    /// Returns the settings of a host that is not in the inventory.
    ///
    /// # Errors
    /// Returns [`TransportError::Settings`].
    pub(super) async fn stranger(&self, target: &SshTarget) -> Result<SshTarget, TransportError> {
        self.network.resolve(target).await
    }

    /// Reads the keys that a host shows now.
    ///
    /// # Errors
    /// Returns a [`TransportError`] if the host is unreachable.
    pub(super) async fn scan(
        &self,
        target: &SshTarget,
    ) -> Result<Vec<(String, String)>, TransportError> {
        self.network.scan(target).await
    }

    /// Returns a host with the settings of its SSH configuration; `None` if there is no such host.
    pub(super) async fn settings(
        &self,
        host: &HostName,
    ) -> Option<Result<SshTarget, TransportError>> {
        let target = self.targets.get(host)?;
        Some(self.network.resolve(target).await)
    }
}

#[async_trait::async_trait]
impl Connector for SshConnector {
    async fn connect(&self, host: &HostName) -> Result<Arc<dyn Connection>, TransportError> {
        match self.targets.get(host) {
            Some(SshTarget {
                not_running: Some(why),
                ..
            }) => Err(TransportError::NotRunning(why.clone())),
            Some(target) => Ok(self.network.connect(target).await?),
            None => Err(TransportError::Resolve {
                name: host.to_string(),
                why: "the inventory has no such host".into(),
            }),
        }
    }

    async fn value(&self, source: &ValueSource) -> Result<SecretBytes, String> {
        read_value(source).await
    }
}
