//! Certificates of users, from a file and from the agent, and of hosts, by a known authority.

use std::path::PathBuf;

use skep::inventory::{HostKeyPolicy, SshTarget};
use skep::transport::{KnownHosts, TransportError, connect_with};

use super::login::AgentProcess;
use super::reach;
use super::sshd::{Sshd, bare_options, keygen, must, public};

/// Starts a server that only accepts keys certified by its authority; returns it with the authority
/// and a certified key.
fn certifying() -> (Sshd, PathBuf, PathBuf) {
    let mut sshd = Sshd::prepare("", &["ed25519"]);
    let authority = keygen(sshd.folder.path(), "authority", &["-t", "ed25519"]);
    let config = std::fs::read_to_string(sshd.path("config")).unwrap();
    let line = format!("TrustedUserCAKeys {}.pub\n", authority.display());
    std::fs::write(sshd.path("config"), line + &config).unwrap();
    std::fs::write(sshd.path("authorized_keys"), "").unwrap();
    sshd.run();
    let key = sshd.path("client");
    sign(&authority, &["-I", "client", "-n", "root"], &key);
    (sshd, authority, key)
}

fn sign(authority: &std::path::Path, arguments: &[&str], key: &std::path::Path) {
    let public = format!("{}.pub", key.display());
    let mut all = vec!["-q", "-s", authority.to_str().unwrap()];
    all.extend_from_slice(arguments);
    all.push(&public);
    must("ssh-keygen", &all);
}

#[tokio::test(flavor = "multi_thread")]
async fn user_certificate_from_file_setting_or_agent() {
    let (sshd, _, key) = certifying();
    reach(&sshd.target()).await.unwrap();

    let beside = PathBuf::from(format!("{}-cert.pub", key.display()));
    let elsewhere = sshd.path("certificate.pub");
    std::fs::rename(&beside, &elsewhere).unwrap();
    let mut target = sshd.target();
    assert!(matches!(
        reach(&target).await.err().unwrap(),
        TransportError::Authentication { .. }
    ));
    target.ssh.certificate_files = vec![elsewhere.clone()];
    reach(&target).await.unwrap();

    std::fs::rename(&elsewhere, &beside).unwrap();
    let agent = AgentProcess::start(sshd.folder.path());
    agent.add(&key);
    std::fs::rename(&beside, &elsewhere).unwrap();
    let options = skep::transport::ConnectOptions {
        agent_socket: Some(agent.socket.clone()),
        ..bare_options()
    };
    let target = SshTarget {
        agent: true,
        identity_files: Vec::new(),
        ..sshd.target()
    };
    connect_with(
        &target,
        &KnownHosts::load(&target.known_hosts).unwrap(),
        &options,
    )
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rsa_user_certificate_from_file_alone() {
    // As installed, and with a server that accepts SHA-512 only.
    for only in [
        "",
        "PubkeyAcceptedAlgorithms rsa-sha2-512-cert-v01@openssh.com\n",
    ] {
        let (mut sshd, authority, _) = certifying();
        sshd.stop();
        let config = std::fs::read_to_string(sshd.path("config")).unwrap();
        let only = only.to_owned();
        std::fs::write(sshd.path("config"), only + &config).unwrap();
        std::fs::remove_file(sshd.path("log")).unwrap();
        sshd.run();
        let key = keygen(sshd.folder.path(), "rsa", &["-t", "rsa", "-b", "2048"]);
        sign(&authority, &["-I", "rsa", "-n", "root"], &key);
        let target = SshTarget {
            identity_files: vec![key.clone()],
            ..sshd.target()
        };
        let ours = reach(&target).await.map(drop);
        assert!(ssh(&target).status.success(), "ssh: {}", sshd.log());
        assert_eq!(ours, Ok(()), "{}", sshd.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn host_certificate_of_known_authority() {
    let mut sshd = Sshd::prepare("", &["ed25519"]);
    let authority = keygen(sshd.folder.path(), "authority", &["-t", "ed25519"]);
    let key = sshd.path("host_ed25519");
    let config = std::fs::read_to_string(sshd.path("config")).unwrap();
    let line = format!("HostCertificate {}-cert.pub\n", key.display());
    std::fs::write(sshd.path("config"), line + &config).unwrap();
    let mut target = sshd.target();
    target.host_key_policy = HostKeyPolicy::Strict;
    let address = sshd.address.clone();

    let good: &[&str] = &["-h", "-I", "host", "-n", &address];
    let cases: [(&str, &[&str], &str, bool); 7] = [
        ("certified", good, "@cert-authority * AUTHORITY", true),
        (
            "no authority vouches",
            good,
            "@cert-authority other.example.org AUTHORITY",
            false,
        ),
        (
            "for another host",
            &["-h", "-I", "host", "-n", "other"],
            "@cert-authority * AUTHORITY",
            false,
        ),
        (
            "for a pattern",
            &["-h", "-I", "host", "-n", "127.*"],
            "@cert-authority * AUTHORITY",
            false,
        ),
        (
            "for no host",
            &["-h", "-I", "host"],
            "@cert-authority * AUTHORITY",
            true,
        ),
        (
            "too old",
            &["-h", "-I", "h", "-n", &address, "-V", "20200101:20210101"],
            "@cert-authority * AUTHORITY",
            false,
        ),
        (
            "revoked",
            good,
            "@cert-authority * AUTHORITY\n@revoked * AUTHORITY",
            false,
        ),
    ];
    for (name, arguments, lines, accepted) in cases {
        sign(&authority, arguments, &key);
        std::fs::write(
            &target.known_hosts[0],
            lines.replace("AUTHORITY", &public(&authority)) + "\n",
        )
        .unwrap();
        sshd.run();
        let ours = reach(&target).await.map(drop);
        let theirs = ssh(&target);
        sshd.stop();
        std::fs::remove_file(sshd.path("log")).unwrap();
        assert_eq!(ours.is_ok(), accepted, "{name}: {ours:?}");
        assert_eq!(
            theirs.status.success(),
            accepted,
            "ssh, {name}: {}",
            String::from_utf8_lossy(&theirs.stderr)
        );
    }
}

/// Runs `ssh` with the same target.
fn ssh(target: &SshTarget) -> std::process::Output {
    std::process::Command::new("ssh")
        .args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            strictness(target),
            "-o",
        ])
        .arg(format!(
            "UserKnownHostsFile={}",
            target.known_hosts[0].display()
        ))
        .args([
            "-i",
            target.identity_files[0].to_str().unwrap(),
            "-p",
            &target.port.to_string(),
        ])
        .args([&format!("root@{}", target.address), "true"])
        .output()
        .unwrap()
}

fn strictness(target: &SshTarget) -> &'static str {
    if target.host_key_policy.accepts_new() {
        "StrictHostKeyChecking=accept-new"
    } else {
        "StrictHostKeyChecking=yes"
    }
}
