//! Verdicts about presented keys, and the storing of new ones.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod any_text;

use std::os::unix::fs::PermissionsExt as _;

use russh::keys::{PrivateKey, key::safe_rng};

use super::*;

fn key(algorithm: Algorithm) -> PublicKey {
    PrivateKey::random(&mut safe_rng(), algorithm)
        .unwrap()
        .public_key()
        .clone()
}

fn ed25519() -> PublicKey {
    key(Algorithm::Ed25519)
}

fn ecdsa() -> PublicKey {
    key(Algorithm::Ecdsa {
        curve: russh::keys::EcdsaCurve::NistP256,
    })
}

fn line(prefix: &str, key: &PublicKey) -> String {
    format!("{prefix} {}\n", key.to_openssh().unwrap())
}

async fn verdict(
    text: &str,
    shown: &PublicKey,
    policy: HostKeyPolicy,
) -> Result<(), TransportError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known_hosts");
    std::fs::write(&path, text).unwrap();
    KnownHosts::load(&[path])
        .unwrap()
        .verify("docker01", 22, shown, policy, false)
        .await
        .map(|_| ())
}

#[tokio::test]
async fn any_of_several_keys_of_one_type_is_accepted() {
    let (first, second) = (ed25519(), ed25519());
    let text = line("docker01", &first) + &line("docker01", &second);
    verdict(&text, &second, HostKeyPolicy::Strict)
        .await
        .unwrap();
    verdict(&text, &first, HostKeyPolicy::Strict).await.unwrap();
}

#[tokio::test]
async fn a_changed_key_is_refused_with_both_fingerprints_and_the_place() {
    let (known, shown) = (ed25519(), ed25519());
    let text = format!("# comment\n\n{}", line("docker01", &known));
    let error = verdict(&text, &shown, HostKeyPolicy::AcceptNew)
        .await
        .unwrap_err();
    let TransportError::HostKeyChanged {
        known: said_known,
        place,
        shown: said_shown,
        ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(said_known, known.fingerprint(HashAlg::Sha256).to_string());
    assert_eq!(said_shown, shown.fingerprint(HashAlg::Sha256).to_string());
    assert!(place.ends_with("known_hosts:3"), "{place}");
}

#[tokio::test]
async fn known_under_another_type_is_changed_not_new() {
    let text = line("docker01", &ecdsa());
    let error = verdict(&text, &ed25519(), HostKeyPolicy::AcceptNew)
        .await
        .unwrap_err();
    assert!(
        matches!(error, TransportError::HostKeyChanged { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_revoked_key_is_refused_even_when_it_is_also_known() {
    let shown = ed25519();
    let text = line("docker01", &shown) + &line("@revoked *", &shown);
    let error = verdict(&text, &shown, HostKeyPolicy::AcceptNew)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, TransportError::HostKeyRevoked { place, .. } if place.ends_with(":2")),
        "{error}"
    );
}

#[tokio::test]
async fn an_authority_is_not_a_host_key() {
    let shown = ed25519();
    let error = verdict(
        &line("@cert-authority *", &shown),
        &shown,
        HostKeyPolicy::Strict,
    )
    .await
    .unwrap_err();
    assert!(
        matches!(error, TransportError::HostKeyUnknown { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn concurrent_runs_write_a_new_key_once_with_mode_0600() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/known_hosts");
    let shown = ed25519();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        // Each task loads the files itself, as separate runs do: only the lock and the second read
        // prevent a second line.
        let (known, shown) = (
            KnownHosts::load(std::slice::from_ref(&path)).unwrap(),
            shown.clone(),
        );
        tasks.spawn(async move {
            known
                .verify("Docker01", 2222, &shown, HostKeyPolicy::AcceptNew, false)
                .await
        });
    }
    for result in tasks.join_all().await {
        result.unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("[docker01]:2222 ssh-ed25519 "), "{text}");
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[tokio::test]
async fn a_new_line_is_not_joined_to_a_last_line_without_newline() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known_hosts");
    std::fs::write(&path, line("other", &ed25519()).trim_end()).unwrap();
    let known = KnownHosts::load(std::slice::from_ref(&path)).unwrap();
    known
        .verify("docker01", 22, &ed25519(), HostKeyPolicy::AcceptNew, false)
        .await
        .unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
    assert_eq!(
        known.key_types("docker01", 22),
        [Algorithm::Ed25519],
        "a learned key is known at once"
    );
}

#[test]
fn an_unreadable_file_is_an_error_and_a_missing_one_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    KnownHosts::load(&[folder.path().join("missing")]).unwrap();
    // A directory cannot be read as a file, not even by root.
    let error = KnownHosts::load(&[folder.path().to_path_buf()]).unwrap_err();
    assert!(
        matches!(error, TransportError::KnownHosts { .. }),
        "{error}"
    );
}

/// Returns the verdict about a key of a server at port 2222.
async fn verdict_at_2222(
    text: &str,
    shown: &PublicKey,
    policy: HostKeyPolicy,
) -> Result<(), TransportError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known_hosts");
    std::fs::write(&path, text).unwrap();
    let hosts = KnownHosts::load(&[path]).unwrap();
    let verified = hosts.verify("docker01", 2222, shown, policy, false).await;
    verified.map(|_| ())
}

#[tokio::test]
async fn a_key_of_the_name_without_its_port_is_known_at_another_port() {
    let (known, other) = (ed25519(), ed25519());
    let strict = HostKeyPolicy::Strict;
    let plain = line("docker01", &known);
    verdict_at_2222(&plain, &known, strict).await.unwrap();
    // Another key there is new, not changed: another service may listen at that port.
    assert!(matches!(
        verdict_at_2222(&plain, &other, strict).await,
        Err(TransportError::HostKeyUnknown { .. })
    ));
    verdict_at_2222(&plain, &other, HostKeyPolicy::AcceptNew)
        .await
        .unwrap();
    // A line for the port is stronger.
    let both = plain.clone() + &line("[docker01]:2222", &other);
    assert!(matches!(
        verdict_at_2222(&both, &known, strict).await,
        Err(TransportError::HostKeyChanged { .. })
    ));
    let revoked = format!("@revoked {plain}");
    assert!(matches!(
        verdict_at_2222(&revoked, &known, HostKeyPolicy::AcceptNew).await,
        Err(TransportError::HostKeyRevoked { .. })
    ));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known_hosts");
    std::fs::write(&path, format!("@cert-authority {plain}")).unwrap();
    let hosts = KnownHosts::load(&[path]).unwrap();
    assert!(hosts.has_authority("docker01", 2222));
    assert!(!hosts.has_authority("docker02", 2222));
}
