//! Checks certificates of hosts against the authorities that the known-hosts files name for them.

use std::time::{SystemTime, UNIX_EPOCH};

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Certificate, HashAlg, PublicKey};

use super::entry::{KeyMarker, KnownHostEntry};
use super::{TransportError, pattern};

/// See [`super::KnownHosts::vouches`]. `name` is compared with the patterns of the lines, `address`
/// with the principals of the certificate.
pub(super) fn vouches(
    entries: &[KnownHostEntry],
    address: &str,
    name: &str,
    certificate: &Certificate,
) -> Result<Result<(), String>, TransportError> {
    let own = || {
        entries
            .iter()
            .filter(|entry| pattern::matches(&entry.patterns, name))
    };
    let is_in = |entry: &&KnownHostEntry| {
        entry.key.key_data() == certificate.signature_key()
            || entry.key.key_data() == certificate.public_key()
    };
    if let Some(entry) = own()
        .filter(|entry| entry.role == KeyMarker::Revoked)
        .find(is_in)
    {
        return Err(TransportError::HostKeyRevoked {
            address: name.to_owned(),
            place: entry.place(),
        });
    }
    let authorities: Vec<&KnownHostEntry> = own()
        .filter(|entry| entry.role == KeyMarker::Authority)
        .collect();
    Ok(judge(&authorities, address, certificate))
}

fn judge(
    authorities: &[&KnownHostEntry],
    address: &str,
    certificate: &Certificate,
) -> Result<(), String> {
    if certificate.cert_type() != CertType::Host {
        return Err("it is not a host certificate".into());
    }
    let by = PublicKey::from(certificate.signature_key().clone()).fingerprint(HashAlg::Sha256);
    let known: Vec<_> = authorities
        .iter()
        .map(|entry| entry.key.fingerprint(HashAlg::Sha256))
        .collect();
    if !known.contains(&by) {
        return Err("no known authority signed it".into());
    }
    if certificate.signature().algorithm().to_string() == "ssh-rsa" {
        return Err("its signature is SHA-1".into());
    }
    // As in OpenSSH: a certificate without principals is valid for every host, and principals are
    // not patterns.
    let names = certificate.valid_principals();
    if !names.is_empty() && !names.iter().any(|name| name.eq_ignore_ascii_case(address)) {
        return Err(format!("it is not for {address}"));
    }
    if let Some((option, _)) = certificate.critical_options().iter().next() {
        return Err(format!("its critical option {option} is not supported"));
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_secs());
    certificate
        .validate_at(now, &known)
        .map_err(|_| "it has expired, is not valid yet, or its signature is wrong".into())
}
