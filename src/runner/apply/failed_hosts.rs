//! The hosts whose work failed in this run: other hosts do not wait for them.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::names::HostName;

/// Hosts that failed, or were lost.
#[derive(Default)]
pub(super) struct FailedHosts(Mutex<BTreeSet<HostName>>);

impl FailedHosts {
    /// Adds a host.
    pub(super) fn add(&self, host: &HostName) {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.insert(host.clone());
    }

    /// Returns true if no host failed.
    pub(super) fn is_empty(&self) -> bool {
        let failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_empty()
    }

    /// Returns true if all these hosts failed.
    pub(super) fn contain_all(&self, hosts: &[HostName]) -> bool {
        let failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.iter().all(|host| failed.contains(host))
    }
}
