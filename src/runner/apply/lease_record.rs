//! The lease as a config of the swarm: its labels, and the watch that notices the end of a run that
//! died. Pure.

use std::fmt;
use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::swarm_lease::LeaseOwner;
use crate::names::HostName;

/// Name of the config.
pub(super) const NAME: &str = "skep-disruption-lease";
/// Time after which a lease that is not renewed has ended, by the clock of the run that watches.
const EXPIRY: Duration = Duration::from_secs(60);
/// Additional time for the end of a run that died.
const SLACK: Duration = Duration::from_secs(10);

/// Content of the config, which must not be empty.
const CONTENT: &[u8] = b"This run of skep disrupts a node of the swarm; see the labels.\n";

const OWNER: &str = "skep.owner";
const TOKEN: &str = "skep.token";
const HOST: &str = "skep.host";
const NODE: &str = "skep.node";
const BEAT: &str = "skep.beat";

/// The lease, as a manager reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeaseRecord {
    /// ID of the config.
    pub id: String,
    /// Version of the config.
    pub version: u64,
    /// Content of the config, in Base64.
    pub data: Value,
    /// Token of the run.
    pub token: String,
    /// Owner of the run.
    pub owner: String,
    /// Name of the disrupted host in the inventory of the run.
    pub host: String,
    /// ID of the disrupted node.
    pub node: String,
    /// Time of creation, by the clock of the swarm.
    pub since: String,
}

impl LeaseRecord {
    /// Returns the body of a request that creates the lease.
    pub(super) fn spec(owner: &LeaseOwner, host: &HostName, node: &str) -> Value {
        let process = std::process::id();
        json!({
            "Name": NAME,
            "Data": Base64::encode_string(CONTENT),
            "Labels": {
                OWNER: format!("{} (process {process})", owner.owner),
                TOKEN: owner.token,
                HOST: host.as_str(),
                NODE: node,
                BEAT: "0",
            },
        })
    }

    /// Counts a renewal: an update that changes nothing would leave the version as it is.
    pub(super) fn count(spec: &mut Value) {
        let beat = &mut spec["Labels"][BEAT];
        let count: u64 = beat
            .as_str()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        *beat = (count + 1).to_string().into();
    }

    /// Reads the answer of a manager.
    pub(super) fn read(body: &Value) -> Option<Self> {
        let label = |name: &str| {
            let value = body
                .pointer("/Spec/Labels")
                .and_then(|labels| labels.get(name));
            value.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let since = body
            .get("CreatedAt")
            .and_then(Value::as_str)
            .unwrap_or_default();
        Some(Self {
            id: body.get("ID")?.as_str()?.to_owned(),
            version: body.pointer("/Version/Index")?.as_u64()?,
            data: body.pointer("/Spec/Data").cloned().unwrap_or_default(),
            token: label(TOKEN),
            owner: label(OWNER),
            host: label(HOST),
            node: label(NODE),
            since: since.split('.').next().unwrap_or_default().to_owned(),
        })
    }
}

impl fmt::Display for LeaseRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            owner, host, since, ..
        } = self;
        write!(
            formatter,
            "another run disrupts {host}, a node of the same swarm: {owner}, since {since}"
        )
    }
}

/// Watches the lease of another run. Only this machine's own clock counts.
#[derive(Default)]
pub(super) struct LeaseWatch {
    last: Option<(String, u64, Instant)>,
    is_alive: bool,
}

impl LeaseWatch {
    /// Notes a reading; returns true if the lease was not renewed for too long.
    pub(super) fn has_ended(&mut self, record: &LeaseRecord, now: Instant) -> bool {
        match &mut self.last {
            Some((id, version, since)) if *id == record.id && *version == record.version => {
                now.duration_since(*since) >= EXPIRY
            }
            last => {
                self.is_alive = last.is_some();
                *last = Some((record.id.clone(), record.version, now));
                false
            }
        }
    }

    /// Begins the watch anew.
    pub(super) fn restart(&mut self) {
        self.last = None;
    }

    /// Returns the time to wait in all. A run whose life is not known yet is watched until it is:
    /// otherwise no run without `--lock-wait` would ever take the lease of a dead one over.
    pub(super) fn patience(&self, wait: Duration) -> Duration {
        if self.is_alive {
            wait
        } else {
            wait.max(EXPIRY + SLACK)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn record(version: u64) -> LeaseRecord {
        let mut owner = LeaseOwner::new("ann@desk");
        owner.token = "t".into();
        let spec = LeaseRecord::spec(&owner, &HostName::new("docker02"), "n2");
        let body = json!({"ID": "c1", "Version": {"Index": version}, "CreatedAt": "2026-11-28T12:00:00.5Z", "Spec": spec});
        LeaseRecord::read(&body).unwrap()
    }

    #[test]
    fn record_names_the_run_and_the_host() {
        let record = record(7);
        assert_eq!(
            (record.version, record.node.as_str(), record.token.as_str()),
            (7, "n2", "t")
        );
        let text = record.to_string();
        assert!(
            text.contains("docker02") && text.contains("ann@desk (process "),
            "{text}"
        );
        assert_eq!(LeaseRecord::read(&json!({"ID": "c1"})), None);
    }

    #[test]
    fn each_renewal_differs() {
        let owner = LeaseOwner::new("ann@desk");
        let mut spec = LeaseRecord::spec(&owner, &HostName::new("docker02"), "n2");
        let before = spec.clone();
        LeaseRecord::count(&mut spec);
        assert_ne!(before, spec);
        assert_eq!(spec["Labels"][BEAT], "1");
        assert_ne!(owner.token, LeaseOwner::new("ann@desk").token);
    }

    #[test]
    fn lease_ends_only_without_renewals() {
        let mut watch = LeaseWatch::default();
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        assert!(!watch.has_ended(&record(1), at(0)));
        assert_eq!(watch.patience(Duration::ZERO), EXPIRY + SLACK);
        assert!(!watch.has_ended(&record(1), at(59)));
        // A renewal in the last second: the run lives.
        assert!(!watch.has_ended(&record(2), at(59)));
        assert_eq!(watch.patience(Duration::ZERO), Duration::ZERO);
        assert!(!watch.has_ended(&record(2), at(118)));
        assert!(watch.has_ended(&record(2), at(119)));
        watch.restart();
        assert!(!watch.has_ended(&record(2), at(200)));
    }
}
