//! The hosts that a run may reach, each connected on demand and at most once: the plan of a worker
//! reads its managers even if only the worker was selected.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use indexmap::IndexMap;
use tokio::sync::OnceCell;

use super::event::{Event, EventSender};
use super::fan_out::fan_out;
use super::guard::DockerReader;
use super::host::ConnectedHost;
use crate::model::{DockerAnswer, SecretBytes, ValueSource};
use crate::names::HostName;
use crate::transport::{Connection, TransportError};

/// Opens connections. The command line passes in a connector for SSH; tests pass in scripted hosts.
#[async_trait::async_trait]
pub trait Connector: Send + Sync {
    /// Connects to a host of the inventory.
    ///
    /// # Errors
    /// [`TransportError`] when the host cannot be reached.
    async fn connect(&self, host: &HostName) -> Result<Arc<dyn Connection>, TransportError>;

    /// Reads a value from the operator's machine.
    ///
    /// # Errors
    /// Reason why the value cannot be read, in one sentence without the value.
    async fn value(&self, source: &ValueSource) -> Result<SecretBytes, String> {
        Err(format!("{source:?} cannot be read here"))
    }
}

/// Every host of the inventory, each with at most one connection.
pub struct Fleet {
    connector: Arc<dyn Connector>,
    hosts: IndexMap<HostName, OnceCell<Result<Arc<ConnectedHost>, TransportError>>>,
    events: EventSender,
    /// Values that were read, each of them once: a password manager must not prompt its user
    /// repeatedly.
    values: Arc<tokio::sync::Mutex<HashMap<ValueSource, Result<SecretBytes, String>>>>,
}

impl Fleet {
    /// Returns a fleet of hosts, of which none is connected yet.
    pub fn new(
        connector: Arc<dyn Connector>,
        hosts: impl IntoIterator<Item = HostName>,
        events: EventSender,
    ) -> Self {
        let hosts = hosts
            .into_iter()
            .map(|name| (name, OnceCell::new()))
            .collect();
        Self {
            connector,
            hosts,
            events,
            values: Arc::default(),
        }
    }

    /// Returns a fleet with the same hosts and connections, without events: for the last reading,
    /// whose result is part of the summary.
    #[must_use]
    pub fn quiet(&self) -> Self {
        Self {
            connector: self.connector.clone(),
            hosts: self.hosts.clone(),
            events: EventSender::silent(),
            values: self.values.clone(),
        }
    }

    /// Returns a value from the operator's machine, which is read once.
    ///
    /// # Errors
    /// Reason why the value cannot be read.
    pub async fn value(&self, source: &ValueSource) -> Result<SecretBytes, String> {
        let mut values = self.values.lock().await;
        if let Some(value) = values.get(source) {
            return value.clone();
        }
        let value = self.connector.value(source).await;
        values.insert(source.clone(), value.clone());
        value
    }

    /// Returns the sender of the fleet's events.
    #[must_use]
    pub fn events(&self) -> &EventSender {
        &self.events
    }

    /// Returns the connected host; the first call connects it. A failure is kept as well: an
    /// unreachable host is not tried again in the same run.
    ///
    /// # Errors
    /// [`TransportError`] when the host cannot be reached.
    pub async fn host(&self, name: &HostName) -> Result<Arc<ConnectedHost>, TransportError> {
        let Some(slot) = self.hosts.get(name) else {
            return Err(TransportError::Resolve {
                name: name.to_string(),
                why: "the inventory has no such host".into(),
            });
        };
        slot.get_or_init(|| async {
            self.events
                .send(Event::Connecting { host: name.clone() })
                .await;
            let started = std::time::Instant::now();
            match self.connector.connect(name).await {
                Ok(connection) => {
                    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                    self.events
                        .send(Event::Connected {
                            host: name.clone(),
                            millis,
                            new_host_key: connection.new_host_key().map(str::to_owned),
                        })
                        .await;
                    Ok(Arc::new(ConnectedHost::new(name.clone(), connection)))
                }
                Err(error) => Err(error),
            }
        })
        .await
        .clone()
    }

    /// Closes every connection cleanly, within at most two seconds each.
    pub async fn close(&self) {
        let limit = std::time::Duration::from_secs(2);
        let hosts: Vec<Arc<ConnectedHost>> = self
            .hosts
            .values()
            .filter_map(OnceCell::get)
            .filter_map(|result| result.as_ref().ok())
            .cloned()
            .collect();
        let closed = fan_out(hosts.clone(), hosts.len(), |host| async move {
            tokio::time::timeout(limit, host.close()).await
        })
        .await;
        // The summary is complete: a connection that does not close cleanly does not change it.
        for (host, result) in hosts.iter().zip(closed) {
            if let Err(panic) = result {
                tracing::warn!("{}", panic.why(host.name()));
            }
        }
    }
}

#[async_trait::async_trait]
impl DockerReader for Fleet {
    async fn get(&self, host: &HostName, path: &str) -> DockerAnswer {
        match self.host(host).await {
            Ok(host) => host.engine_read(path).await,
            Err(error) => DockerAnswer::Unreachable(error.to_string()),
        }
    }

    fn hosts(&self) -> Vec<HostName> {
        self.hosts.keys().cloned().collect()
    }
}

/// Cache of one round of reads: the same `GET` at the same Engine is made once, regardless of the
/// number of resources that need it.
#[derive(Default)]
pub struct ReadCache {
    reads: Mutex<HashMap<(HostName, String), SharedRead>>,
}

/// A read that the first caller makes and all others share.
type SharedRead = Arc<OnceCell<DockerAnswer>>;

impl ReadCache {
    /// Returns the answer to a `GET`, from the cache or from the Engine.
    pub async fn read(&self, fleet: &Fleet, host: &HostName, path: &str) -> DockerAnswer {
        let cell = match self.reads.lock() {
            Ok(mut reads) => reads
                .entry((host.clone(), path.to_owned()))
                .or_default()
                .clone(),
            // A poisoned lock only means that another task panicked: the cache is bypassed.
            Err(_) => Arc::default(),
        };
        cell.get_or_init(|| fleet.get(host, path)).await.clone()
    }
}
