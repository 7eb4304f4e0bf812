//! Ctrl-C: ends the processes that the chaos runs started, removes their lab environments, prints
//! the counts of the ended trials, and exits with 130.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

static STOPPING: AtomicBool = AtomicBool::new(false);

/// Starts the thread that waits for Ctrl-C, SIGTERM and SIGHUP, and then prints `counts`.
pub fn watch(counts: impl Fn() -> String + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    // The handlers exist when this function returns, so no signal ends the process before.
    let mut signals = runtime.block_on(async {
        [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
        ]
        .map(|kind| signal(kind).unwrap())
    });
    std::thread::spawn(move || {
        runtime.block_on(async {
            let [interrupt, terminate, hangup] = &mut signals;
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        });
        STOPPING.store(true, Ordering::SeqCst);
        eprintln!("interrupted: removing the lab environments");
        // A process that starts between the two turns is ended by the second one.
        for _ in 0..2 {
            end_children();
            remove_environments();
        }
        println!("\n{}", counts());
        std::process::exit(130);
    });
}

/// Returns at once, or never after Ctrl-C. Every start of a process calls this first.
pub fn pass() {
    while STOPPING.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn end_children() {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    for task in tasks.flatten() {
        let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace() {
            let _ = Command::new("kill").args(["-KILL", child]).output();
        }
    }
}

fn remove_environments() {
    let skep = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skep"));
        // A second Ctrl-C must not end the removal.
        command.stdin(Stdio::null()).process_group(0);
        command
    };
    let listed = skep().args(["lab", "list"]).output().unwrap();
    let ours = format!("t{}-", std::process::id());
    for line in String::from_utf8_lossy(&listed.stdout).lines() {
        let name = line.split_whitespace().next().unwrap_or("");
        if name.starts_with(&ours) {
            let _ = skep().args(["lab", "down", "--name", name]).output();
        }
    }
}
