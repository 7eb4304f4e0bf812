//! The lock of a run, on the file system of a real host.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use skep::transport::{
    Connection, Exec, ExecOutput, HostLock, LockSettings, Privilege, TransportError,
};

use super::root;
use super::sshd::Sshd;

fn settings(sshd: &Sshd) -> LockSettings {
    LockSettings {
        path: sshd.path("lock").display().to_string(),
        ..LockSettings::default()
    }
}

async fn acquire(
    connection: &Arc<impl Connection + 'static>,
    owner: &str,
    wait: Duration,
    settings: &LockSettings,
) -> Result<HostLock, TransportError> {
    HostLock::acquire_with(connection.clone(), owner, wait, settings.clone()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn lock_is_exclusive_and_names_its_holder() {
    let (sshd, connection) = root().await;
    let settings = settings(&sshd);
    let lock = acquire(&connection, "anna@laptop\nx", Duration::ZERO, &settings)
        .await
        .unwrap();
    assert!(lock.is_held());
    let error = acquire(&connection, "ben@desk", Duration::ZERO, &settings)
        .await
        .err()
        .unwrap();
    let TransportError::Locked {
        owner,
        process,
        since,
        ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(
        (owner.as_str(), process.as_str()),
        ("anna@laptop x", std::process::id().to_string().as_str())
    );
    assert!(since.ends_with("UTC") && since.len() == 23, "{since}");

    // A waiting run gets the lock once it is free.
    let waiter = {
        let (connection, settings) = (connection.clone(), settings.clone());
        tokio::spawn(async move {
            acquire(&connection, "ben@desk", Duration::from_secs(10), &settings).await
        })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    lock.release().await.unwrap();
    waiter.await.unwrap().unwrap().release().await.unwrap();
    assert!(!sshd.path("lock").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeat_keeps_lock_beyond_expiry() {
    let (sshd, connection) = root().await;
    let settings = LockSettings {
        heartbeat: Duration::from_millis(300),
        expiry: Duration::from_secs(2),
        ..settings(&sshd)
    };
    let lock = acquire(&connection, "anna", Duration::ZERO, &settings)
        .await
        .unwrap();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(4) {
        let error = acquire(&connection, "ben", Duration::ZERO, &settings)
            .await
            .err()
            .unwrap();
        assert!(matches!(error, TransportError::Locked { .. }), "{error}");
        assert!(lock.is_held());
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    lock.release().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn lock_of_dead_run_expires_and_goes_to_exactly_one() {
    let (sshd, connection) = root().await;
    let dead = LockSettings {
        heartbeat: Duration::from_secs(3600),
        expiry: Duration::from_secs(1),
        ..settings(&sshd)
    };
    let old = acquire(&connection, "dead", Duration::ZERO, &dead)
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(!old.is_held(), "its holder notices");

    let new = LockSettings {
        heartbeat: Duration::from_millis(300),
        expiry: Duration::from_secs(1),
        ..dead
    };
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..12 {
        let (connection, settings) = (connection.clone(), new.clone());
        tasks.spawn(async move {
            acquire(
                &connection,
                &format!("run {number}"),
                Duration::ZERO,
                &settings,
            )
            .await
        });
    }
    let locks: Vec<HostLock> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(locks.len(), 1);
    // A release by the old holder must not remove the new lock.
    old.release().await.unwrap();
    assert!(sshd.path("lock").exists());
    let error = acquire(&connection, "late", Duration::ZERO, &new)
        .await
        .err()
        .unwrap();
    assert!(matches!(error, TransportError::Locked { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_lock_race_has_exactly_one_winner() {
    // A slow `rm` widens the gap between the check of the expiry and the new lock.
    let slow = tempfile::tempdir().unwrap();
    let program = slow.path().join("rm");
    std::fs::write(&program, "#!/bin/sh\nsleep 0.2\nexec /bin/rm \"$@\"\n").unwrap();
    super::sshd::must(
        "chmod",
        &[
            "755",
            slow.path().to_str().unwrap(),
            program.to_str().unwrap(),
        ],
    );
    let sshd = Sshd::start(&format!(
        "SetEnv SHLVL=1 PATH={}:/usr/bin:/bin",
        slow.path().display()
    ));
    let connection = super::reach(&sshd.target()).await.unwrap();
    let settings = settings(&sshd);
    for round in 0..2 {
        std::fs::create_dir(sshd.path("lock")).unwrap();
        std::fs::write(sshd.path("lock").join("owner"), "token\ndead\n1\nonce\n0\n").unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..8 {
            let (connection, settings) = (connection.clone(), settings.clone());
            tasks.spawn(async move {
                acquire(
                    &connection,
                    &format!("run {number}"),
                    Duration::ZERO,
                    &settings,
                )
                .await
            });
        }
        let locks: Vec<HostLock> = tasks.join_all().await.into_iter().flatten().collect();
        assert_eq!(locks.len(), 1, "round {round}");
        for lock in locks {
            lock.release().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stolen_lock_is_noticed() {
    let (sshd, connection) = root().await;
    let settings = LockSettings {
        heartbeat: Duration::from_millis(100),
        ..settings(&sshd)
    };
    let lock = acquire(&connection, "anna", Duration::ZERO, &settings)
        .await
        .unwrap();
    std::fs::remove_dir_all(sshd.path("lock")).unwrap();
    let start = Instant::now();
    while lock.is_held() {
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "the loss is not noticed"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // A truncated file, as from a full disk, has no owner.
    std::fs::create_dir(sshd.path("lock")).unwrap();
    std::fs::write(sshd.path("lock").join("owner"), "token\n").unwrap();
    acquire(&connection, "ben", Duration::ZERO, &settings)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn lock_that_cannot_be_created_is_an_error() {
    let (sshd, connection) = root().await;
    let settings = LockSettings {
        path: "/proc/skep.lock".into(),
        ..settings(&sshd)
    };
    let error = acquire(&connection, "anna", Duration::ZERO, &settings)
        .await
        .err()
        .unwrap();
    assert!(matches!(error, TransportError::Lock(_)), "{error}");
}

/// Runs a command of a step of the lock's run.
fn step(
    connection: &Arc<impl Connection + 'static>,
    lock: &HostLock,
    script: &'static str,
    privilege: Privilege,
) -> tokio::task::JoinHandle<Result<ExecOutput, TransportError>> {
    let exec = Exec {
        lock: Some(lock.step_lock("sleep a little")),
        privilege,
        ..Exec::root(script)
    };
    let connection = connection.clone();
    tokio::spawn(async move { connection.exec(exec).await })
}

#[tokio::test(flavor = "multi_thread")]
async fn lock_of_dead_run_lasts_as_long_as_its_step() {
    let (sshd, connection) = root().await;
    let dead = LockSettings {
        heartbeat: Duration::from_secs(3600),
        expiry: Duration::from_secs(1),
        ..settings(&sshd)
    };
    for privilege in [Privilege::Root, Privilege::User("nobody".into())] {
        let lock = acquire(&connection, "anna@laptop", Duration::ZERO, &dead)
            .await
            .unwrap();
        let begun = Instant::now();
        let running = step(&connection, &lock, "sleep 5; id -un", privilege.clone());
        tokio::time::sleep(Duration::from_millis(2500)).await;
        assert!(!lock.is_held(), "the heartbeat has expired");
        let error = acquire(&connection, "ben@desk", Duration::ZERO, &dead)
            .await
            .err()
            .unwrap();
        let TransportError::StepRuns {
            owner,
            step: summary,
            ..
        } = &error
        else {
            panic!("{error}")
        };
        assert_eq!(
            (owner.as_str(), summary.as_str()),
            ("anna@laptop", "sleep a little")
        );
        let new = acquire(&connection, "ben@desk", Duration::from_secs(20), &dead)
            .await
            .unwrap();
        assert!(
            begun.elapsed() > Duration::from_secs(4),
            "{:?}",
            begun.elapsed()
        );
        let output = running.await.unwrap().unwrap();
        let user = match privilege {
            Privilege::User(name) => name,
            _ => "root".into(),
        };
        assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), user);
        // A step of the old run that begins late does nothing.
        let late = step(&connection, &lock, "echo ran", Privilege::Root)
            .await
            .unwrap();
        assert!(matches!(late, Err(TransportError::Lock(_))), "{late:?}");
        new.release().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_account_can_hold_the_lock() {
    let (sshd, connection) = root().await;
    let settings = settings(&sshd);
    // A guard of older versions, which everybody may read and hold.
    let weak = sshd.path("lock.guard");
    std::fs::write(&weak, "").unwrap();
    let held = std::fs::File::open(&weak).unwrap();
    held.lock().unwrap();
    let lock = acquire(&connection, "anna", Duration::ZERO, &settings)
        .await
        .unwrap();
    step(&connection, &lock, "true", Privilege::Root)
        .await
        .unwrap()
        .unwrap();
    for name in [
        "lock",
        "lock.d",
        "lock.d/guard",
        "lock.d/work",
        "lock.d/step",
        "lock/owner",
    ] {
        let mode = std::fs::metadata(sshd.path(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{name} has the mode {mode:o}");
    }
    lock.release().await.unwrap();
}
