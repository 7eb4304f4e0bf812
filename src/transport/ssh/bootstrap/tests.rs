//! Runs the bootstrap with a real dash: no part of an argument or a script leaks into the shell
//! code around it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write as _;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;
use crate::inventory::SshTarget;
use crate::names::HostName;
use crate::transport::ssh::frame::OutputFrame;

/// Runs the command line as a login shell would; returns status, framed stdout and framed stderr.
fn run(exec: &Exec) -> (i32, Vec<u8>, Vec<u8>) {
    let bootstrap = build(exec, &login(false), 7).unwrap();
    let command = shell_command(&bootstrap.shell, &login(false), 7).unwrap();
    let mut child = Command::new("/bin/dash")
        .args(["-c", &command])
        // The script must not see a setting of the user who runs the tests.
        .env_remove("SKEP_STATE_DIR")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&bootstrap.text).unwrap();
    stdin.write_all(&exec.stdin).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let strip = |bytes: &[u8]| {
        let mut frame = OutputFrame::new(&bootstrap.begin, &bootstrap.end, usize::MAX);
        frame.push(bytes);
        assert!(
            frame.ended(),
            "no end marker: {}",
            String::from_utf8_lossy(bytes)
        );
        frame.into_body()
    };
    (
        output.status.code().unwrap(),
        strip(&output.stdout),
        strip(&output.stderr),
    )
}

/// Returns a login as root, or a login that becomes root with sudo.
fn login(sudo: bool) -> Elevation {
    let mut target = SshTarget::new(HostName::new("web"), "web".into());
    if sudo {
        (target.user, target.become_root) = ("ann".into(), true);
    }
    Elevation::new(&target, None, None)
}

fn script(text: &'static str) -> Exec {
    Exec::root(text)
}

#[test]
fn the_script_runs_unchanged() {
    assert_eq!(
        run(&script("printf x; exit 3 # no line end")),
        (3, b"x".to_vec(), b"".to_vec())
    );
    assert_eq!(run(&script("cat <<X\nhere\nX")).1, b"here\n");
    assert_eq!(
        run(&script(
            "trap 'printf bye' EXIT; printf 'a'\\''b'; kill -TERM $(exec sh -c 'echo $PPID')"
        ))
        .0,
        143
    );
    let (status, _, stderr) = run(&script("if then ) fi"));
    assert_eq!(status, 2, "a syntax error ends the script, not the frame");
    assert!(String::from_utf8_lossy(&stderr).contains("yntax error"));
}

#[test]
fn standard_input_is_passed_exactly() {
    let stdin: Vec<u8> = (0..=255_u8).cycle().take(100_000).collect();
    let exec = Exec {
        stdin: stdin.clone(),
        ..script("cat")
    };
    assert_eq!(run(&exec).1, stdin);
    assert_eq!(run(&script("cat | wc -c")).1, b"0\n");
}

#[test]
fn a_truncated_text_does_not_run_the_script() {
    let folder = tempfile::tempdir().unwrap();
    let witness = folder.path().join("ran");
    let exec = Exec {
        arguments: vec![witness.display().to_string()],
        ..script(": 'it'; echo x >\"$1\"; : 'more'")
    };
    let bootstrap = build(&exec, &login(false), 7).unwrap();
    let closed = bootstrap
        .text
        .windows(2)
        .rposition(|pair| pair == b"')")
        .unwrap()
        + 1;
    for cut in (0..=closed).step_by(5).chain(closed - 40..=closed) {
        let mut command = Command::new("/bin/dash");
        command
            .args([
                "-c",
                &shell_command(&bootstrap.shell, &login(false), 7).unwrap(),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(&bootstrap.text[..cut])
            .unwrap();
        child.wait().unwrap();
        assert!(!witness.exists(), "cut at {cut}");
    }
    run(&exec);
    assert!(witness.exists());
}

#[test]
fn variables_and_traps_of_the_bootstrap_do_not_leak_into_the_script() {
    let (_, stdout, _) = run(&script("set | grep -i ^skep; trap; echo $#; umask"));
    assert_eq!(String::from_utf8(stdout).unwrap(), "0\n0022\n");
}

#[test]
fn values_that_cannot_be_sent_are_errors() {
    let error = build(
        &Exec {
            arguments: vec!["a".into(), "b\0".into()],
            ..script("")
        },
        &login(false),
        7,
    )
    .unwrap_err();
    assert_eq!(
        error,
        TransportError::Unsendable("argument 2 contains a NUL byte".into())
    );
    for name in ["", "-x", "a b", "a;b", "$(x)"] {
        let error = build(
            &Exec {
                privilege: Privilege::User(name.into()),
                ..script("")
            },
            &login(false),
            7,
        )
        .unwrap_err();
        assert!(matches!(error, TransportError::Unsendable(_)), "{name}");
    }
}

#[test]
fn privileges_choose_the_command_line() {
    let line = |privilege, sudo| {
        let exec = Exec {
            privilege,
            ..script("")
        };
        let bootstrap = build(&exec, &login(sudo), 7).unwrap();
        let header = bootstrap.text.split(|byte| *byte == b'\n').next().unwrap();
        (
            shell_command(&bootstrap.shell, &login(sudo), 7).unwrap(),
            String::from_utf8(header.to_vec()).unwrap(),
        )
    };
    let (command, header) = line(Privilege::Root, false);
    assert!(command.starts_with("sh -c 'read "), "{command}");
    assert!(header.ends_with(" 60.000 "), "{header}");
    let (command, _) = line(Privilege::Root, true);
    assert!(
        command.starts_with("env LC_ALL=C sudo -n -- sh -c "),
        "{command}"
    );
    assert!(line(Privilege::Login, true).0.starts_with("sh -c "));
    // A shell of root serves every account, so it can be started ahead.
    let (of_account, header) = line(Privilege::User("deploy".into()), true);
    assert_eq!(of_account, command);
    assert!(
        header.ends_with(" 60.000 /sbin/runuser -u deploy --"),
        "{header}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn arguments_arrive_literally(
        arguments in prop::collection::vec(
            prop_oneof![
                "[^\0]{0,40}",
                "[-'\"\\\\$`(){};&|<>*?!~#\n\r\t a-c]{0,30}",
                "[\u{1}-\u{1f}\u{7f}-\u{9f}\u{c0}-\u{2ff}]{0,20}",
            ],
            0..6,
        )
    ) {
        let exec = Exec { arguments: arguments.clone(), ..script("printf '%s\\0' \"$#\" \"$@\"") };
        let mut wanted = format!("{}\0", arguments.len());
        for argument in &arguments {
            wanted.push_str(argument);
            wanted.push('\0');
        }
        prop_assert_eq!(String::from_utf8(run(&exec).1).unwrap(), wanted);
    }
}

/// Makes the folders of a host's lock that the run with the token `mine` has.
fn lock_in(folder: &std::path::Path) -> StepLock {
    let path = folder.join("lock");
    std::fs::create_dir(&path).unwrap();
    std::fs::create_dir(folder.join("lock.d")).unwrap();
    std::fs::write(path.join("owner"), "mine\nann@desk\n1\nnow\n1\n").unwrap();
    StepLock {
        path: path.display().to_string(),
        token: "mine".into(),
        owner: "ann@desk".into(),
        summary: "it's a step\nof 2 lines".into(),
    }
}

fn locked(lock: &StepLock, script: &'static str) -> Exec {
    Exec {
        lock: Some(lock.clone()),
        ..self::script(script)
    }
}

#[test]
fn a_step_holds_its_lock_while_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let lock = lock_in(folder.path());
    let work = folder.path().join("lock.d/work");
    let probe = locked(
        &lock,
        r#"flock -n "$1" true && echo free; ls -l /proc/self/fd | grep -c "$1"; exit 3"#,
    );
    let probe = Exec {
        arguments: vec![work.display().to_string()],
        ..probe
    };
    // The lock is held, and no child of the step has the descriptor that holds it.
    assert_eq!(run(&probe).0, 3);
    assert_eq!(String::from_utf8(run(&probe).1).unwrap(), "0\n");
    let step = std::fs::read_to_string(folder.path().join("lock.d/step")).unwrap();
    let lines: Vec<&str> = step.lines().collect();
    assert_eq!(
        (lines[0], lines[3], lines.len()),
        ("ann@desk", "it's a step of 2 lines", 4)
    );
    // A daemon that the step leaves behind does not hold the lock.
    let started = std::time::Instant::now();
    run(&locked(&lock, "setsid sleep 5 >/dev/null 2>&1 & exit 0"));
    assert_eq!(run(&locked(&lock, "echo again")).1, b"again\n");
    assert!(started.elapsed() < Duration::from_secs(4));
}

#[test]
fn a_step_does_not_run_without_its_lock() {
    let folder = tempfile::tempdir().unwrap();
    let mut lock = lock_in(folder.path());
    lock.token = "other".into();
    let (status, stdout, stderr) = run(&locked(&lock, "echo ran"));
    assert_eq!((status, stdout), (step_lock::REFUSED, b"".to_vec()));
    let said = String::from_utf8(stderr).unwrap();
    assert!(
        said.starts_with(&step_lock::refusal_mark(7)) && said.contains("lost its lock"),
        "{said}"
    );
    std::fs::remove_dir_all(folder.path().join("lock")).unwrap();
    assert_eq!(run(&locked(&lock, "echo ran")).0, step_lock::REFUSED);
}
