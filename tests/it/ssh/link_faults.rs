//! Bad links: a proxy between skep and a real sshd that delays, cuts after some bytes, stops
//! relaying, or flips bits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use skep::inventory::SshTarget;
use skep::transport::{
    ConnectOptions, Connection as _, Exec, KnownHosts, SshConnection, TransportError, connect_with,
};

use super::sshd::{Sshd, bare_options};
use crate::proxy::{FaultProxy, LinkFault};

async fn proxy(sshd: &Sshd, fault: LinkFault) -> FaultProxy {
    FaultProxy::start(&sshd.address, sshd.port, fault).await
}

fn target(sshd: &Sshd, port: u16) -> SshTarget {
    let mut target = SshTarget {
        address: "127.0.0.1".into(),
        port,
        ..sshd.target()
    };
    target.connect_timeout = Duration::from_secs(3);
    target
}

async fn reach(target: &SshTarget) -> Result<Arc<SshConnection>, TransportError> {
    let options = ConnectOptions {
        keepalive: Duration::from_millis(300),
        ..bare_options()
    };
    connect_with(target, &KnownHosts::load(&target.known_hosts)?, &options).await
}

/// A small apply: a file that is written beside its target and moved there.
const CHANGE: &str =
    "set -e; cat >\"$1.new\"; test \"$(wc -c <\"$1.new\")\" = \"$2\"; mv \"$1.new\" \"$1\"";

async fn change(
    connection: &SshConnection,
    file: &std::path::Path,
    text: &[u8],
) -> Result<bool, TransportError> {
    let arguments = vec![file.display().to_string(), text.len().to_string()];
    let exec = Exec {
        arguments,
        stdin: text.to_vec(),
        timeout: Duration::from_secs(5),
        ..Exec::root(CHANGE)
    };
    Ok(connection.exec(exec).await?.success())
}

/// Reads, changes and reads, as a run does; returns the final content.
async fn run(
    target: &SshTarget,
    file: &std::path::Path,
    text: &[u8],
) -> Result<Vec<u8>, TransportError> {
    let connection = reach(target).await?;
    let look = || Exec {
        arguments: vec![file.display().to_string()],
        ..Exec::root("cat \"$1\" 2>/dev/null; exit 0")
    };
    if connection.exec(look()).await?.stdout != text {
        change(&connection, file, text).await?;
    }
    Ok(connection.exec(look()).await?.stdout)
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_run_is_right_or_error_and_next_run_converges() {
    let sshd = Sshd::start("MaxStartups 100");
    let link = proxy(&sshd, LinkFault::None).await;
    let file = sshd.path("state");
    let (old, new) = (b"old ".repeat(50), b"new ".repeat(60));
    std::fs::write(&file, &old).unwrap();
    assert_eq!(
        run(&target(&sshd, link.port), &file, &new).await.unwrap(),
        new
    );
    let whole = link.bytes();
    assert!(whole > 4000, "{whole}");
    let (mut errors, mut step) = (0, 0);
    while step * 97 < whole + 200 {
        let at = step * 97 + 1;
        step += 1;
        let weathers = [LinkFault::CutAfter(at), LinkFault::FlipBit(at)];
        for fault in &weathers[..if step % 4 == 0 { 2 } else { 1 }] {
            std::fs::write(&file, &old).unwrap();
            let _ = std::fs::remove_file(sshd.path("known_hosts"));
            let link = proxy(&sshd, *fault).await;
            match run(
                &SshTarget {
                    connect_timeout: Duration::from_millis(400),
                    ..target(&sshd, link.port)
                },
                &file,
                &new,
            )
            .await
            {
                Ok(seen) => assert_eq!(seen, new, "{fault:?}"),
                Err(error) => {
                    errors += 1;
                    assert!(
                        error.loses_host() && !error.hint().is_empty(),
                        "{fault:?}: {error}"
                    );
                }
            }
            let left = std::fs::read(&file).unwrap();
            assert!(
                left == old || left == new,
                "{fault:?}: half changed: {}",
                String::from_utf8_lossy(&left)
            );
        }
    }
    assert!(errors > 20, "{errors}");
    let _ = std::fs::remove_file(sshd.path("known_hosts"));
    assert_eq!(super::reach(&sshd.target()).await.map(drop), Ok(()));
    assert_eq!(
        run(&sshd.target(), &file, &new).await.unwrap(),
        new,
        "the next run converges"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_link_during_command_is_detected() {
    let sshd = Sshd::start("");
    let link = proxy(&sshd, LinkFault::None).await;
    let connection = reach(&target(&sshd, link.port)).await.unwrap();
    connection.exec(Exec::root("true")).await.unwrap();
    let login = link.bytes();
    drop(connection);
    let link = proxy(&sshd, LinkFault::SilentAfter(login + 400)).await;
    let connection = reach(&target(&sshd, link.port)).await.unwrap();
    let start = Instant::now();
    let command = Exec::root("for n in 1 2 3 4 5 6 7 8 9; do echo $n; sleep 0.2; done; sleep 30");
    let error = connection.exec(command).await.unwrap_err();
    assert!(
        matches!(&error, TransportError::Lost(why) if why.contains("silent")),
        "{error}"
    );
    assert!(
        start.elapsed() < Duration::from_secs(6),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn delayed_link_is_only_slow() {
    let sshd = Sshd::start("");
    let link = proxy(&sshd, LinkFault::Delayed(Duration::from_millis(150))).await;
    let mut target = target(&sshd, link.port);
    target.connect_timeout = Duration::from_secs(10);
    let connection = connect_with(
        &target,
        &KnownHosts::load(&target.known_hosts).unwrap(),
        &bare_options(),
    )
    .await
    .unwrap();
    assert_eq!(
        connection
            .exec(Exec::root("echo there"))
            .await
            .unwrap()
            .stdout,
        b"there\n"
    );
}

fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_ascii_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        / 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_output_does_not_fill_memory() {
    let sshd = Sshd::start("");
    let connection = super::reach(&sshd.target()).await.unwrap();
    let before = memory();
    // 12 MiB of stderr, of which the end is kept. More than 16 MiB end the command, on stderr and
    // before the command's own output. Then as much of stdout as is allowed.
    let much = Exec::root("head -c 12582912 /dev/zero >&2; echo end >&2");
    let output = connection.exec(much).await.unwrap();
    assert!(output.stderr.ends_with(b"end\n") && output.stderr.len() <= 64 * 1024);
    let started = Instant::now();
    let endless = Exec {
        timeout: Duration::from_secs(600),
        ..Exec::root("cat /dev/zero >&2")
    };
    let error = connection.exec(endless).await.unwrap_err();
    assert_eq!(error, TransportError::TooMuchOutput(16 << 20));
    assert!(
        started.elapsed() < Duration::from_secs(60),
        "it ends at once"
    );
    let error = connection
        .exec(Exec {
            output_limit: 1 << 20,
            ..Exec::root("cat /dev/zero")
        })
        .await
        .unwrap_err();
    assert_eq!(error, TransportError::TooMuchOutput(1 << 20));
    let grown = memory().saturating_sub(before);
    assert!(grown < 150, "{grown} MB");
}
