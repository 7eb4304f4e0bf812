//! Secrets from a keyboard: a real terminal (made by `script` of bsdutils), on which the test
//! answers each question.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::sshd::{Sshd, TestAccount, keygen, must, public};

/// Waits until a condition holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn terminal_asks_each_secret_once_without_echo() {
    const LOGIN: &str = "l0gin secret";
    const PHRASE: &str = "phr4se secret";
    let account = TestAccount::new("/bin/dash");
    account.set_password(LOGIN);
    account.sudoers(&format!("{} ALL=(ALL) ALL\n", account.name));
    let sshd = Sshd::start(
        "MaxStartups 100\nPasswordAuthentication yes\nAuthenticationMethods publickey,password",
    );
    let key = keygen(sshd.folder.path(), "locked", &["-t", "ed25519"]);
    sshd.authorize(&public(&key));
    must(
        "ssh-keygen",
        &[
            "-q",
            "-p",
            "-P",
            "",
            "-N",
            PHRASE,
            "-a",
            "2",
            "-f",
            key.to_str().unwrap(),
        ],
    );
    let inventory = sshd.path("inventory.toml");
    let mut text = format!(
        "[defaults]\nknown_hosts = 'known_hosts'\nagent = false\nssh_config = false\nhost_keys = 'accept-new'\n\
         connect_timeout = '60s'\nuser = '{}'\nidentity_file = 'locked'\nbecome = true\nport = {}\n",
        account.name, sshd.port
    );
    for host in ["one", "two", "three"] {
        text.push_str(&format!("[hosts.{host}]\naddress = '{}'\n", sshd.address));
    }
    std::fs::write(&inventory, text).unwrap();
    let terminal = sshd.path("terminal");
    let line = format!(
        "tty >{}; exec {} ping -k -K -i {}",
        terminal.display(),
        env!("CARGO_BIN_EXE_skep"),
        inventory.display()
    );
    let mut script = Command::new("script");
    script
        .args(["-qec", &line, "/dev/null"])
        .env("SHELL", "/bin/sh")
        .env("SKEP_STATE_DIR", sshd.path("state"));
    let mut process = script
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut keyboard, mut screen) = (
        process.stdin.take().unwrap(),
        process.stdout.take().unwrap(),
    );
    let shown = Arc::new(Mutex::new(String::new()));
    let seen = shown.clone();
    let reader = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = screen.read(&mut buffer) {
            seen.lock()
                .unwrap()
                .push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
    });
    let shows = |words: &str| shown.lock().unwrap().contains(words);
    let phrase = format!("Passphrase of {}: ", key.display());
    for (question, answer) in [
        ("Password to log in: ", LOGIN),
        ("Password for sudo: ", LOGIN),
        (&*phrase, PHRASE),
    ] {
        until(&format!("{question}: {}", shown.lock().unwrap()), || {
            shows(question)
        });
        // Letters typed too early would be shown before the terminal hides them.
        let terminal = std::fs::read_to_string(&terminal).unwrap();
        until("letters are hidden", || {
            must("stty", &["-F", terminal.trim(), "-a"]).contains(" -echo ")
        });
        keyboard
            .write_all(format!("{answer}\n").as_bytes())
            .unwrap();
    }
    let mut ended = None;
    until("skep ends", || {
        ended = process.try_wait().unwrap();
        ended.is_some()
    });
    reader.join().unwrap();
    let shown = shown.lock().unwrap();
    assert!(ended.is_some_and(|status| status.success()), "{shown}");
    for question in ["Password to log in: ", "Password for sudo: ", &phrase] {
        assert_eq!(shown.matches(question).count(), 1, "{question}{shown}");
    }
    assert!(!shown.contains("secret"), "{shown}");
}
