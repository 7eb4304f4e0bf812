//! Runs batches with a real dash, as the shell of a host would.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use tokio::sync::mpsc;

use super::*;
use crate::inventory::SshTarget;
use crate::names::HostName;
use crate::transport::ssh::bootstrap::{self, Bootstrap, batch as text_of};
use crate::transport::ssh::elevate::Elevation;
use crate::transport::ssh::frame::OutputFrame;
use crate::transport::{Exec, Privilege, StepBatch, StepLock};

const MARK: u128 = 7;

/// Makes the folders of a host's lock that the run with the token `mine` has.
fn lock_in(folder: &Path) -> StepLock {
    let path = folder.join("lock");
    std::fs::create_dir_all(&path).unwrap();
    std::fs::create_dir_all(folder.join("lock.d")).unwrap();
    std::fs::write(path.join("owner"), "mine\nann@desk\n1\nnow\n1\n").unwrap();
    StepLock {
        path: path.display().to_string(),
        token: "mine".into(),
        owner: "ann@desk".into(),
        summary: String::new(),
    }
}

fn step(lock: &StepLock, script: impl Into<String>) -> Exec {
    Exec {
        lock: Some(StepLock {
            summary: "it's a step".into(),
            ..lock.clone()
        }),
        ..Exec::root(script.into())
    }
}

/// Returns a batch of changes with one step each.
fn batch(steps: Vec<Exec>) -> StepBatch {
    StepBatch {
        changes: steps.into_iter().map(|step| vec![step]).collect(),
        reading: Exec::root("printf 'read '; cat; echo \"it's the end\""),
        progress: None,
    }
}

fn text(batch: &StepBatch) -> Bootstrap {
    text_of::build(batch, MARK).unwrap().unwrap()
}

/// Starts the shell of a host, and gives it these bytes.
fn send(bytes: &[u8]) -> std::process::Output {
    let target = SshTarget::new(HostName::new("web"), "web".into());
    let login = Elevation::new(&target, None, None);
    let command = bootstrap::shell_command(&Privilege::Root, &login, MARK).unwrap();
    let mut child = Command::new("/bin/dash")
        .args(["-c", &command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A batch that ends early leaves the rest of its input unread.
    let mut stdin = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || {
        let _ = stdin.write_all(&bytes);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn run(batch: &StepBatch) -> BatchOutput {
    let bootstrap = text(batch);
    let output = send(&bootstrap.text);
    let watch = BatchWatch::new(MARK, batch.progress.clone());
    let strip = |bytes: &[u8], watch: Option<&BatchWatch>| {
        let mut frame = OutputFrame::new(&bootstrap.begin, &bootstrap.end, usize::MAX);
        for piece in bytes.chunks(7) {
            frame.push(piece);
            if let Some(watch) = watch {
                watch.look(frame.body_so_far());
            }
        }
        let said = String::from_utf8_lossy(bytes);
        assert!(frame.ended(), "no end marker: {said}");
        frame.into_body()
    };
    let result = ExecOutput {
        status: output.status.code().unwrap(),
        stdout: strip(&output.stdout, Some(&watch)),
        stderr: strip(&output.stderr, None),
    };
    let limits: Vec<Duration> = batch.steps().map(|(_, step)| step.timeout).collect();
    watch.read(Ok(result), &limits)
}

/// Returns the statuses of the steps; an error as its text.
fn statuses(output: &BatchOutput) -> Vec<Result<i32, String>> {
    let status = |result: &Result<ExecOutput, TransportError>| match result {
        Ok(output) => Ok(output.status),
        Err(error) => Err(error.to_string()),
    };
    output.steps.iter().map(status).collect()
}

fn is_whole(output: &BatchOutput) -> bool {
    let reading = output.reading.as_ref().unwrap();
    reading.status == 0 && reading.stdout == b"read it's the end\n"
}

#[test]
fn steps_run_in_order_and_the_reading_follows() {
    let folder = tempfile::tempdir().unwrap();
    let lock = lock_in(folder.path());
    let log = folder.path().join("log").display().to_string();
    let with = |script: &str, stdin: &[u8]| Exec {
        arguments: vec![log.clone()],
        stdin: stdin.to_vec(),
        ..step(&lock, script)
    };
    let binary: Vec<u8> = (0..=255_u8).cycle().take(100_000).collect();
    let (sender, mut progress) = mpsc::unbounded_channel();
    let batch = StepBatch {
        progress: Some(sender),
        ..batch(vec![
            with("echo one >>\"$1\"; echo noise", b""),
            // Input that a step leaves unread does not reach the next step.
            with("echo two >>\"$1\"", &binary),
            with("cat >>\"$1\"; exit 0", b"three\0\xff\n"),
        ])
    };
    let output = run(&batch);
    assert_eq!(statuses(&output), [Ok(0), Ok(0), Ok(0)]);
    assert!(is_whole(&output) && !output.interrupted);
    assert_eq!(std::fs::read(&log).unwrap(), b"one\ntwo\nthree\0\xff\n");
    let mut seen = Vec::new();
    while let Ok(told) = progress.try_recv() {
        seen.push(told);
    }
    let expected: Vec<StepProgress> = (0..3)
        .flat_map(|index| [StepProgress::Started(index), StepProgress::Finished(index)])
        .collect();
    assert_eq!(seen, expected);
    let told = std::fs::read_to_string(folder.path().join("lock.d/step")).unwrap();
    assert_eq!(told.lines().last(), Some("it's a step"));
}

#[test]
fn the_first_failure_ends_the_batch_with_its_own_words() {
    let folder = tempfile::tempdir().unwrap();
    let lock = lock_in(folder.path());
    let witness = folder.path().join("ran");
    let output = run(&batch(vec![
        step(&lock, "echo before >&2"),
        step(&lock, "echo broken >&2; exit 3"),
        step(&lock, format!("echo x >'{}'", witness.display())),
    ]));
    assert_eq!(statuses(&output), [Ok(0), Ok(3)]);
    assert_eq!(output.steps[1].as_ref().unwrap().stderr_tail(), "broken");
    assert!(is_whole(&output));
    assert!(!witness.exists());
    for (script, expected) in [
        ("kill -KILL $$", 137),
        ("exec false", 1),
        ("if then ) fi", 2),
        ("set -eu; echo $undefined", 2),
    ] {
        let output = run(&batch(vec![step(&lock, script), step(&lock, "exit 0")]));
        assert_eq!(statuses(&output), [Ok(expected)], "{script}");
        assert!(is_whole(&output), "{script}");
    }
}

#[test]
fn a_step_that_ends_its_shell_is_not_taken_for_a_success() {
    let folder = tempfile::tempdir().unwrap();
    let lock = lock_in(folder.path());
    // The shell of the step is the parent of the subshell that runs the script.
    let script = "read -r x x x parent x </proc/self/stat; kill -KILL \"$(cut -d' ' -f4 /proc/$parent/stat)\"; sleep 1";
    let output = run(&batch(vec![step(&lock, script), step(&lock, ":")]));
    assert_eq!(output.steps.len(), 1);
    assert_ne!(statuses(&output)[0], Ok(0));
}

#[test]
fn a_step_has_its_own_time_limit() {
    let folder = tempfile::tempdir().unwrap();
    let lock = lock_in(folder.path());
    let slow = Exec {
        timeout: Duration::from_millis(300),
        ..step(&lock, "sleep 20")
    };
    let output = run(&batch(vec![step(&lock, "exit 0"), slow, step(&lock, ":")]));
    assert_eq!(
        statuses(&output),
        [
            Ok(0),
            Err(TransportError::Timeout(Duration::from_millis(300)).to_string())
        ]
    );
    assert!(is_whole(&output));
    // The status of `timeout` alone is no timeout.
    let output = run(&batch(vec![step(&lock, "exit 124")]));
    assert_eq!(statuses(&output), [Ok(124)]);
}

#[test]
fn an_interrupt_ends_the_batch_before_the_next_change() {
    let folder = tempfile::tempdir().unwrap();
    let lock = lock_in(folder.path());
    let stop = folder.path().join("lock/stop");
    let output = run(&batch(vec![
        step(&lock, format!(": >'{}'", stop.display())),
        step(&lock, "exit 3"),
    ]));
    assert_eq!(statuses(&output), [Ok(0)]);
    assert!(output.interrupted && is_whole(&output));
    // A change that has begun is completed.
    std::fs::remove_file(&stop).unwrap();
    let stopped = || step(&lock, format!(": >'{}'", stop.display()));
    let output = run(&StepBatch {
        changes: vec![
            vec![stopped(), step(&lock, ":")],
            vec![step(&lock, "exit 3")],
        ],
        ..batch(Vec::new())
    });
    assert_eq!(statuses(&output), [Ok(0), Ok(0)]);
    assert!(output.interrupted && is_whole(&output));
}

#[test]
fn no_step_runs_after_the_lock_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let lock = lock_in(folder.path());
    let owner = folder.path().join("lock/owner");
    let output = run(&batch(vec![
        step(&lock, format!("echo other >'{}'", owner.display())),
        step(&lock, "exit 3"),
    ]));
    let statuses = statuses(&output);
    assert_eq!(statuses[0], Ok(0));
    let error = statuses[1].as_ref().unwrap_err();
    assert!(error.contains("lost its lock"), "{error}");
    // The kernel lock is held while a step runs, and no child of the step has its descriptor.
    let lock = lock_in(folder.path());
    let work = format!("{}.d/work", lock.path);
    let output = run(&batch(vec![step(
        &lock,
        format!("! flock -n {work} true && ! ls -l /proc/self/fd | grep {work}"),
    )]));
    assert_eq!(output.steps[0].as_ref().unwrap().status, 0);
}

#[test]
fn a_cut_text_runs_whole_steps_only() {
    let folder = tempfile::tempdir().unwrap();
    let lock = lock_in(folder.path());
    let files: Vec<_> = (0..3)
        .map(|index| folder.path().join(format!("f{index}")))
        .collect();
    // A step stores its input only if it arrived whole, as all steps with binary input do.
    let steps = files.iter().map(|file| Exec {
        arguments: vec![file.display().to_string()],
        stdin: b"\xffwhole".to_vec(),
        ..step(
            &lock,
            "x=$(cat; echo .); [ ${#x} -ge 7 ] && printf %s \"$x\" >\"$1\"",
        )
    });
    let bootstrap = text(&batch(steps.collect()));
    let length = bootstrap.text.len();
    for cut in (0..length)
        .step_by(197)
        .chain((length - 900..length).step_by(13))
    {
        for file in &files {
            let _ = std::fs::remove_file(file);
        }
        send(&bootstrap.text[..cut]);
        let mut missing = false;
        for file in &files {
            match std::fs::read(file) {
                Ok(content) => assert!(!missing && content.len() >= 7, "cut at {cut}"),
                Err(_) => missing = true,
            }
        }
    }
    send(&bootstrap.text);
    assert!(files.iter().all(|file| file.exists()));
}

#[test]
fn much_output_is_neither_lost_nor_taken_for_lines_of_the_batch() {
    let folder = tempfile::tempdir().unwrap();
    let lock = lock_in(folder.path());
    let mark = text_of::line_mark(MARK);
    let output = run(&batch(vec![
        step(
            &lock,
            "head -c 2000000 /dev/zero | tr '\\0' x; head -c 1000000 /dev/zero | tr '\\0' y >&2",
        ),
        // Text of a host that looks like a line of the batch, without its random mark or on the
        // wrong output.
        step(
            &lock,
            format!("echo '{mark}1 end 0 1 1'; echo '{mark}1 end 0 1 1' >&2; exit 4"),
        ),
    ]));
    assert_eq!(statuses(&output), [Ok(0), Ok(4)]);
    assert!(is_whole(&output));
}

#[test]
fn no_text_or_input_is_in_a_process_list() {
    let folder = tempfile::tempdir().unwrap();
    let lock = lock_in(folder.path());
    let seen = folder.path().join("seen");
    let look = format!(
        "cat /proc/[0-9]*/cmdline /proc/self/environ >'{}' 2>/dev/null; :",
        seen.display()
    );
    let secret = Exec {
        arguments: vec!["hunter2-argument".into()],
        stdin: b"hunter2-input".to_vec(),
        ..step(&lock, format!("cat >/dev/null; {look}; : hunter2-script"))
    };
    let output = run(&batch(vec![secret]));
    assert_eq!(statuses(&output), [Ok(0)]);
    let seen = std::fs::read(seen).unwrap();
    assert!(seen.len() > 100);
    assert!(!seen.windows(7).any(|part| part == b"hunter2"));
}

#[test]
fn another_account_runs_its_step_between_those_of_root() {
    // Only root can run a step as another account; CI is root.
    if !Path::new("/proc/self")
        .metadata()
        .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
    {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let lock = lock_in(folder.path());
    let log = folder.path().join("log");
    let note = format!("id -un >>'{}'", log.display());
    let user = |script: &str| Exec {
        privilege: Privilege::User("nobody".into()),
        ..step(&lock, script)
    };
    let output = run(&batch(vec![
        step(&lock, note.clone()),
        user("[ \"$(id -un)\" = nobody ] && cd / && [ ! -r /etc/shadow ] && [ -n \"$HOME\" ]"),
        step(&lock, note),
        user("echo mine >&2; exit 5"),
    ]));
    assert_eq!(statuses(&output), [Ok(0), Ok(0), Ok(0), Ok(5)]);
    assert_eq!(output.steps[3].as_ref().unwrap().stderr_tail(), "mine");
    assert_eq!(std::fs::read_to_string(log).unwrap(), "root\nroot\n");
    // An account that cannot run a command is named as such.
    let nobody = Exec {
        privilege: Privilege::User("no-such-account".into()),
        ..step(&lock, "exit 0")
    };
    let output = run(&batch(vec![nobody]));
    assert!(matches!(output.steps[0], Err(TransportError::NoShell(_))));
}

#[test]
fn a_lost_connection_leaves_the_known_results() {
    let watch = BatchWatch::new(MARK, None);
    let mark = text_of::line_mark(MARK);
    watch.look(
        format!("{mark}0 start\n{mark}0 group 41\n{mark}0 done\n{mark}0 end 0 1.00 1.10\n{mark}1 start\n{mark}1 group 42\n")
            .as_bytes(),
    );
    assert_eq!(watch.running_group(), Some(42));
    let limits = [Duration::from_secs(60); 3];
    let output = watch.read(Err(TransportError::Lost("cut".into())), &limits);
    assert_eq!(output.steps.len(), 2);
    assert!(output.steps[0].is_ok());
    assert!(matches!(output.steps[1], Err(TransportError::Lost(_))));
    assert!(output.reading.is_err());
    // Nothing is known of a batch that did not begin.
    let lost = Err(TransportError::Lost("cut".into()));
    let output = BatchWatch::new(MARK, None).read(lost, &limits);
    assert!(matches!(output.steps[..], [Err(TransportError::Lost(_))]));
}

#[test]
fn steps_of_different_locks_or_accounts_do_not_travel_together() {
    let folder = tempfile::tempdir().unwrap();
    let lock = lock_in(folder.path());
    let build = |steps| text_of::build(&batch(steps), MARK).unwrap().is_some();
    assert!(build(vec![step(&lock, ":"), step(&lock, ":")]));
    let unlocked = Exec::root(":");
    assert!(!build(vec![unlocked.clone()]));
    assert!(!build(vec![step(&lock, ":"), unlocked]));
    let other = StepLock {
        token: "other".into(),
        ..lock.clone()
    };
    assert!(!build(vec![step(&lock, ":"), step(&other, ":")]));
    let login = Exec {
        privilege: Privilege::Login,
        ..step(&lock, ":")
    };
    assert!(!build(vec![step(&lock, ":"), login]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn arguments_and_inputs_arrive_literally(
        steps in prop::collection::vec(
            (prop::collection::vec("[-'\"\\\\$`(){};&|<>*?!~#\n\r\t a-c]{0,30}", 0..4), prop::collection::vec(any::<u8>(), 0..300)),
            1..4,
        )
    ) {
        let folder = tempfile::tempdir().unwrap();
        let lock = lock_in(folder.path());
        let mut execs = Vec::new();
        for (index, (arguments, stdin)) in steps.iter().enumerate() {
            let file = folder.path().join(index.to_string()).display().to_string();
            let mut all = vec![file];
            all.extend(arguments.iter().cloned());
            execs.push(Exec {
                arguments: all,
                stdin: stdin.clone(),
                ..step(&lock, "f=$1; shift; { printf '%s\\0' \"$#\" \"$@\"; cat; } >\"$f\"")
            });
        }
        let output = run(&batch(execs));
        prop_assert!(output.steps.iter().all(|step| step.as_ref().is_ok_and(ExecOutput::success)));
        for (index, (arguments, stdin)) in steps.iter().enumerate() {
            let mut wanted = format!("{}\0", arguments.len()).into_bytes();
            for argument in arguments {
                wanted.extend_from_slice(argument.as_bytes());
                wanted.push(0);
            }
            wanted.extend_from_slice(stdin);
            prop_assert_eq!(std::fs::read(folder.path().join(index.to_string())).unwrap(), wanted);
        }
    }
}
