//! Mistakes in SSH settings, seen through the command line. Each is one error per host, which names
//! the setting, its source and a remedy. The other hosts are reached.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use super::sshd::{Sshd, TestAccount, must, public};

/// A host, its SSH configuration (FOLDER stands for the folder of the test), and the parts of its
/// error.
const HOSTS: &[(&str, &str, &[&str])] = &[
    (
        "unreadable",
        "IdentityFile FOLDER/unreadable",
        &[
            "FOLDER/unreadable (IdentityFile of the SSH configuration)",
            "Permission denied",
        ],
    ),
    (
        "open",
        "IdentityFile FOLDER/open",
        &[
            "FOLDER/open (IdentityFile of the SSH configuration)",
            "mode 0644",
            "`chmod 600`",
        ],
    ),
    (
        "locked",
        "IdentityFile FOLDER/locked",
        &[
            "FOLDER/locked (IdentityFile of the SSH configuration)",
            "there is no terminal to ask for its passphrase",
            "SKEP_KEY_PASSPHRASE",
        ],
    ),
    (
        "gone",
        "IdentityFile none\nIdentityAgent FOLDER/gone",
        &[
            "FOLDER/gone (IdentityAgent of the SSH configuration) does not answer",
            "start that agent",
        ],
    ),
    (
        "lost",
        "IdentityFile FOLDER/fine\nProxyJump no-such-host.invalid",
        &[
            "no-such-host.invalid (ProxyJump of lost, SSH configuration)",
            "cannot resolve",
        ],
    ),
    (
        "circle",
        "IdentityFile FOLDER/fine\nProxyJump circle2",
        &["ProxyJump (SSH configuration)", "form a loop"],
    ),
    (
        "cipher",
        "IdentityFile FOLDER/fine\nCiphers aes128-cbc\nMACs umac-64@openssh.com",
        &[
            "(the SSH configuration of cipher)",
            "supports none of the algorithms",
        ],
    ),
    (
        "token",
        "IdentityFile FOLDER/fine\nProxyCommand nc %Z",
        &["ProxyCommand (SSH configuration): %Z in `nc %Z`"],
    ),
];

#[test]
fn bad_ssh_setting_is_one_error_with_source_and_hint() {
    let sshd = Sshd::start("MaxStartups 100");
    let account = TestAccount::new("/bin/dash");
    let folder = sshd.folder.path().to_str().unwrap();
    let fill = |text: &str| text.replace("FOLDER", folder);
    for (name, mode, owned) in [
        ("unreadable", 0o600, false),
        ("open", 0o644, true),
        ("locked", 0o600, true),
        ("fine", 0o600, true),
    ] {
        std::fs::copy(sshd.path("client"), sshd.path(name)).unwrap();
        std::fs::set_permissions(sshd.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
        if owned {
            must("chown", &[&account.name, sshd.path(name).to_str().unwrap()]);
        }
    }
    must(
        "ssh-keygen",
        &[
            "-q",
            "-p",
            "-P",
            "",
            "-N",
            "secret",
            "-f",
            sshd.path("locked").to_str().unwrap(),
        ],
    );
    let known = format!(
        "[{}]:{} {}\n",
        sshd.address,
        sshd.port,
        public(&sshd.path("host_ed25519"))
    );
    std::fs::write(sshd.path("known_hosts"), known).unwrap();
    let mut inventory =
        "[defaults]\nuser = 'root'\nknown_hosts = 'known_hosts'\n[hosts.fine]\n".to_owned();
    let mut config = String::new();
    for (name, lines, _) in HOSTS {
        inventory.push_str(&format!("[hosts.{name}]\n"));
        config.push_str(&format!("Host {name}\n{lines}\n"));
    }
    config.push_str("Host circle2\nIdentityFile FOLDER/fine\nProxyJump circle\nHost fine\nIdentityFile FOLDER/fine\n");
    config.push_str(&format!(
        "Host * !no-such-host.invalid\nHostName {}\nPort {}\n",
        sshd.address, sshd.port
    ));
    std::fs::write(sshd.path("inventory.toml"), inventory).unwrap();
    std::fs::write(sshd.path("config"), fill(&config)).unwrap();
    // Runs under another account, because root may read every file, and without a terminal for
    // prompts.
    let program = sshd.path("skep");
    std::fs::copy(env!("CARGO_BIN_EXE_skep"), &program).unwrap();
    let mut skep = Command::new("setsid");
    skep.args(["--wait", "runuser", "-u", &account.name, "--"])
        .arg(&program)
        .args(["ping", "-i"]);
    skep.arg(sshd.path("inventory.toml"))
        .arg("-F")
        .arg(sshd.path("config"));
    skep.current_dir("/")
        .env_remove("SSH_AUTH_SOCK")
        .env("HOME", account.home(""))
        .stdin(Stdio::null());
    let output = skep.output().unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert_eq!(output.status.code(), Some(4), "{out}{err}");
    let line = |name: &str| {
        out.lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default()
            .to_owned()
    };
    assert!(
        line("fine").contains("ok"),
        "the others are reached: {out}{err}"
    );
    for (name, _, words) in HOSTS {
        let begin = format!("{name}: ");
        assert_eq!(
            err.lines().filter(|line| line.starts_with(&begin)).count(),
            1,
            "one error for {name}:\n{err}"
        );
        let said: Vec<&str> = err
            .lines()
            .skip_while(|line| !line.starts_with(&begin))
            .take(2)
            .collect();
        assert!(
            said.len() == 2 && said[1].starts_with("  try: "),
            "{name}: {said:?}"
        );
        let said = said.join("\n");
        for words in *words {
            assert!(
                said.contains(&fill(words)),
                "{name}: `{}` is not in: {said}",
                fill(words)
            );
        }
    }
}
