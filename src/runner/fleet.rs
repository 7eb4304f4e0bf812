//! The hosts that a run may reach, each connected on demand and at most once: the plan of a worker
//! reads its managers even if only the worker was selected.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use tokio::sync::OnceCell;

use super::event::{Event, EventSender};
use super::fan_out::fan_out;
use super::gather::gather;
use super::guard::DockerReader;
use super::host::ConnectedHost;
use crate::model::{DockerAnswer, Query, SecretBytes, ValueSource};
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
            let started = Instant::now();
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

    /// Makes one `GET` for a plan; see [`ConnectedHost::plan_read`].
    async fn plan_read(&self, host: &HostName, path: &str) -> DockerAnswer {
        match self.host(host).await {
            Ok(host) => host.plan_read(path).await,
            Err(error) => DockerAnswer::Unreachable(error.to_string()),
        }
    }

    /// Returns the hosts that are connected already.
    #[must_use]
    pub fn connected(&self) -> Vec<HostName> {
        let is_connected = |slot: &OnceCell<Result<Arc<ConnectedHost>, TransportError>>| {
            slot.get().is_some_and(Result::is_ok)
        };
        let hosts = self.hosts.iter();
        hosts
            .filter(|(_, slot)| is_connected(slot))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Closes every connection cleanly, within at most two seconds each.
    pub async fn close(&self) {
        let limit = Duration::from_secs(2);
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

    async fn content(&self, host: &HostName, path: &str) -> Option<Vec<u8>> {
        let host = self.host(host).await.ok()?;
        let queries = [Query::content(path)].into();
        let answers = gather(self, &ReadCache::default(), &host, &queries).await;
        answers.ok()?.path(path).ok()??.content.clone()
    }

    fn hosts(&self) -> Vec<HostName> {
        self.hosts.keys().cloned().collect()
    }
}

/// Cache of one round of reads: the same `GET` at the same Engine is made once, regardless of the
/// number of resources that need it.
#[derive(Default)]
pub struct ReadCache {
    reads: Mutex<HashMap<(HostName, String), CachedRead>>,
    /// Time for which a read is used; `None` for the whole round.
    valid_for: Option<Duration>,
}

/// A read that the first caller makes and all others share.
type SharedRead = Arc<OnceCell<DockerAnswer>>;

struct CachedRead {
    since: Instant,
    read: SharedRead,
}

impl ReadCache {
    /// Returns a cache whose reads are used for this time. Hosts that are read at the same time can
    /// share it: a manager is not asked by each of them.
    #[must_use]
    pub fn valid_for(time: Duration) -> Self {
        Self {
            valid_for: Some(time),
            ..Self::default()
        }
    }

    /// Returns the answer to a `GET`, from the cache or from the Engine.
    pub async fn read(&self, fleet: &Fleet, host: &HostName, path: &str) -> DockerAnswer {
        let cell = match self.reads.lock() {
            Ok(mut reads) => {
                let key = (host.clone(), path.to_owned());
                let is_old = |known: &CachedRead| {
                    self.valid_for
                        .is_some_and(|limit| known.since.elapsed() > limit)
                };
                if reads.get(&key).is_some_and(is_old) {
                    reads.remove(&key);
                }
                let cached = reads.entry(key).or_insert_with(|| CachedRead {
                    since: Instant::now(),
                    read: SharedRead::default(),
                });
                cached.read.clone()
            }
            // A poisoned lock only means that another task panicked: the cache is bypassed.
            Err(_) => Arc::default(),
        };
        cell.get_or_init(|| fleet.plan_read(host, path))
            .await
            .clone()
    }
}
