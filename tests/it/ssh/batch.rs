//! Batches over a real sshd: with sudo, with an interrupt, abandoned, and over a link that is cut
//! at the end of each packet.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use skep::inventory::{HostKeyPolicy, SshTarget};
use skep::transport::{
    BatchOutput, Connection as _, Exec, HostLock, LockSettings, Privilege, SshConnection,
    StepBatch, StepLock,
};
use tokio_util::sync::CancellationToken;

use super::sshd::{Sshd, TestAccount};
use super::{gone, reach, root, running};
use crate::proxy::{FaultProxy, LinkFault};

async fn lock(sshd: &Sshd, connection: &Arc<SshConnection>) -> HostLock {
    let settings = LockSettings {
        path: sshd.path("lock").display().to_string(),
        ..LockSettings::default()
    };
    let connection = connection.clone();
    HostLock::acquire_with(connection, "ann@desk", Duration::ZERO, settings)
        .await
        .unwrap()
}

fn step(lock: &StepLock, script: impl Into<String>) -> Exec {
    Exec {
        lock: Some(lock.clone()),
        ..Exec::root(script.into())
    }
}

fn batch(steps: Vec<Exec>) -> StepBatch {
    StepBatch {
        changes: steps.into_iter().map(|step| vec![step]).collect(),
        reading: Exec::root("echo the reading"),
        progress: None,
    }
}

async fn run(connection: &SshConnection, steps: Vec<Exec>) -> BatchOutput {
    connection
        .exec_batch(batch(steps), &CancellationToken::new())
        .await
}

fn statuses(output: &BatchOutput) -> Vec<i32> {
    let status = |result: &Result<_, _>| {
        let output: &skep::transport::ExecOutput = result.as_ref().unwrap();
        output.status
    };
    output.steps.iter().map(status).collect()
}

fn is_read(output: &BatchOutput) -> bool {
    output.reading.as_ref().unwrap().stdout == b"the reading\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_of_root_and_of_accounts_run_in_order() {
    let sshd = Sshd::start("");
    let account = TestAccount::with_sudo("/bin/bash");
    std::fs::write(account.home(".bashrc"), "echo noise; echo noise >&2\n").unwrap();
    let by_sudo = SshTarget {
        user: account.name.clone(),
        become_root: true,
        ..sshd.target()
    };
    for target in [sshd.target(), by_sudo] {
        let connection = reach(&target).await.unwrap();
        let lock = lock(&sshd, &connection).await;
        let held = lock.step_lock("a step");
        let log = sshd.path("steps.txt").display().to_string();
        let note = |privilege: Privilege| Exec {
            arguments: vec![log.clone()],
            privilege,
            ..step(
                &held,
                "id -un >>\"$1\"; echo noise; echo \"by $(id -un)\" >&2",
            )
        };
        std::fs::write(&log, "").unwrap();
        std::fs::set_permissions(&log, std::os::unix::fs::PermissionsExt::from_mode(0o666))
            .unwrap();
        std::fs::set_permissions(
            sshd.folder.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        let other = Privilege::User(account.name.clone());
        let steps = vec![
            note(Privilege::Root),
            note(other.clone()),
            note(Privilege::Root),
            Exec {
                privilege: other,
                ..step(&held, "echo mine >&2; exit 7")
            },
            note(Privilege::Root),
        ];
        let output = run(&connection, steps).await;
        assert_eq!(statuses(&output), [0, 0, 0, 7]);
        assert!(is_read(&output));
        assert_eq!(output.steps[3].as_ref().unwrap().stderr_tail(), "mine");
        let expected = format!("root\n{}\nroot\n", account.name);
        assert_eq!(std::fs::read_to_string(&log).unwrap(), expected);
        lock.release().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_interrupt_the_running_change_is_completed() {
    let (sshd, connection) = root().await;
    let lock = lock(&sshd, &connection).await;
    let held = lock.step_lock("a step");
    let (first, last) = (sshd.path("first"), sshd.path("last"));
    let began = sshd.path("began");
    let slow = format!(
        ": >'{}'; sleep 1.5; : >'{}'",
        began.display(),
        first.display()
    );
    let steps = vec![
        step(&held, slow),
        step(&held, format!(": >'{}'", last.display())),
    ];
    let stop = CancellationToken::new();
    let interrupt = async {
        while !began.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.cancel();
    };
    let (output, ()) = tokio::join!(connection.exec_batch(batch(steps), &stop), interrupt);
    assert_eq!(statuses(&output), [0]);
    assert!(output.interrupted && is_read(&output));
    assert!(first.exists() && !last.exists());
    // The same run may still write its record.
    let output = run(&connection, vec![step(&held, "exit 0")]).await;
    assert_eq!(statuses(&output), [0]);
    lock.release().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_batch_ends_its_step() {
    let (sshd, connection) = root().await;
    let lock = lock(&sshd, &connection).await;
    let held = lock.step_lock("a step");
    let text = format!("31{}", std::process::id());
    let last = sshd.path("last");
    let steps = vec![
        step(&held, "exit 0"),
        step(&held, format!("sleep {text}; true")),
        step(&held, format!(": >'{}'", last.display())),
    ];
    let start = Instant::now();
    let running_batch = {
        let connection = connection.clone();
        tokio::spawn(async move { run(&connection, steps).await })
    };
    while running(&text).is_empty() {
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "it does not start"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    running_batch.abort();
    gone(&text).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!last.exists());
}

/// Content of a file that a cut link must not shorten.
const CONTENT: &[u8] = b"\xffwhole content\n";

fn writes(lock: &StepLock, folder: &Path) -> Vec<Exec> {
    (0..3)
        .map(|index| Exec {
            arguments: vec![folder.join(format!("f{index}")).display().to_string()],
            stdin: CONTENT.to_vec(),
            // As all steps that store binary input do, it checks the length.
            ..step(
                lock,
                "t=$(mktemp); cat >\"$t\"; [ \"$(stat -c %s \"$t\")\" = 15 ] && mv \"$t\" \"$1\" || { rm -f \"$t\"; exit 9; }",
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_link_leaves_whole_changes_and_true_results() {
    let sshd = Sshd::start("MaxStartups 1000");
    let connection = reach(&sshd.target()).await.unwrap();
    let lock = lock(&sshd, &connection).await;
    let held = lock.step_lock("a step");
    // The proxy is another address, whose key is learnt.
    let through = |port: u16| SshTarget {
        address: "127.0.0.1".into(),
        port,
        host_key_policy: HostKeyPolicy::AcceptNew,
        known_hosts: vec![sshd.path("known_proxies")],
        ..sshd.target()
    };
    let folder = sshd.path("files");
    std::fs::create_dir(&folder).unwrap();
    let link = FaultProxy::start(&sshd.address, sshd.port, LinkFault::None).await;
    let whole = reach(&through(link.port)).await.unwrap();
    let output = run(&whole, writes(&held, &folder)).await;
    assert_eq!(statuses(&output), [0, 0, 0]);
    let mut cut = 0;
    for fault in FaultProxy::cut_points(link.packets()) {
        for index in 0..3 {
            let _ = std::fs::remove_file(folder.join(format!("f{index}")));
        }
        let link = FaultProxy::start(&sshd.address, sshd.port, fault).await;
        let Ok(connection) = reach(&through(link.port)).await else {
            continue;
        };
        let output = run(&connection, writes(&held, &folder)).await;
        // The last step may still run on the host.
        connection.close().await;
        tokio::time::sleep(Duration::from_millis(30)).await;
        let mut missing = false;
        for index in 0..3 {
            let told = output.steps.get(index);
            match std::fs::read(folder.join(format!("f{index}"))) {
                Ok(content) => assert!(content == CONTENT && !missing, "{fault:?}"),
                Err(_) => {
                    missing = true;
                    assert!(
                        !matches!(told, Some(Ok(output)) if output.success()),
                        "{fault:?}"
                    );
                }
            }
        }
        if output.reading.is_err() {
            cut += 1;
            assert!(
                !output.steps.is_empty(),
                "{fault:?}: it is unknown what was done"
            );
        }
    }
    assert!(cut > 5, "{cut} cuts hit the batch");
}
