//! Commands over a connection: their input, their output, and the processes that they leave behind.

use std::time::{Duration, Instant};

use skep::transport::{
    ConnectOptions, Connection as _, Exec, KnownHosts, TransportError, connect_with,
};

use super::sshd::{Sshd, bare_options};
use super::{gone, root, running};

/// Returns a number that no other process has on its command line; `sleep` takes it as a time.
pub fn marker() -> String {
    format!("{}", 1_000_000_000_u64 + u64::from(rand::random::<u32>()))
}

#[tokio::test(flavor = "multi_thread")]
async fn exec_returns_output_and_status() {
    let (_sshd, connection) = root().await;
    let exec = Exec {
        arguments: vec!["it's".into(), "two\nlines".into()],
        stdin: b"input".to_vec(),
        ..Exec::root(
            "printf '%s|' \"$@\"; cat; echo trouble >&2; id -un >&2; echo \"$LC_ALL\" >&2; exit 7",
        )
    };
    let output = connection.exec(exec).await.unwrap();
    assert_eq!(output.status, 7);
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "it's|two\nlines|input"
    );
    // The script sets the language itself, because this sshd accepts no variables.
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "trouble\nroot\nC.UTF-8\n"
    );
    connection.close().await;
    let error = connection.exec(Exec::root("true")).await.unwrap_err();
    assert!(matches!(error, TransportError::Lost(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_arguments_are_passed_literally() {
    let (_sshd, connection) = root().await;
    let all: String = (1..=0x2ff_u32).filter_map(char::from_u32).collect();
    let hostile = [
        "",
        "-n",
        "--",
        "$(reboot)",
        "`id`",
        "'\"'",
        "a\nb\r\n",
        "\\",
        "!!",
        "*",
        "~root",
        "ünï→\u{1f41d}",
        &all,
    ];
    let arguments: Vec<String> = hostile.iter().map(|&text| text.to_owned()).collect();
    let exec = Exec {
        arguments: arguments.clone(),
        ..Exec::root("printf '%s\\0' \"$@\"")
    };
    let output = connection.exec(exec).await.unwrap();
    let wanted: String = arguments
        .iter()
        .map(|argument| format!("{argument}\0"))
        .collect();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_input_for_command_that_does_not_read() {
    let (_sshd, connection) = root().await;
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = tasks();
    let start = Instant::now();
    let exec = Exec {
        stdin: vec![b'x'; 20 << 20],
        ..Exec::root("exit 3")
    };
    assert_eq!(connection.exec(exec).await.unwrap().status, 3);
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
    let exec = Exec {
        stdin: vec![b'x'; 1000],
        ..Exec::root("echo unread")
    };
    assert_eq!(connection.exec(exec).await.unwrap().stdout, b"unread\n");
    let start = Instant::now();
    while tasks() > before {
        assert!(
            start.elapsed() < Duration::from_secs(4),
            "a writer is left behind with 20 MB"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_host_is_detected() {
    let sshd = Sshd::start("");
    let target = sshd.target();
    let options = ConnectOptions {
        keepalive: Duration::from_millis(300),
        ..bare_options()
    };
    let known = KnownHosts::load(&target.known_hosts).unwrap();
    let connection = connect_with(&target, &known, &options).await.unwrap();
    // Answered keepalives keep the connection for much longer than that.
    assert!(
        connection
            .exec(Exec::root("sleep 2.5"))
            .await
            .unwrap()
            .success()
    );
    let command = tokio::spawn(async move { connection.exec(Exec::root("sleep 30")).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    sshd.freeze_sessions();
    let error = tokio::time::timeout(Duration::from_secs(10), command)
        .await
        .unwrap()
        .unwrap()
        .unwrap_err();
    assert_eq!(
        error,
        TransportError::Lost("the host was silent for too long".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn large_input_and_output_at_once() {
    let (_sshd, connection) = root().await;
    let stdin: Vec<u8> = (0..20_u32 << 20).map(|index| (index % 251) as u8).collect();
    let output = connection
        .exec(Exec {
            stdin: stdin.clone(),
            ..Exec::root("cat")
        })
        .await
        .unwrap();
    assert!(
        output.stdout == stdin,
        "{} bytes of {}",
        output.stdout.len(),
        stdin.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn long_script_and_long_arguments() {
    let (_sshd, connection) = root().await;
    let script = format!(
        ": '{}'\nprintf '%s' \"${{#1}}\" # {}",
        "y".repeat(200 << 10),
        "z".repeat(1000)
    );
    let exec = Exec {
        arguments: vec!["a".repeat(300 << 10)],
        stdin: b"rest".to_vec(),
        ..Exec::root(script + "\ncat")
    };
    assert_eq!(
        String::from_utf8(connection.exec(exec).await.unwrap().stdout).unwrap(),
        format!("{}rest", 300 << 10)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn output_over_limit_is_error_and_stderr_keeps_its_end() {
    let (_sshd, connection) = root().await;
    let text = marker();
    let exec = Exec {
        output_limit: 1000,
        ..Exec::root(format!("sleep {text} & while :; do echo {text}; done"))
    };
    assert_eq!(
        connection.exec(exec).await.unwrap_err(),
        TransportError::TooMuchOutput(1000)
    );
    gone(&text).await;
    let exec = Exec {
        output_limit: 6,
        ..Exec::root("echo 12345")
    };
    assert_eq!(connection.exec(exec).await.unwrap().stdout, b"12345\n");
    let output = connection
        .exec(Exec::root("seq 1 40000 >&2; echo end >&2"))
        .await
        .unwrap();
    assert_eq!(output.stderr.len(), 64 * 1024);
    assert!(output.stderr.ends_with(b"40000\nend\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn background_child_does_not_delay_result() {
    let (_sshd, connection) = root().await;
    let start = Instant::now();
    let output = connection
        .exec(Exec::root("sleep 20 & echo started"))
        .await
        .unwrap();
    assert_eq!(output.stdout, b"started\n");
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn timeout_kills_command_and_children() {
    let (_sshd, connection) = root().await;
    let text = marker();
    let limit = Duration::from_millis(700);
    let script = format!("sleep {text} & sh -c 'sleep {text}; true' & sleep {text}; true");
    let start = Instant::now();
    let error = connection
        .exec(Exec {
            timeout: limit,
            ..Exec::root(script)
        })
        .await
        .unwrap_err();
    assert_eq!(error, TransportError::Timeout(limit));
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
    gone(&text).await;
    // A limit of zero and an unlimited time are limits, too.
    let error = connection
        .exec(Exec {
            timeout: Duration::ZERO,
            ..Exec::root("sleep 9")
        })
        .await
        .unwrap_err();
    assert_eq!(error, TransportError::Timeout(Duration::ZERO));
    let endless = Exec {
        timeout: Duration::MAX,
        ..Exec::root("echo done")
    };
    assert_eq!(connection.exec(endless).await.unwrap().stdout, b"done\n");
    // The script's own status 124 is a status, not a timeout.
    assert_eq!(
        connection
            .exec(Exec::root("exit 124"))
            .await
            .unwrap()
            .status,
        124
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn timeout_kills_command_that_ignores_term() {
    let (_sshd, connection) = root().await;
    let text = marker();
    let limit = Duration::from_millis(300);
    let script = format!("trap '' TERM; sleep {text}; sleep {text}");
    let error = connection
        .exec(Exec {
            timeout: limit,
            ..Exec::root(script)
        })
        .await
        .unwrap_err();
    assert_eq!(error, TransportError::Timeout(limit));
    gone(&text).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn abandoned_command_is_killed() {
    let (_sshd, connection) = root().await;
    let text = marker();
    let exec = Exec::root(format!("sleep {text}; true"));
    assert!(
        tokio::time::timeout(Duration::from_millis(800), connection.exec(exec))
            .await
            .is_err()
    );
    gone(&text).await;
    assert!(
        connection.exec(Exec::root("true")).await.unwrap().success(),
        "the connection stays usable"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_connection_is_an_error() {
    let (sshd, connection) = root().await;
    let text = marker();
    let exec = Exec {
        timeout: Duration::from_secs(3),
        ..Exec::root(format!("echo before; sleep {text}; true"))
    };
    let start = Instant::now();
    let command = {
        let connection = connection.clone();
        tokio::spawn(async move { connection.exec(exec).await })
    };
    while running(&text).is_empty() {
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "the command does not start"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    sshd.kill_sessions();
    let error = command.await.unwrap().unwrap_err();
    let TransportError::Lost(why) = &error else {
        panic!("{error}")
    };
    assert!(!why.contains("without a reason"), "{why}");
    assert!(matches!(
        connection.exec(Exec::root("true")).await,
        Err(TransportError::Lost(_))
    ));
    assert!(matches!(
        connection.open_docker().await,
        Err(TransportError::Lost(_))
    ));
    // skep cannot end it from here, so the host's own limit does.
    tokio::time::sleep(Duration::from_secs(4).saturating_sub(start.elapsed())).await;
    gone(&text).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn command_killed_by_signal_has_status() {
    let (_sshd, connection) = root().await;
    assert_eq!(
        connection
            .exec(Exec::root("sh -c 'kill -SEGV $$'; exit $?"))
            .await
            .unwrap()
            .status,
        139
    );
    assert_eq!(
        connection
            .exec(Exec::root("kill -KILL $$; sleep 1"))
            .await
            .unwrap()
            .status,
        137
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn more_commands_than_max_sessions() {
    for further in ["", "MaxSessions 2"] {
        let sshd = Sshd::start(further);
        let connection = super::reach(&sshd.target()).await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..30 {
            let connection = connection.clone();
            tasks.spawn(async move {
                let exec = Exec {
                    arguments: vec![format!("{number}")],
                    ..Exec::root("sleep 0.05; echo \"$1\"")
                };
                (number, connection.exec(exec).await)
            });
        }
        for (number, result) in tasks.join_all().await {
            assert_eq!(
                result.unwrap().stdout,
                format!("{number}\n").into_bytes(),
                "{further}"
            );
        }
        // sshd reports its limit if it is lower than the limit known to skep; otherwise only for
        // sessions that close late (without skep's limit, 20 of the 30 would reach it at once).
        let refused = sshd.log().matches("no more sessions").count();
        assert!(
            if further.is_empty() {
                refused < 15
            } else {
                refused > 0
            },
            "{refused}: {}",
            sshd.log()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_opened_ahead_for_expected_commands() {
    for (further, ahead) in [("", true), ("MaxSessions 1", false)] {
        let sshd = Sshd::start(further);
        let connection = super::reach(&sshd.target()).await.unwrap();
        connection.prepare_for(2);
        for word in ["first", "second", "third"] {
            let output = connection
                .exec(Exec::root(format!("echo {word}")))
                .await
                .unwrap();
            assert_eq!(output.stdout, format!("{word}\n").into_bytes(), "{further}");
        }
        // sshd numbers the sessions that are open at once: without a second session opened ahead,
        // each would have number 0.
        let numbers: std::collections::BTreeSet<String> = sshd
            .log()
            .lines()
            .filter_map(|line| {
                Some(
                    line.split_once("Starting session:")?
                        .1
                        .rsplit_once(" id ")?
                        .1
                        .into(),
                )
            })
            .collect();
        assert_eq!(
            numbers.len(),
            if ahead { 2 } else { 1 },
            "{further}: {}",
            sshd.log()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn close_waits_until_disconnect_is_sent() {
    let (sshd, connection) = root().await;
    // Only now has sshd sent everything that follows a login; while it sends, it would not read the
    // disconnect message.
    connection.exec(Exec::root("true")).await.unwrap();
    connection.close().await;
    // A message that is only queued is lost with the process: after `close` returns, it has been
    // sent.
    let deadline = Instant::now() + Duration::from_secs(5);
    while !sshd.log().contains("11: done") {
        assert!(Instant::now() < deadline, "no goodbye: {}", sshd.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(sshd.log().contains("Received disconnect"), "{}", sshd.log());
}
