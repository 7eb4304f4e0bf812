//! OpenPGP keys for tests, made by GnuPG 2.4. Their secret parts were thrown away.

#![allow(clippy::unwrap_used)]

/// An Ed25519 key of version 4 with a subkey.
pub(super) const KEY: &str = include_str!("samples/ed25519.asc");
/// Fingerprint of the key above, as GnuPG prints it.
pub(super) const FINGERPRINT: &str = "AF0970D0EB946070A5811208D4CE2C01AE039AF6";
/// An RSA key of version 4.
pub(super) const RSA: &str = include_str!("samples/rsa.asc");
/// Fingerprint of the key above, as GnuPG prints it.
pub(super) const RSA_FINGERPRINT: &str = "7A0880B6EA81AC908EA4AEEBEF6B2821D5397C09";

/// Returns a key without its armour.
pub(super) fn binary(key: &str) -> Vec<u8> {
    super::openpgp::without_armour(key.as_bytes()).unwrap()
}
