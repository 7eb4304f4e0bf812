//! Logins: each type of key, the agent, and the errors if no method succeeds.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use skep::inventory::{IdentityAgent, SshTarget};
use skep::transport::{
    ConnectOptions, Connection as _, Exec, KnownHosts, TransportError, connect_with,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use super::reach;
use super::sshd::{Sshd, TestAccount, bare_options, keygen, must, public};

/// A running agent, which ends with the value.
pub struct AgentProcess {
    process: Child,
    pub socket: std::path::PathBuf,
}

impl AgentProcess {
    pub fn start(folder: &std::path::Path) -> Self {
        let socket = folder.join("agent");
        let process = Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        while !socket.exists() {
            assert!(Instant::now() < deadline, "ssh-agent does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { process, socket }
    }

    pub fn add(&self, key: &std::path::Path) {
        let output = Command::new("ssh-add")
            .arg("-q")
            .arg(key)
            .env("SSH_AUTH_SOCK", &self.socket)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn login_with_every_client_and_host_key_type() {
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
        // Every client key is tried against one host key; the other host keys are tried with one
        // client key.
        let kinds = if host_key == "ed25519" {
            &kinds[..]
        } else {
            &kinds[..1]
        };
        for (name, arguments) in kinds {
            let key = keygen(sshd.folder.path(), name, arguments);
            sshd.authorize(&public(&key));
            let mut target = sshd.target();
            target.identity_files = vec![key];
            let connection = reach(&target)
                .await
                .unwrap_or_else(|error| panic!("{name} at {host_key}: {error}"));
            assert_eq!(
                connection.exec(Exec::root("echo in")).await.unwrap().stdout,
                b"in\n"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_logs_in_for_encrypted_key_file() {
    let sshd = Sshd::start("");
    let folder = sshd.folder.path();
    let agent = AgentProcess::start(folder);
    agent.add(&sshd.path("client"));
    let rsa = keygen(folder, "rsa", &["-t", "rsa", "-b", "2048"]);
    let options = ConnectOptions {
        agent_socket: Some(agent.socket.clone()),
        ..bare_options()
    };
    let mut target = sshd.target();
    let known = KnownHosts::load(&target.known_hosts).unwrap();

    target.agent = true;
    target.identity_files = Vec::new();
    connect_with(&target, &known, &options).await.unwrap();

    // A configured file is offered first, then the agent's keys.
    let other = keygen(folder, "other", &["-t", "ed25519"]);
    target.identity_files = vec![other.clone()];
    connect_with(&target, &known, &options).await.unwrap();
    let (refused, taken) = (
        super::sshd::fingerprint(&other),
        super::sshd::fingerprint(&sshd.path("client")),
    );
    let log = sshd.log();
    assert!(
        log.contains("Failed publickey for root from 127.0.0.1 port"),
        "{log}"
    );
    assert!(
        log.rfind(&refused).unwrap() < log.rfind(&taken).unwrap(),
        "{log}"
    );

    // With `IdentitiesOnly`, other keys of the agent are not offered.
    target.ssh.identities_only = true;
    let error = connect_with(&target, &known, &options).await.err().unwrap();
    assert!(
        matches!(&error, TransportError::Authentication { tried, .. } if tried.split(", ").count() == 1),
        "{error}"
    );
    target.ssh.identities_only = false;

    // The file is encrypted and the agent has its key, an RSA key, which needs the right hash.
    agent.add(&rsa);
    sshd.authorize(&public(&rsa));
    must(
        "ssh-keygen",
        &[
            "-q",
            "-p",
            "-P",
            "",
            "-N",
            "secret",
            "-f",
            rsa.to_str().unwrap(),
        ],
    );
    target.identity_files = vec![rsa.clone()];
    connect_with(&target, &known, &options).await.unwrap();

    // With the agent switched off, skep does not query it.
    target.agent = false;
    let error = connect_with(&target, &known, &options).await.err().unwrap();
    assert!(
        matches!(&error, TransportError::Key { path, why, .. } if *path == rsa && why.contains("encrypted")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_keys_are_named() {
    let sshd = Sshd::start("");
    let mut target = sshd.target();
    let cases = [
        ("missing", None),
        ("garbage", Some("not a key\n")),
        ("empty", Some("")),
    ];
    for (name, text) in cases {
        let path = sshd.path(name);
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        target.identity_files = vec![path.clone()];
        let error = reach(&target).await.err().unwrap();
        assert!(
            matches!(&error, TransportError::Key { path: named, .. } if *named == path),
            "{name}: {error}"
        );
    }
    // An unusable key does not hide a usable one.
    target.identity_files.push(sshd.path("client"));
    reach(&target).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_keys_are_listed_and_at_most_five_offered() {
    let sshd = Sshd::start("");
    let mut target = sshd.target();
    let names = ["a", "b", "c", "d", "e", "f"];
    target.identity_files = names
        .iter()
        .map(|name| keygen(sshd.folder.path(), name, &["-t", "ed25519"]))
        .collect();
    let error = reach(&target).await.err().unwrap();
    let TransportError::Authentication { user, tried, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(user, "root");
    assert_eq!(tried.split(", ").count(), 5, "{tried}");
    assert!(!error.is_retryable());
}

#[tokio::test(flavor = "multi_thread")]
async fn low_max_auth_tries_is_an_authentication_error() {
    let sshd = Sshd::start("MaxAuthTries 2");
    let mut target = sshd.target();
    let names = ["a", "b", "c", "d"];
    target.identity_files = names
        .iter()
        .map(|name| keygen(sshd.folder.path(), name, &["-t", "ed25519"]))
        .collect();
    let error = reach(&target).await.err().unwrap();
    assert!(
        matches!(error, TransportError::Authentication { .. }),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_dropped_during_login_is_lost_not_refused() {
    // sshd runs the program for each offered key; meanwhile the test kills its process.
    let sshd = Sshd::start(
        "AuthorizedKeysCommand /bin/sleep 5\nAuthorizedKeysCommandUser root\nPubkeyAuthOptions none",
    );
    std::fs::write(sshd.path("authorized_keys"), "").unwrap();
    let target = sshd.target();
    let attempt = tokio::spawn(async move { reach(&target).await.err() });
    tokio::time::sleep(Duration::from_millis(1500)).await;
    sshd.kill_sessions();
    let error = attempt.await.unwrap().unwrap();
    assert!(matches!(error, TransportError::Lost(_)), "{error}");
    assert!(error.is_retryable());
}

/// Starts a proxy for a real agent: it lists the agent's keys, and never answers a request to sign.
fn unwilling(agent: &AgentProcess, socket: &std::path::Path) {
    let listener = UnixListener::bind(socket).unwrap();
    let real = agent.socket.clone();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let real = real.clone();
            tokio::spawn(async move {
                let mut far = UnixStream::connect(real).await.unwrap();
                let mut buffer = vec![0; 65536];
                while let Ok(length @ 1..) = near.read(&mut buffer).await {
                    // The length, then the number of the message: 13 is a request to sign.
                    if buffer[4] == 13 {
                        std::future::pending::<()>().await;
                    }
                    far.write_all(&buffer[..length]).await.unwrap();
                    let length = far.read(&mut buffer).await.unwrap();
                    near.write_all(&buffer[..length]).await.unwrap();
                }
            });
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_agent_is_named_and_leaves_no_connection() {
    let sshd = Sshd::start("");
    let agent = AgentProcess::start(sshd.folder.path());
    agent.add(&sshd.path("client"));
    let signs_never = sshd.path("unwilling");
    unwilling(&agent, &signs_never);
    // An agent that does not even list its keys, because it accepts no connection.
    let mute = sshd.path("mute");
    let _listener = std::os::unix::net::UnixListener::bind(&mute).unwrap();
    for (socket, words) in [
        (&signs_never, "to sign with agent: client"),
        (&mute, "to list its keys"),
    ] {
        let options = ConnectOptions {
            agent_socket: Some(socket.clone()),
            ..bare_options()
        };
        let mut target = SshTarget {
            agent: true,
            identity_files: Vec::new(),
            ..sshd.target()
        };
        target.connect_timeout = Duration::from_secs(2);
        let start = Instant::now();
        let known = KnownHosts::load(&target.known_hosts).unwrap();
        let error = connect_with(&target, &known, &options).await.err().unwrap();
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{:?}",
            start.elapsed()
        );
        let said = error.to_string();
        assert!(
            said.contains(words) && said.contains(&socket.display().to_string()),
            "{said}"
        );
        assert!(
            said.contains("(SSH_AUTH_SOCK)") && !error.is_retryable(),
            "{said}"
        );
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while sshd.log().matches("Connection closed by").count() < 2 {
        assert!(
            Instant::now() < deadline,
            "the connection stays open: {}",
            sshd.log()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_agent_is_named_with_its_setting() {
    let sshd = Sshd::start("");
    let gone = sshd.path("gone");
    let options = ConnectOptions {
        agent_socket: Some(gone.clone()),
        ..bare_options()
    };
    let mut target = SshTarget {
        agent: true,
        identity_files: Vec::new(),
        ..sshd.target()
    };
    for source in ["SSH_AUTH_SOCK", "IdentityAgent of the SSH configuration"] {
        let known = KnownHosts::load(&target.known_hosts).unwrap();
        let error = connect_with(&target, &known, &options).await.err().unwrap();
        let said = error.to_string();
        assert!(
            said.contains(&format!(
                "the agent at {} ({source}) does not answer",
                gone.display()
            )),
            "{said}"
        );
        assert!(
            error.hint().contains("start that agent"),
            "{}",
            error.hint()
        );
        target.ssh.identity_agent = IdentityAgent::Socket(gone.clone());
    }
    // It is no hindrance where a key will do.
    target.identity_files = vec![sshd.path("client")];
    reach(&target).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_account_is_refused_without_pam() {
    let account = TestAccount::new("/bin/dash");
    for (password, pam, reached) in [("!", "no", false), ("!", "yes", true), ("*", "no", true)] {
        must("usermod", &["-p", password, &account.name]);
        // The later `UsePAM no` of every test's server does not count: the first value does.
        let sshd = Sshd::start(&format!("UsePAM {pam}"));
        let target = SshTarget {
            user: account.name.clone(),
            ..sshd.target()
        };
        let result = reach(&target).await.map(drop);
        assert_eq!(
            result.is_ok(),
            reached,
            "{password}, UsePAM {pam}: {result:?}"
        );
        if let Err(error) = result {
            assert!(
                matches!(&error, TransportError::Authentication { tried, .. } if tried.contains("client")),
                "{error}"
            );
            assert!(error.hint().contains("UsePAM no"), "{}", error.hint());
            assert!(sshd.log().contains("account is locked"), "{}", sshd.log());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_key_file_error_names_setting_source_and_hint() {
    let sshd = Sshd::start("");
    let (open, locked, folder) = (sshd.path("open"), sshd.path("locked"), sshd.path("folder"));
    std::fs::copy(sshd.path("client"), &open).unwrap();
    must("chmod", &["640", open.to_str().unwrap()]);
    std::fs::copy(sshd.path("client"), &locked).unwrap();
    must(
        "ssh-keygen",
        &[
            "-q",
            "-p",
            "-P",
            "",
            "-N",
            "secret",
            "-f",
            locked.to_str().unwrap(),
        ],
    );
    std::fs::create_dir(&folder).unwrap();
    let cases = [
        (open, "mode 0640"),
        (locked, "there is no terminal to ask for its passphrase"),
        (folder, "Is a directory"),
        (sshd.path("missing"), "there is no such file"),
    ];
    for (path, words) in cases {
        for (origin, setting) in [
            (None, "identity_file of the inventory"),
            (Some(()), "IdentityFile of the SSH configuration"),
        ] {
            let mut target = SshTarget {
                identity_files: vec![path.clone()],
                ..sshd.target()
            };
            target.origins.extend(
                origin.map(|()| ("identity_file", skep::inventory::SettingOrigin::SshConfig)),
            );
            let error = reach(&target).await.err().unwrap();
            let said = error.to_string();
            assert!(
                said.contains(&format!("{} ({setting}): ", path.display())) && said.contains(words),
                "{said}"
            );
            assert!(
                error.hint().contains("readable private key"),
                "{}",
                error.hint()
            );
        }
    }
}
