//! The verbs about connections, as a user runs them.

use std::process::{Command, Output};

use super::sshd::{Sshd, TestAccount, must, public};

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
    std::fs::write(
        &inventory,
        "[defaults]\nknown_hosts = 'known_hosts'\nagent = false\n[hosts.web]\n",
    )
    .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_skep"));
    command
        .args(arguments)
        .arg("-i")
        .arg(inventory)
        .arg("-F")
        .arg(config);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ping_verbose_reports_origins_and_unsupported_settings() {
    let sshd = Sshd::start("");
    let output = skep(&sshd, &["ping", "-v"]);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    let line = |setting: &str| {
        let mut lines = out.lines().filter(|line| line.starts_with(setting));
        lines
            .next()
            .unwrap_or_else(|| panic!("{setting}: {out}"))
            .to_owned()
    };
    assert!(
        line("port").contains(&sshd.port.to_string()) && line("port").ends_with("ssh config"),
        "{out}"
    );
    assert!(line("known_hosts").ends_with("inventory"), "{out}");
    assert!(line("connect_wait").ends_with("default"), "{out}");
    assert_eq!(
        err.matches("verifyhostkeydns is not supported").count(),
        1,
        "named once: {err}"
    );
}

/// Keyword, value, name in `ping -v`, and value as `ping -v` shows it.
const SETTINGS: &[(&str, &str, &str, &str)] = &[
    ("HostName", "127.0.0.1", "address", "127.0.0.1"),
    ("Port", "1", "port", "1"),
    ("User", "ann", "user", "ann"),
    (
        "IdentityFile",
        "/k/%h-%p-%r-%n",
        "identity_file",
        "/k/127.0.0.1-1-ann-web",
    ),
    ("IdentitiesOnly", "yes", "IdentitiesOnly", "true"),
    ("IdentityAgent", "/run/%r-%%", "IdentityAgent", "/run/ann-%"),
    (
        "CertificateFile",
        "/c-%h",
        "CertificateFile",
        "/c-127.0.0.1",
    ),
    (
        "ProxyJump",
        "bastion.invalid",
        "proxy",
        "ProxyJump bastion.invalid",
    ),
    (
        "UserKnownHostsFile",
        "/k1 /k2",
        "known_hosts",
        "/k1, /k2, /k3",
    ),
    (
        "GlobalKnownHostsFile",
        "/k3",
        "known_hosts",
        "/k1, /k2, /k3",
    ),
    (
        "StrictHostKeyChecking",
        "accept-new",
        "host_keys",
        "accept-new",
    ),
    ("HostKeyAlias", "alias", "HostKeyAlias", "alias"),
    ("HashKnownHosts", "yes", "HashKnownHosts", "true"),
    ("ConnectTimeout", "3", "connect_timeout", "3s"),
    ("ServerAliveInterval", "5", "ServerAliveInterval", "5s x 2"),
    ("ServerAliveCountMax", "2", "ServerAliveInterval", "5s x 2"),
    (
        "KexAlgorithms",
        "curve25519-sha256",
        "KexAlgorithms",
        "curve25519-sha256",
    ),
    ("Ciphers", "aes256-ctr", "Ciphers", "aes256-ctr"),
    ("MACs", "hmac-sha2-256", "MACs", "hmac-sha2-256"),
    (
        "HostKeyAlgorithms",
        "ssh-ed25519",
        "HostKeyAlgorithms",
        "ssh-ed25519",
    ),
    (
        "PreferredAuthentications",
        "publickey",
        "PreferredAuthentications",
        "publickey",
    ),
    ("AddressFamily", "inet", "AddressFamily", "inet"),
    ("BindAddress", "127.0.0.1", "BindAddress", "127.0.0.1"),
];

#[test]
fn ping_verbose_shows_every_setting_of_ssh_config() {
    let folder = tempfile::tempdir().unwrap();
    let lines: String = SETTINGS
        .iter()
        .map(|(keyword, value, ..)| format!(" {keyword} {value}\n"))
        .collect();
    // The configuration has an included file, a rule about the name as typed, and a rule about the
    // name that it stands for.
    std::fs::write(
        folder.path().join("more"),
        format!("Match originalhost web\n{lines}"),
    )
    .unwrap();
    let config = format!(
        "Include {}/more\nHost second\n ProxyCommand nc %h\n",
        folder.path().display()
    );
    std::fs::write(folder.path().join("config"), config).unwrap();
    std::fs::write(
        folder.path().join("inventory.toml"),
        "[hosts.web]\n[hosts.second]\naddress = 'second'\nuser = 'own'\n",
    )
    .unwrap();
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    // With `ssh`, skep uses its answer; without `ssh`, skep reads the configuration itself.
    for without in [false, true] {
        let mut skep = Command::new(env!("CARGO_BIN_EXE_skep"));
        skep.args(["ping", "-v", "-i"])
            .arg(folder.path().join("inventory.toml"))
            .arg("-F")
            .arg(folder.path().join("config"));
        if without {
            skep.env("PATH", &empty);
        }
        let output = skep.output().unwrap();
        let out = text(&output.stdout);
        // Two tables, one per host, in the order of the inventory.
        let (web, other) = out
            .split_once("\nsecond\n")
            .unwrap_or_else(|| panic!("{out}"));
        let shows = |table: &str, setting: &str, value: &str, from: &str| {
            let line = table
                .lines()
                .find(|line| line.split_ascii_whitespace().next() == Some(setting));
            let line = line.unwrap_or_else(|| panic!("{setting} is not shown:\n{out}"));
            let (_, rest) = line.split_once(setting).unwrap();
            let shown = rest
                .trim()
                .strip_suffix(from)
                .unwrap_or_else(|| panic!("{setting} is not from {from}: {line}"));
            assert_eq!(shown.trim(), value, "{setting}, without ssh: {without}");
        };
        for (_, _, setting, value) in SETTINGS {
            shows(web, setting, value, "ssh config");
        }
        shows(web, "connect_wait", "0s", "default");
        shows(other, "proxy", "ProxyCommand nc %h", "ssh config");
        shows(other, "user", "own", "inventory");
        assert!(
            !text(&output.stderr).contains("not supported"),
            "{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn user_ssh_config_keys_and_known_hosts_are_used() {
    let sshd = Sshd::start("");
    let account = TestAccount::new("/bin/dash");
    std::fs::create_dir(account.home(".ssh")).unwrap();
    std::fs::copy(sshd.path("client"), account.home(".ssh/id_ed25519")).unwrap();
    let config = format!(
        "Host w*\n HostName {}\n Port {}\n User root\n StrictHostKeyChecking accept-new\n",
        sshd.address, sshd.port
    );
    std::fs::write(account.home(".ssh/config"), config).unwrap();
    must(
        "chown",
        &["-R", &account.name, account.home(".ssh").to_str().unwrap()],
    );
    std::fs::write(sshd.path("inventory.toml"), "[hosts.web]\n").unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_skep"), sshd.path("skep")).unwrap();
    for path in ["/usr/bin:/bin", "/nowhere"] {
        let mut skep = Command::new("/sbin/runuser");
        skep.args([
            "-u",
            &account.name,
            "--",
            "/usr/bin/env",
            &format!("PATH={path}"),
        ])
        .arg(sshd.path("skep"));
        skep.args(["ping", "-v", "-i"])
            .arg(sshd.path("inventory.toml"))
            .current_dir("/");
        let output = skep
            .env_remove("SSH_AUTH_SOCK")
            .env("HOME", account.home(""))
            .output()
            .unwrap();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{path}: {out}{err}");
        let port = out.lines().find(|line| line.starts_with("port")).unwrap();
        assert!(port.ends_with("ssh config"), "{path}: {out}");
        let known = std::fs::read_to_string(account.home(".ssh/known_hosts")).unwrap();
        assert_eq!(known.lines().count(), 1, "{path}: {known}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ssh_config_is_read_without_ssh_program() {
    let sshd = Sshd::start("");
    let empty = tempfile::tempdir().unwrap();
    let mut command = prepared(&sshd, &["ping", "-v"]);
    let config = sshd.path("ssh_config");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(
        &config,
        format!("{text}Match exec true\nPort 1\nHost *\nUser nobody\n"),
    )
    .unwrap();
    let output = command.env("PATH", empty.path()).output().unwrap();
    let (out, err) = (self::text(&output.stdout), self::text(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    let port = out.lines().find(|line| line.starts_with("port")).unwrap();
    assert!(
        port.contains(&sshd.port.to_string()) && port.ends_with("ssh config"),
        "{out}"
    );
    assert_eq!(
        err.matches("can evaluate `Match exec true`, and it is not installed")
            .count(),
        1,
        "named once: {err}"
    );
    assert_eq!(
        err.matches("verifyhostkeydns is not supported").count(),
        1,
        "{err}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn known_hosts_scan_and_forget_rebuilt_host() {
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
    assert!(
        output.status.success() && text(&output.stdout).contains("1 line(s) forgotten"),
        "{output:?}"
    );
    assert_eq!(
        std::fs::read_to_string(sshd.path("known_hosts")).unwrap(),
        ""
    );
    assert_eq!(
        std::fs::read_to_string(sshd.path("known_hosts.old")).unwrap(),
        wanted
    );
    assert!(text(&skep(&sshd, &["known-hosts", "forget", "web"]).stdout).contains("not known"));
}
