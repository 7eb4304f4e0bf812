//! Host keys of real servers.

use skep::inventory::HostKeyPolicy;
use skep::transport::TransportError;

use super::reach;
use super::sshd::{Sshd, fingerprint, keygen, public};

/// Returns a line of known hosts for a server.
fn line(sshd: &Sshd, key: &std::path::Path) -> String {
    format!("[{}]:{} {}\n", sshd.address, sshd.port, public(key))
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_host_key_under_both_policies() {
    let sshd = Sshd::start("");
    let mut target = sshd.target();
    target.host_key_policy = HostKeyPolicy::Strict;
    let error = reach(&target).await.err().unwrap();
    let TransportError::HostKeyUnknown {
        fingerprint: said, ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(*said, fingerprint(&sshd.path("host_ed25519")));
    assert!(!sshd.path("known_hosts").exists(), "strict writes nothing");

    target.host_key_policy = HostKeyPolicy::AcceptNew;
    reach(&target).await.unwrap();
    reach(&target).await.unwrap();
    let text = std::fs::read_to_string(sshd.path("known_hosts")).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");

    target.host_key_policy = HostKeyPolicy::Strict;
    reach(&target).await.unwrap();
    // OpenSSH reads the lines that skep wrote.
    let name = format!("[{}]:{}", sshd.address, sshd.port);
    super::sshd::must(
        "ssh-keygen",
        &[
            "-F",
            &name,
            "-f",
            sshd.path("known_hosts").to_str().unwrap(),
        ],
    );
    // skep reads the names that OpenSSH hashed.
    super::sshd::must(
        "ssh-keygen",
        &["-q", "-H", "-f", sshd.path("known_hosts").to_str().unwrap()],
    );
    assert!(
        !std::fs::read_to_string(sshd.path("known_hosts"))
            .unwrap()
            .contains(&sshd.address)
    );
    reach(&target).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn new_host_name_is_hashed_on_request() {
    let sshd = Sshd::start("");
    let mut target = sshd.target();
    target.ssh.hash_known_hosts = true;
    reach(&target).await.unwrap();
    let text = std::fs::read_to_string(sshd.path("known_hosts")).unwrap();
    assert!(
        text.starts_with("|1|") && !text.contains(&sshd.address),
        "{text}"
    );
    let name = format!("[{}]:{}", sshd.address, sshd.port);
    super::sshd::must(
        "ssh-keygen",
        &[
            "-F",
            &name,
            "-f",
            sshd.path("known_hosts").to_str().unwrap(),
        ],
    );
    target.host_key_policy = HostKeyPolicy::Strict;
    reach(&target).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_host_key_is_refused_with_both_fingerprints() {
    let sshd = Sshd::start("");
    let old = keygen(sshd.folder.path(), "old", &["-t", "ed25519"]);
    std::fs::write(
        sshd.path("known_hosts"),
        format!("# first line\n{}", line(&sshd, &old)),
    )
    .unwrap();
    let error = reach(&sshd.target()).await.err().unwrap();
    let TransportError::HostKeyChanged {
        known,
        shown,
        place,
        ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(*known, fingerprint(&old));
    assert_eq!(*shown, fingerprint(&sshd.path("host_ed25519")));
    assert_eq!(*place, format!("{}:2", sshd.path("known_hosts").display()));
    assert!(!error.is_retryable());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_refused() {
    let sshd = Sshd::start("");
    let key = sshd.path("host_ed25519");
    std::fs::write(
        sshd.path("known_hosts"),
        format!("{}@revoked * {}\n", line(&sshd, &key), public(&key)),
    )
    .unwrap();
    let error = reach(&sshd.target()).await.err().unwrap();
    assert!(
        matches!(error, TransportError::HostKeyRevoked { .. }),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn known_host_key_type_is_requested() {
    let mut sshd = Sshd::prepare("", &["ed25519", "ecdsa", "rsa"]);
    sshd.run();
    for kind in ["rsa", "ecdsa", "ed25519"] {
        std::fs::write(
            sshd.path("known_hosts"),
            line(&sshd, &sshd.path(&format!("host_{kind}"))),
        )
        .unwrap();
        reach(&sshd.target())
            .await
            .unwrap_or_else(|error| panic!("{kind}: {error}"));
    }
    // The file knows the host by a type that the server does not have, so another server may be
    // answering.
    let other = keygen(sshd.folder.path(), "p521", &["-t", "ecdsa", "-b", "521"]);
    std::fs::write(sshd.path("known_hosts"), line(&sshd, &other)).unwrap();
    let error = reach(&sshd.target()).await.err().unwrap();
    assert!(
        matches!(error, TransportError::HostKeyChanged { .. }),
        "{error}"
    );
}
