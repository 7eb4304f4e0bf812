//! Algorithms that skep offers, and the other settings of a session.

use std::sync::Arc;
use std::time::Duration;

use russh::keys::{Algorithm, HashAlg};
use russh::{AlgorithmKind, Preferred, cipher, client, kex};

use crate::inventory::SshTarget;
use crate::transport::ssh::algorithm_list;
use crate::transport::{SettingPlace, TransportError};

/// Returns the settings for a host. The key types under which the host is known come first, which
/// makes it present a key of these types.
///
/// # Errors
/// [`TransportError::Settings`] naming a list in which skep supports no algorithm.
pub(super) fn config(
    target: &SshTarget,
    known_types: &[Algorithm],
    certificates: bool,
    keepalive: Duration,
) -> Result<Arc<client::Config>, TransportError> {
    let alive = target
        .ssh
        .keepalive
        .filter(|alive| !alive.interval.is_zero());
    let (interval, count) =
        alive.map_or((keepalive, 3), |alive| (alive.interval, alive.count.max(1)));
    Ok(Arc::new(client::Config {
        preferred: preferred(target, known_types, certificates)?,
        keepalive_interval: Some(interval),
        keepalive_max: count as usize,
        // Also ends sessions that no task waits for; answers to keepalives count as activity.
        inactivity_timeout: Some(interval * (count + 1)),
        // A channel that is not drained stops the whole session once this many messages wait.
        channel_buffer_size: 4096,
        nodelay: true,
        ..client::Config::default()
    }))
}

fn preferred(
    target: &SshTarget,
    known_types: &[Algorithm],
    certificates: bool,
) -> Result<Preferred, TransportError> {
    let mut preferred = Preferred::DEFAULT;
    let ssh = &target.ssh;
    // Finite-field exchanges cost the client up to 340 ms each, so skep offers them only if the
    // user names them. The remaining entries include the two markers (RFC 8308 extensions, strict
    // exchange), without which RSA keys fail and the Terrapin attack works.
    let markers = [
        kex::EXTENSION_SUPPORT_AS_CLIENT,
        kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
    ];
    let mut exchanges = preferred.kex.to_vec();
    // For servers that are restricted to NIST's curves; last, so that other servers do not use
    // them.
    exchanges.extend([
        kex::ECDH_SHA2_NISTP256,
        kex::ECDH_SHA2_NISTP384,
        kex::ECDH_SHA2_NISTP521,
    ]);
    let mut offered = exchanges.clone();
    offered.retain(|name| !name.as_ref().starts_with("diffie-hellman"));
    match &ssh.key_exchanges {
        None => exchanges = offered,
        Some(wanted) => {
            // russh's list contains the markers of client and server.
            for list in [&mut exchanges, &mut offered] {
                list.retain(|name| {
                    !["ext-info-", "kex-strict-"]
                        .iter()
                        .any(|marker| name.as_ref().starts_with(marker))
                });
            }
            exchanges = chosen(target, "KexAlgorithms", wanted, &exchanges, &offered)?;
            exchanges.extend(markers);
        }
    }
    preferred.kex = exchanges.into();

    let mut ciphers = preferred.cipher.to_vec();
    ciphers.push(cipher::AES_128_GCM);
    ciphers.sort_by_key(|name| *name != cipher::AES_256_GCM);
    if let Some(wanted) = &ssh.ciphers {
        ciphers = chosen(target, "Ciphers", wanted, &ciphers, &ciphers)?;
    }
    if let Some(wanted) = &ssh.macs {
        match chosen(target, "MACs", wanted, &preferred.mac, &preferred.mac) {
            Ok(macs) => preferred.mac = macs.into(),
            // A cipher that authenticates by itself uses no MAC, so only the other ciphers are
            // lost.
            Err(error) => {
                ciphers.retain(|name| authenticates_by_itself(name.as_ref()));
                if ciphers.is_empty() {
                    return Err(error);
                }
            }
        }
    }
    preferred.cipher = ciphers.into();

    let mut keys = preferred.key.to_vec();
    keys.retain(|algorithm| *algorithm != Algorithm::Rsa { hash: None });
    let mut certified = keys.clone();
    if let Some(wanted) = &ssh.host_key_algorithms {
        let certificates = certified.iter().map(Algorithm::to_certificate_type);
        let offered: Vec<String> = certificates
            .chain(keys.iter().map(ToString::to_string))
            .collect();
        let wanted = algorithm_list::resolved(wanted, &offered);
        certified.retain(|algorithm| wanted.contains(&algorithm.to_certificate_type()));
        keys = match chosen_by(&wanted, &keys, ToString::to_string) {
            keys if keys.is_empty() && certified.is_empty() => {
                return Err(nothing_left(target, "HostKeyAlgorithms"));
            }
            keys => keys,
        };
    }
    keys.sort_by_key(|algorithm| !known_types.iter().any(|known| same_type(known, algorithm)));
    preferred.key = keys.into();
    if certificates {
        preferred.host_key_certificates = certified.into();
    }
    Ok(preferred)
}

/// Returns true for a cipher with associated data (AEAD), which needs no MAC.
fn authenticates_by_itself(cipher: &str) -> bool {
    cipher.contains("-gcm@") || cipher.starts_with("chacha20-poly1305@")
}

/// Returns the algorithms that both the user's list and skep contain, in the user's order;
/// `offered` is the list that a sign changes.
fn chosen<N: AsRef<str> + Copy>(
    target: &SshTarget,
    setting: &'static str,
    wanted: &[String],
    ours: &[N],
    offered: &[N],
) -> Result<Vec<N>, TransportError> {
    let offered: Vec<String> = offered
        .iter()
        .map(|name| name.as_ref().to_owned())
        .collect();
    let names = chosen_by(&algorithm_list::resolved(wanted, &offered), ours, |name| {
        name.as_ref().to_owned()
    });
    if names.is_empty() {
        Err(nothing_left(target, setting))
    } else {
        Ok(names)
    }
}

fn chosen_by<N: Clone>(wanted: &[String], ours: &[N], name: impl Fn(&N) -> String) -> Vec<N> {
    wanted
        .iter()
        .filter_map(|wanted| ours.iter().find(|one| name(one) == *wanted))
        .cloned()
        .collect()
}

fn nothing_left(target: &SshTarget, setting: &'static str) -> TransportError {
    TransportError::Settings {
        setting: setting.into(),
        place: format!("the SSH configuration of {}", target.name).into(),
        why: "skep supports none of the algorithms in this list".into(),
    }
}

/// Returns the error for a host that accepts none of the offered algorithms. A retry does not help.
pub(super) fn nothing_in_common(
    target: &SshTarget,
    kind: &AlgorithmKind,
    ours: &[String],
    theirs: &[String],
) -> TransportError {
    let (setting, given) = match kind {
        AlgorithmKind::Kex => ("KexAlgorithms", target.ssh.key_exchanges.is_some()),
        AlgorithmKind::Key => (
            "HostKeyAlgorithms",
            target.ssh.host_key_algorithms.is_some(),
        ),
        AlgorithmKind::Cipher => ("Ciphers", target.ssh.ciphers.is_some()),
        AlgorithmKind::Mac => ("MACs", target.ssh.macs.is_some()),
        _ => ("Compression", false),
    };
    let place = match given {
        true => format!("the SSH configuration of {}", target.name).into(),
        false => SettingPlace::OwnList,
    };
    let list = |names: &[String]| {
        let words = names.join(", ");
        words
            .chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .take(400)
            .collect::<String>()
    };
    let why = format!(
        "{} accepts none of {}; it offers {}",
        target.address,
        list(ours),
        list(theirs)
    );
    TransportError::Settings {
        setting: setting.into(),
        place,
        why,
    }
}

fn same_type(known: &Algorithm, offered: &Algorithm) -> bool {
    matches!(
        (known, offered),
        (
            Algorithm::Rsa { .. },
            Algorithm::Rsa {
                hash: Some(HashAlg::Sha256 | HashAlg::Sha512)
            }
        )
    ) || known == offered
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::names::HostName;

    fn target() -> SshTarget {
        SshTarget::new(HostName::new("web"), "web".into())
    }

    fn names<N: AsRef<str>>(list: &[N]) -> Vec<&str> {
        list.iter().map(AsRef::as_ref).collect()
    }

    #[test]
    fn finite_field_exchanges_are_not_offered_and_the_markers_stay() {
        let preferred = preferred(&target(), &[], false).unwrap();
        let names = names(&preferred.kex);
        assert!(
            !names.iter().any(|name| name.contains("diffie")),
            "{names:?}"
        );
        for wanted in [
            "mlkem768x25519-sha256",
            "curve25519-sha256",
            "ext-info-c",
            "kex-strict-c-v00@openssh.com",
        ] {
            assert!(names.contains(&wanted), "{wanted} in {names:?}");
        }
        assert_eq!(preferred.cipher.first(), Some(&cipher::AES_256_GCM));
        assert!(
            preferred.host_key_certificates.is_empty(),
            "no authority vouches for them"
        );
    }

    #[test]
    fn known_types_come_first_and_sha1_never() {
        let keys = preferred(&target(), &[Algorithm::Rsa { hash: None }], true)
            .unwrap()
            .key;
        assert_eq!(
            keys.first(),
            Some(&Algorithm::Rsa {
                hash: Some(HashAlg::Sha512)
            })
        );
        assert_eq!(
            keys.get(1),
            Some(&Algorithm::Rsa {
                hash: Some(HashAlg::Sha256)
            })
        );
        assert!(!keys.contains(&Algorithm::Rsa { hash: None }));
        assert!(keys.contains(&Algorithm::Ed25519));
    }

    #[test]
    fn lists_of_the_user_are_followed_as_far_as_skep_supports_them() {
        let list = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
        let mut target = target();
        target.ssh.key_exchanges = list(&[
            "sntrup761x25519-sha512",
            "diffie-hellman-group14-sha256",
            "curve25519-sha256",
        ]);
        target.ssh.ciphers = list(&["chacha20-poly1305@openssh.com", "aes256-ctr"]);
        target.ssh.macs = list(&["umac-64@openssh.com", "hmac-sha2-256"]);
        target.ssh.host_key_algorithms =
            list(&["rsa-sha2-256", "ssh-ed25519-cert-v01@openssh.com"]);
        let chosen = preferred(&target, &[Algorithm::Ed25519], true).unwrap();
        let exchanges = [
            "diffie-hellman-group14-sha256",
            "curve25519-sha256",
            "ext-info-c",
            "kex-strict-c-v00@openssh.com",
        ];
        assert_eq!(names(&chosen.kex), exchanges);
        assert_eq!(
            names(&chosen.cipher),
            ["chacha20-poly1305@openssh.com", "aes256-ctr"]
        );
        assert_eq!(names(&chosen.mac), ["hmac-sha2-256"]);
        assert_eq!(
            *chosen.key,
            [Algorithm::Rsa {
                hash: Some(HashAlg::Sha256)
            }]
        );
        assert_eq!(*chosen.host_key_certificates, [Algorithm::Ed25519]);
        // Without the program `ssh`, the lists still contain signs.
        target.ssh.key_exchanges = list(&["-mlkem*", "*nistp*"]);
        target.ssh.ciphers = list(&["^aes128-ctr"]);
        target.ssh.macs = list(&["+umac-64@openssh.com"]);
        target.ssh.host_key_algorithms = list(&["-*-cert-v01@openssh.com", "ecdsa-*"]);
        let changed = preferred(&target, &[], true).unwrap();
        let exchanges = [
            "curve25519-sha256",
            "curve25519-sha256@libssh.org",
            "ext-info-c",
            "kex-strict-c-v00@openssh.com",
        ];
        assert_eq!(names(&changed.kex), exchanges);
        assert_eq!(
            names(&changed.cipher)[..2],
            ["aes128-ctr", "aes256-gcm@openssh.com"]
        );
        assert_eq!(changed.mac, Preferred::DEFAULT.mac);
        assert!(
            changed.host_key_certificates.is_empty() && changed.key.contains(&Algorithm::Ed25519)
        );
        assert!(
            !changed
                .key
                .iter()
                .any(|algorithm| matches!(algorithm, Algorithm::Ecdsa { .. }))
        );
        target.ssh.key_exchanges = list(&["+diffie-hellman-group14-sha256"]);
        let more = preferred(&target, &[], false).unwrap();
        assert_eq!(
            names(&more.kex)
                .iter()
                .filter(|name| name.starts_with("diffie"))
                .count(),
            1
        );
        target.ssh.macs = list(&["umac-64@openssh.com"]);
        target.ssh.ciphers = list(&["aes256-ctr"]);
        let error = preferred(&target, &[], false).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("MACs (the SSH configuration of web)"),
            "{error}"
        );
    }

    #[test]
    fn unknown_macs_leave_the_ciphers_that_need_none() {
        let mut target = target();
        target.ssh.macs = Some(vec!["umac-128-etm@openssh.com".into()]);
        let offered = preferred(&target, &[], false).unwrap();
        let offered = names(&offered.cipher);
        assert!(!offered.is_empty());
        assert!(
            offered.iter().all(|name| authenticates_by_itself(name)),
            "{offered:?}"
        );
        target.ssh.ciphers = Some(vec!["aes256-ctr".into()]);
        assert!(preferred(&target, &[], false).is_err());
    }
}
