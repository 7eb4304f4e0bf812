//! Logging in: each type of key, the agent, and what is said when nothing fits.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use skep::transport::{Connection, Exec, KnownHosts, TransportError, connect_with};

use super::reach;
use super::sshd::{Sshd, bare_options, keygen, must, public};

/// A running agent; ends with the value.
pub struct Agent {
    process: Child,
    pub socket: std::path::PathBuf,
}

impl Agent {
    pub fn start(folder: &std::path::Path) -> Self {
        let socket = folder.join("agent");
        let process = Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        while !socket.exists() {
            assert!(Instant::now() < deadline, "ssh-agent does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { process, socket }
    }

    pub fn add(&self, key: &std::path::Path) {
        let output = Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", &self.socket).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_of_key_and_of_host_key() {
    for host_key in ["ed25519", "ecdsa", "rsa"] {
        let mut sshd = Sshd::prepare("", &[host_key]);
        sshd.run();
        let kinds: [(&str, &[&str]); 6] = [
            ("ed25519", &["-t", "ed25519"]),
            ("p256", &["-t", "ecdsa", "-b", "256"]),
            ("p384", &["-t", "ecdsa", "-b", "384"]),
            ("p521", &["-t", "ecdsa", "-b", "521"]),
            ("rsa", &["-t", "rsa", "-b", "2048"]),
            ("rsa-pem", &["-t", "rsa", "-b", "2048", "-m", "PEM"]),
        ];
        // Every client key against one host key; the others are there for the host's sake.
        let kinds = if host_key == "ed25519" { &kinds[..] } else { &kinds[..1] };
        for (name, arguments) in kinds {
            let key = keygen(sshd.folder.path(), name, arguments);
            sshd.authorize(&public(&key));
            let mut target = sshd.target();
            target.identity_files = vec![key];
            let connection = reach(&target).await.unwrap_or_else(|error| panic!("{name} at {host_key}: {error}"));
            assert_eq!(connection.exec(Exec::root("echo in")).await.unwrap().stdout, b"in\n");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_logs_in_also_for_an_encrypted_file() {
    let sshd = Sshd::start("");
    let folder = sshd.folder.path();
    let agent = Agent::start(folder);
    agent.add(&sshd.path("client"));
    let rsa = keygen(folder, "rsa", &["-t", "rsa", "-b", "2048"]);
    let options = skep::transport::ConnectOptions { agent_socket: Some(agent.socket.clone()), ..bare_options() };
    let mut target = sshd.target();
    let known = KnownHosts::load(&target.known_hosts).unwrap();

    target.agent = true;
    target.identity_files = Vec::new();
    connect_with(&target, &known, &options).await.unwrap();

    // A configured file is offered first, then the agent's keys.
    let other = keygen(folder, "other", &["-t", "ed25519"]);
    target.identity_files = vec![other.clone()];
    connect_with(&target, &known, &options).await.unwrap();
    let (refused, taken) = (super::sshd::fingerprint(&other), super::sshd::fingerprint(&sshd.path("client")));
    let log = sshd.log();
    assert!(log.contains("Failed publickey for root from 127.0.0.1 port"), "{log}");
    assert!(log.rfind(&refused).unwrap() < log.rfind(&taken).unwrap(), "{log}");

    // The file is encrypted and the agent has its key: an RSA one, which needs the right hash.
    agent.add(&rsa);
    sshd.authorize(&public(&rsa));
    must("ssh-keygen", &["-q", "-p", "-P", "", "-N", "secret", "-f", rsa.to_str().unwrap()]);
    target.identity_files = vec![rsa.clone()];
    connect_with(&target, &known, &options).await.unwrap();

    // Switched off, it is not asked.
    target.agent = false;
    let error = connect_with(&target, &known, &options).await.err().unwrap();
    assert!(
        matches!(&error, TransportError::Key { path, why } if *path == rsa && why.contains("encrypted")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_cannot_be_used_are_named() {
    let sshd = Sshd::start("");
    let mut target = sshd.target();
    let cases = [("missing", None), ("garbage", Some("not a key\n")), ("empty", Some(""))];
    for (name, text) in cases {
        let path = sshd.path(name);
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        target.identity_files = vec![path.clone()];
        let error = reach(&target).await.err().unwrap();
        assert!(matches!(&error, TransportError::Key { path: named, .. } if *named == path), "{name}: {error}");
    }
    // One that cannot be used does not hide one that can.
    target.identity_files.push(sshd.path("client"));
    reach(&target).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_keys_are_listed_and_five_are_the_most() {
    let sshd = Sshd::start("");
    let mut target = sshd.target();
    let names = ["a", "b", "c", "d", "e", "f"];
    target.identity_files = names.iter().map(|name| keygen(sshd.folder.path(), name, &["-t", "ed25519"])).collect();
    let error = reach(&target).await.err().unwrap();
    let TransportError::Authentication { user, tried, .. } = &error else { panic!("{error}") };
    assert_eq!(user, "root");
    assert_eq!(tried.split(", ").count(), 5, "{tried}");
    assert!(!error.is_retryable());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_counts_keys_more_strictly_is_no_lost_connection() {
    let sshd = Sshd::start("MaxAuthTries 2");
    let mut target = sshd.target();
    let names = ["a", "b", "c", "d"];
    target.identity_files = names.iter().map(|name| keygen(sshd.folder.path(), name, &["-t", "ed25519"])).collect();
    let error = reach(&target).await.err().unwrap();
    assert!(matches!(error, TransportError::Authentication { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_dropped_during_login_is_lost_not_refused() {
    // sshd runs the program for each key that is offered; meanwhile its own process is killed.
    let sshd =
        Sshd::start("AuthorizedKeysCommand /bin/sleep 5\nAuthorizedKeysCommandUser root\nPubkeyAuthOptions none");
    std::fs::write(sshd.path("authorized_keys"), "").unwrap();
    let target = sshd.target();
    let attempt = tokio::spawn(async move { reach(&target).await.err() });
    tokio::time::sleep(Duration::from_millis(1500)).await;
    sshd.kill_sessions();
    let error = attempt.await.unwrap().unwrap();
    assert!(matches!(error, TransportError::Lost(_)), "{error}");
    assert!(error.is_retryable());
}
