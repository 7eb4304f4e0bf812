//! The first contact with a host: its key is reported, passwords wait, and the settings that
//! restrict host keys are followed or end the connection.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use super::sshd::{Sshd, TestAccount, fingerprint, must, public};

const PASSWORD: &str = "correct horse";

/// Writes an inventory with hosts `one`, `two`, ... at these servers.
fn inventory(sshds: &[&Sshd], defaults: &str) -> std::path::PathBuf {
    let mut text = format!("[defaults]\nknown_hosts = 'known_hosts'\nagent = false\n{defaults}\n");
    for (name, sshd) in ["one", "two", "three"].iter().zip(sshds) {
        text.push_str(&format!(
            "[hosts.{name}]\naddress = '{}'\nport = {}\nidentity_file = '{}'\n",
            sshd.address,
            sshd.port,
            sshd.path("client").display()
        ));
    }
    let path = sshds[0].path("inventory.toml");
    std::fs::write(&path, text).unwrap();
    path
}

fn forget(sshd: &Sshd) {
    let _ = std::fs::remove_file(sshd.path("known_hosts"));
}

/// Runs skep without a terminal, and returns its exit code, stdout and stderr.
fn skep(
    inventory: &std::path::Path,
    arguments: &[&str],
    secrets: &[(&str, &str)],
) -> (i32, String, String) {
    let mut command = Command::new("setsid");
    command
        .args(["--wait", env!("CARGO_BIN_EXE_skep")])
        .args(arguments);
    let output = command
        .arg("-i")
        .arg(inventory)
        .envs(secrets.iter().copied())
        .env("XDG_STATE_HOME", inventory.with_file_name("state"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn every_new_key_is_reported_with_its_fingerprint() {
    let sshd = Sshd::start("");
    let inventory = inventory(&[&sshd], "user = 'root'\nssh_config = false");
    let playbook = sshd.path("playbook.toml");
    std::fs::write(
        &playbook,
        "[[plays]]\nhosts = 'all'\nresources = [{ group = { name = 'root' } }]\n",
    )
    .unwrap();
    let print = fingerprint(&sshd.path("host_ed25519"));
    let file = sshd.path("known_hosts");
    let playbook = playbook.to_str().unwrap();
    for arguments in [
        &["ping"][..],
        &["facts"],
        &["status"],
        &["plan", playbook],
        &["check", "--keep", "0", playbook],
        &["ping", "--json"],
    ] {
        forget(&sshd);
        let (_, out, err) = skep(&inventory, arguments, &[]);
        let note = format!(
            "one: new host key of [{}]:{}: {print} (stored in {})",
            sshd.address,
            sshd.port,
            file.display()
        );
        assert_eq!(err.matches(&note).count(), 1, "{arguments:?}: {out}{err}");
        let (_, out, err) = skep(&inventory, arguments, &[]);
        assert!(!err.contains("new host key"), "{arguments:?}: {out}{err}");
    }
    forget(&sshd);
    let (_, out, _) = skep(&inventory, &["ping", "--json"], &[]);
    let line: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(line["new_host_key"], print);
    forget(&sshd);
    let (_, out, _) = skep(&inventory, &["plan", "--json", playbook], &[]);
    assert!(
        out.contains(&format!("\"new_host_key\":\"{print}\"")),
        "{out}"
    );
    let (_, out, _) = skep(&inventory, &["ping", "--json"], &[]);
    assert!(!out.contains("new_host_key"), "{out}");
}

#[test]
fn login_password_waits_for_a_known_key() {
    let account = TestAccount::new("/bin/dash");
    account.set_password(PASSWORD);
    for further in [
        "PasswordAuthentication yes\nKbdInteractiveAuthentication no",
        "PasswordAuthentication no\nKbdInteractiveAuthentication yes\nUsePAM yes",
    ] {
        let sshd = Sshd::start(further);
        std::fs::write(sshd.path("authorized_keys"), "").unwrap();
        let defaults = format!("user = '{}'\nssh_config = false", account.name);
        let inventory = inventory(&[&sshd], &defaults);
        let secrets = [("SKEP_SSH_PASSWORD", PASSWORD)];
        let (code, out, err) = skep(&inventory, &["ping"], &secrets);
        assert_eq!(code, 4, "{out}{err}");
        let print = fingerprint(&sshd.path("host_ed25519"));
        assert!(
            err.contains("the login password was not sent to")
                && err.matches(&print).count() == 2
                && err.contains("--host-keys accept-new"),
            "{err}"
        );
        let log = sshd.log();
        assert!(
            !log.contains("Accepted")
                && !log.contains("Failed password")
                && !log.contains("Failed keyboard"),
            "nothing was sent: {log}"
        );
        // The key is known now. The account cannot become root, which is another failure.
        let (_, out, err) = skep(&inventory, &["ping"], &secrets);
        assert!(sshd.log().contains("Accepted"), "{out}{err}{}", sshd.log());
        forget(&sshd);
        let before = sshd.log().matches("Accepted").count();
        let wish = ["ping", "--host-keys", "accept-new"];
        let (_, out, err) = skep(&inventory, &wish, &secrets);
        assert!(err.contains("new host key of"), "{err}");
        assert!(
            sshd.log().matches("Accepted").count() > before,
            "{out}{err}"
        );
    }
}

#[test]
fn sudo_password_waits_for_a_known_key() {
    let account = TestAccount::new("/bin/dash");
    account.set_password(PASSWORD);
    account.sudoers(&format!("{} ALL=(ALL) ALL\n", account.name));
    let sshd = Sshd::start("");
    let defaults = |name: &str| format!("user = '{name}'\nbecome = true\nssh_config = false");
    let path = inventory(&[&sshd], &defaults(&account.name));
    let secrets = [("SKEP_BECOME_PASSWORD", PASSWORD)];
    let (code, out, err) = skep(&path, &["ping"], &secrets);
    assert_eq!(code, 4, "{out}{err}");
    assert!(
        err.contains("the password for sudo was not sent to"),
        "{err}"
    );
    let (code, out, err) = skep(&path, &["ping"], &secrets);
    assert_eq!(code, 0, "the key is known: {out}{err}");
    for (defaults, arguments) in [
        (
            defaults(&account.name) + "\nhost_keys = 'accept-new'",
            &["ping"][..],
        ),
        (
            defaults(&account.name),
            &["ping", "--host-keys", "accept-new"],
        ),
    ] {
        forget(&sshd);
        let path = inventory(&[&sshd], &defaults);
        let (code, out, err) = skep(&path, arguments, &secrets);
        assert_eq!(code, 0, "{defaults}: {out}{err}");
    }
    // A host that asks for no password is reached at the first contact, even if one is known.
    let account = TestAccount::with_sudo("/bin/dash");
    forget(&sshd);
    let path = inventory(&[&sshd], &defaults(&account.name));
    let (code, out, err) = skep(&path, &["ping"], &secrets);
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn ask_is_strict_without_a_terminal() {
    let sshd = Sshd::start("");
    let config = sshd.path("ssh_config");
    for (text, accepted) in [
        ("Host *\n StrictHostKeyChecking ask\n", false),
        ("Match exec \"true\"\n StrictHostKeyChecking ask\n", false),
        ("Host *\n StrictHostKeyChecking accept-new\n", true),
        (
            "Host other\n StrictHostKeyChecking ask\nHost *\n Compression no\n",
            true,
        ),
        ("Host *\n ServerAliveInterval 7\n", true),
    ] {
        forget(&sshd);
        std::fs::write(&config, text).unwrap();
        let defaults = format!("user = 'root'\nssh_config = '{}'", config.display());
        let path = inventory(&[&sshd], &defaults);
        let (code, out, err) = skep(&path, &["ping"], &[]);
        assert_eq!(code == 0, accepted, "{text}: {out}{err}");
        assert_eq!(
            err.contains("is not known (SHA256:"),
            !accepted,
            "{text}: {err}"
        );
        assert_eq!(sshd.path("known_hosts").exists(), accepted, "{text}");
        // The command line takes precedence.
        let (code, out, err) = skep(&path, &["ping", "--host-keys", "accept-new"], &[]);
        assert_eq!(code, 0, "{text}: {out}{err}");
    }
    forget(&sshd);
    let path = inventory(
        &[&sshd],
        "user = 'root'\nssh_config = false\nhost_keys = 'ask'",
    );
    let (code, _, err) = skep(&path, &["ping"], &[]);
    assert!(code == 4 && err.contains("is not known"), "{err}");
    let (code, _, err) = skep(&path, &["ping", "--host-keys", "perhaps"], &[]);
    assert!(code == 2 && err.contains("accept-new"), "{err}");
}

#[test]
fn ask_asks_once_for_all_hosts() {
    let sshds = [Sshd::start(""), Sshd::start("")];
    let path = inventory(
        &[&sshds[0], &sshds[1]],
        "user = 'root'\nssh_config = false\nhost_keys = 'ask'",
    );
    let line = format!(
        "exec {} ping -i {}",
        env!("CARGO_BIN_EXE_skep"),
        path.display()
    );
    for (answer, code) in [("n\n", 4), ("y\n", 0)] {
        let mut process = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut screen = process.stdout.take().unwrap();
        let mut shown = String::new();
        let mut buffer = [0; 4096];
        while !shown.contains("[y/N]") {
            let length = screen.read(&mut buffer).unwrap();
            assert!(length > 0, "{shown}");
            shown.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        let mut keyboard = process.stdin.take().unwrap();
        keyboard.write_all(answer.as_bytes()).unwrap();
        while let Ok(length @ 1..) = screen.read(&mut buffer) {
            shown.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        drop(keyboard);
        assert_eq!(process.wait().unwrap().code(), Some(code), "{shown}");
        assert_eq!(shown.matches("[y/N]").count(), 1, "{shown}");
        assert!(shown.contains("These 2 host keys are not known"), "{shown}");
        for (name, sshd) in ["one", "two"].iter().zip(&sshds) {
            let print = fingerprint(&sshd.path("host_ed25519"));
            let line = format!(
                "{name} ([{}]:{}): ssh-ed25519 {print}",
                sshd.address, sshd.port
            );
            assert!(shown.contains(&line), "{line}: {shown}");
        }
        let stored = std::fs::read_to_string(sshds[0].path("known_hosts")).unwrap_or_default();
        assert_eq!(
            stored.lines().count(),
            if code == 0 { 2 } else { 0 },
            "{stored}"
        );
    }
}

#[test]
fn restrictions_of_host_keys_are_followed_or_end_the_connection() {
    let mut sshd = Sshd::prepare("", &["rsa"]);
    sshd.run();
    let config = sshd.path("ssh_config");
    let own = public(&sshd.path("host_rsa"));
    let other = public(&sshd.path("client"));
    let write = |name: &str, bytes: &[u8]| std::fs::write(sshd.path(name), bytes).unwrap();
    write("revoked", format!("# lost\n{own}\n").as_bytes());
    write("others", format!("{other}\n").as_bytes());
    write("broken", b"not a key\n");
    must(
        "ssh-keygen",
        &[
            "-q",
            "-k",
            "-f",
            sshd.path("list.krl").to_str().unwrap(),
            sshd.path("others").to_str().unwrap(),
        ],
    );
    for (setting, word) in [
        ("RevokedHostKeys FOLDER/others", ""),
        ("RevokedHostKeys none", ""),
        ("RequiredRSASize 2048", ""),
        ("KnownHostsCommand none", ""),
        ("RevokedHostKeys FOLDER/revoked", "is revoked"),
        ("RevokedHostKeys FOLDER/missing", "RevokedHostKeys"),
        (
            "RevokedHostKeys FOLDER/broken",
            "line 1 is not a public key",
        ),
        ("RevokedHostKeys FOLDER/list.krl", "binary revocation list"),
        ("RequiredRSASize 8192", "bits"),
        ("KnownHostsCommand /bin/true", "knownhostscommand"),
        ("StrictHostKeyChecking perhaps", "perhaps"),
    ] {
        forget(&sshd);
        let setting = setting.replace("FOLDER", sshd.folder.path().to_str().unwrap());
        std::fs::write(&config, format!("Host *\n {setting}\n")).unwrap();
        let defaults = format!("user = 'root'\nssh_config = '{}'", config.display());
        let path = inventory(&[&sshd], &defaults);
        let (code, out, err) = skep(&path, &["ping"], &[]);
        if word.is_empty() {
            assert_eq!(code, 0, "{setting}: {out}{err}");
        } else {
            assert!(code == 4 && err.contains(word), "{setting}: {out}{err}");
            assert!(!sshd.path("known_hosts").exists(), "{setting}");
        }
    }
    // Nothing was logged in where the connection had to end.
    assert_eq!(
        sshd.log().matches("Accepted publickey").count(),
        4,
        "{}",
        sshd.log()
    );
}
