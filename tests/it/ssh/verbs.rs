//! The verbs about reaching hosts, as a user runs them.

use std::process::{Command, Output};

use super::sshd::{Sshd, public};

fn skep(sshd: &Sshd, arguments: &[&str]) -> Output {
    prepared(sshd, arguments).output().unwrap()
}

fn prepared(sshd: &Sshd, arguments: &[&str]) -> Command {
    let config = sshd.path("ssh_config");
    let text = format!(
        "Host web\nHostName {}\nPort {}\nUser root\nIdentityFile {}\nVerifyHostKeyDNS yes\n",
        sshd.address,
        sshd.port,
        sshd.path("client").display()
    );
    std::fs::write(&config, text).unwrap();
    let inventory = sshd.path("inventory.toml");
    std::fs::write(&inventory, "[defaults]\nknown_hosts = 'known_hosts'\nagent = false\n[hosts.web]\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_skep"));
    command.args(arguments).arg("-i").arg(inventory).arg("-F").arg(config);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ping_says_where_settings_come_from_and_what_is_not_followed() {
    let sshd = Sshd::start("");
    let output = skep(&sshd, &["ping", "-v"]);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    let line = |setting: &str| {
        let mut lines = out.lines().filter(|line| line.starts_with(setting));
        lines.next().unwrap_or_else(|| panic!("{setting}: {out}")).to_owned()
    };
    assert!(line("port").contains(&sshd.port.to_string()) && line("port").ends_with("ssh config"), "{out}");
    assert!(line("known_hosts").ends_with("inventory"), "{out}");
    assert!(line("connect_wait").ends_with("default"), "{out}");
    assert_eq!(err.matches("verifyhostkeydns is not supported").count(), 1, "named once: {err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_ssh_the_configuration_is_read_all_the_same() {
    let sshd = Sshd::start("");
    let empty = tempfile::tempdir().unwrap();
    let mut command = prepared(&sshd, &["ping", "-v"]);
    let config = sshd.path("ssh_config");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}Match exec true\nPort 1\n")).unwrap();
    let output = command.env("PATH", empty.path()).output().unwrap();
    let (out, err) = (self::text(&output.stdout), self::text(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    let port = out.lines().find(|line| line.starts_with("port")).unwrap();
    assert!(port.contains(&sshd.port.to_string()) && port.ends_with("ssh config"), "{out}");
    assert!(err.contains("`Match exec true` holds, and it is not here"), "{err}");
    assert_eq!(err.matches("verifyhostkeydns is not supported").count(), 1, "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuilt_machine_is_scanned_and_forgotten() {
    let sshd = Sshd::start("");
    let output = skep(&sshd, &["known-hosts", "scan", "web"]);
    let key = public(&sshd.path("host_ed25519"));
    let key: Vec<&str> = key.split(' ').take(2).collect();
    let wanted = format!("[{}]:{} {}\n", sshd.address, sshd.port, key.join(" "));
    assert_eq!(text(&output.stdout), wanted, "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains(&super::sshd::fingerprint(&sshd.path("host_ed25519"))));
    assert!(!sshd.path("known_hosts").exists(), "it writes nothing");

    std::fs::write(sshd.path("known_hosts"), &wanted).unwrap();
    let output = skep(&sshd, &["known-hosts", "forget", "web"]);
    assert!(output.status.success() && text(&output.stdout).contains("1 line(s) forgotten"), "{output:?}");
    assert_eq!(std::fs::read_to_string(sshd.path("known_hosts")).unwrap(), "");
    assert_eq!(std::fs::read_to_string(sshd.path("known_hosts.old")).unwrap(), wanted);
    assert!(text(&skep(&sshd, &["known-hosts", "forget", "web"]).stdout).contains("not known"));
}
