//! Reads the host keys of a server, with one connection for each type and without a login.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client;
use russh::keys::{Algorithm, HashAlg, PublicKey, PublicKeyOrCertificate};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::dial::{Route, connect_error};
use super::handler::{HandlerError, plain_words};
use super::stream::QuickStream;
use crate::inventory::SshTarget;
use crate::transport::TransportError;

/// Records the key that the server presents, and ends the connection.
struct HostKeyScanner(Arc<Mutex<Option<PublicKey>>>);

impl client::Handler for HostKeyScanner {
    type Error = HandlerError;

    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        if let PublicKeyOrCertificate::PublicKey { key, .. } = shown {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(key.clone());
        }
        Ok(false)
    }
}

/// Returns all host keys of a server, one for each type.
///
/// # Errors
/// [`TransportError`] when the server cannot be reached or presents no key.
pub(crate) async fn scan(
    route: &Route,
    target: &SshTarget,
) -> Result<Vec<PublicKey>, TransportError> {
    let base = super::algorithms::config(target, &[], false, Duration::from_secs(15))?;
    let mut types: Vec<Vec<Algorithm>> = Vec::new();
    for algorithm in base.preferred.key.iter() {
        let same = |list: &&mut Vec<Algorithm>| {
            list.iter()
                .any(|one| one.clone().is_rsa() && algorithm.clone().is_rsa())
        };
        match types.iter_mut().find(same) {
            Some(list) => list.push(algorithm.clone()),
            None => types.push(vec![algorithm.clone()]),
        }
    }
    let mut found = Vec::new();
    let mut trouble = None;
    for algorithms in types {
        let mut config = client::Config {
            nodelay: true,
            ..client::Config::default()
        };
        config.inactivity_timeout = Some(target.connect_timeout);
        config.preferred = base.preferred.clone();
        config.preferred.key = algorithms.into();
        let (link, _) = timeout(target.connect_timeout, route.open(target))
            .await
            .map_err(|_| connect_error(target, "connecting timed out".into(), true))??;
        let token = CancellationToken::new();
        let _guard = token.clone().drop_guard();
        let stream = QuickStream::new(link, token)
            .map_err(|error| connect_error(target, error.to_string(), true))?;
        let key = Arc::new(Mutex::new(None));
        let shaking =
            client::connect_stream(Arc::new(config), stream, HostKeyScanner(Arc::clone(&key)));
        match timeout(target.connect_timeout, shaking).await {
            Ok(Err(error)) => trouble = Some(plain_words(&error)),
            Ok(Ok(_)) => {}
            Err(_) => {
                return Err(connect_error(
                    target,
                    "the key exchange timed out".into(),
                    true,
                ));
            }
        }
        found.extend(key.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
    if found.is_empty() {
        let why = format!(
            "the host presents no host key ({})",
            trouble.unwrap_or_default()
        );
        return Err(connect_error(target, why, false));
    }
    Ok(found)
}

/// Returns a key as a known-hosts line, and its fingerprint.
pub(crate) fn line(target: &SshTarget, key: &PublicKey) -> Option<(String, String)> {
    let (address, port) = target.known_name();
    let mut key = key.clone();
    key.set_comment("");
    let text = key.to_openssh().ok()?;
    let name = crate::transport::known_hosts::lookup_name(address, port);
    Some((
        format!("{name} {}", text.trim_end()),
        key.fingerprint(HashAlg::Sha256).to_string(),
    ))
}
