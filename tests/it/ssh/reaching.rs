//! Hosts that are slow, busy, or not reachable yet.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use skep::inventory::SshTarget;
use skep::transport::{Connection as _, Exec, SshNetwork, TransportError};
use tokio::io::AsyncReadExt as _;

use super::reach;
use super::sshd::{Sshd, bare_options};
use crate::proxy::{FaultProxy, LinkFault};

#[tokio::test(flavor = "multi_thread")]
async fn max_startups_drop_is_retried() {
    let sshd = Sshd::start("MaxStartups 3:100:3");
    reach(&sshd.target()).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let target = sshd.target();
        tasks.spawn(async move { reach(&target).await.map(drop) });
    }
    for result in tasks.join_all().await {
        result.unwrap();
    }
    assert!(
        sshd.log().contains("MaxStartups"),
        "the server dropped some: {}",
        sshd.log()
    );
}

/// Connects to hosts that share a route into their servers, all at once.
async fn all_at_once(network: SshNetwork, target: SshTarget, count: usize) {
    let network = Arc::new(network);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..count {
        let (network, target) = (network.clone(), target.clone());
        tasks.spawn(async move { network.connect(&target).await.map(drop) });
    }
    for result in tasks.join_all().await {
        result.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn max_startups_limit_is_learned() {
    let sshd = Sshd::start("MaxStartups 2:100:2");
    let link = FaultProxy::start(&sshd.address, sshd.port, LinkFault::None).await;
    let target = SshTarget {
        address: "127.0.0.1".into(),
        port: link.port,
        ..sshd.target()
    };
    let count = 40;
    all_at_once(SshNetwork::new(bare_options(), []), target, count).await;
    assert!(
        sshd.log().contains("MaxStartups"),
        "the server dropped some: {}",
        sshd.log()
    );
    // At first, all connect at once; after that, most succeed with their next attempt.
    let knocks = link.connections();
    assert!(
        knocks < 3 * count as u64,
        "{knocks} connections for {count} logins"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn max_startups_drop_behind_proxy_command_is_retried() {
    let (bastion, last) = (
        Sshd::start("MaxStartups 1:100:1"),
        Sshd::start("MaxStartups 100"),
    );
    let mut target = last.target();
    target.ssh.proxy = skep::inventory::SshProxy::Command(format!(
        "ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -i {} -p {} root@{} -W %h:%p",
        bastion.path("client").display(),
        bastion.port,
        bastion.address
    ));
    all_at_once(SshNetwork::new(bare_options(), []), target, 12).await;
    assert!(
        bastion.log().contains("MaxStartups"),
        "the bastion dropped some: {}",
        bastion.log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_wait_for_unresolved_name() {
    let sshd = Sshd::start("");
    let inventory = sshd.path("inventory.toml");
    let text = format!(
        "[defaults]\nknown_hosts = 'known_hosts'\nagent = false\nuser = 'root'\nssh_config = false\nhost_keys = 'accept-new'\n\
         connect_wait = '2min'\n[hosts.web]\naddress = 'late.skep.test'\nport = {}\nidentity_file = 'client'\n",
        sshd.port
    );
    std::fs::write(&inventory, text).unwrap();
    std::fs::write(sshd.path("nsswitch.conf"), "hosts: files\n").unwrap();
    std::fs::write(sshd.path("hosts"), "127.0.0.1 localhost\n").unwrap();
    // A resolver of its own: the names are in a file that this test writes.
    let apart = "mount --bind \"$1/hosts\" /etc/hosts && mount --bind \"$1/nsswitch.conf\" /etc/nsswitch.conf && shift && exec \"$@\"";
    let mut skep = Command::new("unshare");
    skep.args(["--mount", "sh", "-c", apart, "sh"])
        .arg(sshd.folder.path())
        .arg(env!("CARGO_BIN_EXE_skep"));
    skep.args(["ping", "-vv", "-i"])
        .arg(&inventory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let log = std::fs::File::create(sshd.path("said")).unwrap();
    let mut process = skep.env("SKEP_LOG", "debug").stderr(log).spawn().unwrap();
    let said = || std::fs::read_to_string(sshd.path("said")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !said().contains("cannot resolve late.skep.test") {
        assert!(
            Instant::now() < deadline && process.try_wait().unwrap().is_none(),
            "skep gave up: {}",
            said()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    std::fs::write(
        sshd.path("hosts"),
        format!("127.0.0.1 localhost\n{} late.skep.test\n", sshd.address),
    )
    .unwrap();
    let output = tokio::task::block_in_place(|| process.wait_with_output().unwrap());
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        said()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_server_times_out_and_frees_its_socket() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sshd = Sshd::prepare("", &["ed25519"]);
    let mut target = sshd.target();
    (target.address, target.port) = ("127.0.0.1".into(), listener.local_addr().unwrap().port());
    target.connect_timeout = Duration::from_millis(600);
    let start = Instant::now();
    let attempt = tokio::spawn(async move { reach(&target).await.err() });
    let (mut socket, _) = listener.accept().await.unwrap();
    // A banner without a key exchange: from here on, russh has a task of its own.
    socket.writable().await.unwrap();
    socket.try_write(b"SSH-2.0-Silent\r\n").unwrap();
    let error = attempt.await.unwrap().unwrap();
    assert!(
        matches!(
            error,
            TransportError::Connect {
                retryable: true,
                ..
            }
        ),
        "{error}"
    );
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
    let mut rest = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(2), socket.read_to_end(&mut rest)).await;
    assert!(end.is_ok(), "the socket of the attempt stays open");
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_wait_for_booting_host() {
    let mut sshd = Sshd::prepare("", &["ed25519"]);
    let mut target = sshd.target();
    let start = Instant::now();
    let error = reach(&target).await.err().unwrap();
    assert!(
        matches!(
            error,
            TransportError::Connect {
                retryable: true,
                ..
            }
        ),
        "{error}"
    );
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "one attempt by default"
    );

    (target.connect_wait, target.connect_timeout) = (Duration::from_secs(20), Duration::MAX);
    let attempt = tokio::spawn(async move { reach(&target).await });
    tokio::time::sleep(Duration::from_millis(800)).await;
    tokio::task::block_in_place(|| sshd.run());
    let connection = attempt.await.unwrap().unwrap();
    assert!(connection.exec(Exec::root("true")).await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_wait_ends_and_permanent_errors_are_not_retried() {
    let sshd = Sshd::prepare("", &["ed25519"]);
    let mut target = sshd.target();
    target.connect_wait = Duration::from_secs(1);
    let start = Instant::now();
    assert!(reach(&target).await.is_err());
    assert!(
        (Duration::from_secs(1)..Duration::from_secs(5)).contains(&start.elapsed()),
        "{:?}",
        start.elapsed()
    );

    // A refused key stays refused.
    let sshd = Sshd::start("");
    let mut target = sshd.target();
    target.connect_wait = Duration::from_secs(30);
    std::fs::write(sshd.path("authorized_keys"), "").unwrap();
    let start = Instant::now();
    assert!(matches!(
        reach(&target).await,
        Err(TransportError::Authentication { .. })
    ));
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nologin_refusal_during_boot_is_retried() {
    // systemd's pam_nologin prints this before the refusal.
    let sshd = Sshd::prepare("", &["ed25519"]);
    std::fs::write(
        sshd.path("banner"),
        "System is booting up. Unprivileged users are not permitted to log in yet.\n",
    )
    .unwrap();
    let config = std::fs::read_to_string(sshd.path("config")).unwrap();
    std::fs::write(
        sshd.path("config"),
        format!("Banner {}\n{config}", sshd.path("banner").display()),
    )
    .unwrap();
    let key = std::fs::read_to_string(sshd.path("authorized_keys")).unwrap();
    std::fs::write(sshd.path("authorized_keys"), "").unwrap();
    let mut sshd = sshd;
    sshd.run();
    let mut target = sshd.target();
    let error = reach(&target).await.err().unwrap();
    assert!(
        matches!(&error, TransportError::Connect { retryable: true, why, .. } if why.contains("booting")),
        "{error}"
    );
    target.connect_wait = Duration::from_secs(20);
    let attempt = tokio::spawn(async move { reach(&target).await.map(drop) });
    tokio::time::sleep(Duration::from_millis(500)).await;
    std::fs::write(sshd.path("authorized_keys"), key).unwrap();
    attempt.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn other_server_and_unresolvable_name_are_errors() {
    let sshd = Sshd::prepare("", &["ed25519"]);
    let mut target = sshd.target();
    target.address = "no-such-host.invalid".into();
    let error = reach(&target).await.err().unwrap();
    assert!(matches!(error, TransportError::Resolve { .. }), "{error}");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    (target.address, target.port) = ("127.0.0.1".into(), listener.local_addr().unwrap().port());
    target.connect_timeout = Duration::from_secs(1);
    std::thread::spawn(move || {
        use std::io::Write as _;
        for socket in listener.incoming().take(12) {
            let _ =
                socket.and_then(|mut socket| socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        }
    });
    let error = reach(&target).await.err().unwrap();
    assert!(matches!(error, TransportError::Connect { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_common_algorithm_names_setting_and_is_not_retried() {
    let sshd =
        Sshd::start("Ciphers aes256-gcm@openssh.com\nKexAlgorithms diffie-hellman-group14-sha256");
    let mut target = sshd.target();
    target.connect_wait = Duration::from_secs(60);
    let start = Instant::now();
    let error = reach(&target).await.err().unwrap();
    // skep's own list has no common algorithm, and an algorithm named by the user does not help
    // unless the host has it.
    assert!(
        error
            .to_string()
            .starts_with("KexAlgorithms (skep's own list): "),
        "{error}"
    );
    assert!(
        error
            .hint()
            .contains("name an algorithm of the host in KexAlgorithms"),
        "{}",
        error.hint()
    );
    target.ssh.key_exchanges = Some(vec!["diffie-hellman-group14-sha256".into()]);
    target.ssh.ciphers = Some(vec!["aes128-ctr".into()]);
    let error = reach(&target).await.err().unwrap();
    let said = error.to_string();
    assert!(
        said.starts_with(&format!(
            "Ciphers (the SSH configuration of {}): ",
            target.name
        )),
        "{said}"
    );
    assert!(
        said.contains("none of aes128-ctr; it offers aes256-gcm@openssh.com"),
        "{said}"
    );
    assert!(!error.is_retryable() && start.elapsed() < Duration::from_secs(50));
    target.ssh.ciphers = Some(vec!["aes256-gcm@openssh.com".into()]);
    reach(&target).await.unwrap();
}
