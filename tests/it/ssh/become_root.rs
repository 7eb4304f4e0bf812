//! Becoming root with a password: only sudo receives it.

use std::sync::Arc;
use std::time::Duration;

use skep::inventory::SshTarget;
use skep::transport::{
    ConnectOptions, Connection as _, Exec, KnownHosts, KnownSecrets, Privilege, PrivilegeReason,
    SecretStore, SshConnection, TransportError, connect_with,
};

use super::commands::marker;
use super::sshd::{Sshd, TestAccount, bare_options};
use super::{gone, running};

const PASSWORD: &str = "it's a $ecret, \"really\"";

/// Returns options that know a password for sudo.
fn knowing(password: &str) -> ConnectOptions {
    let known = KnownSecrets {
        become_password: Some(password.into()),
        ..KnownSecrets::default()
    };
    ConnectOptions {
        secrets: Arc::new(SecretStore::new(known, None)),
        ..bare_options()
    }
}

async fn reach(sshd: &Sshd, account: &TestAccount, options: &ConnectOptions) -> Arc<SshConnection> {
    let target = SshTarget {
        user: account.name.clone(),
        become_root: true,
        ..sshd.target()
    };
    connect_with(
        &target,
        &KnownHosts::load(&target.known_hosts).unwrap(),
        options,
    )
    .await
    .unwrap()
}

/// Makes an account with a password for sudo, and further sudo rules.
fn account(shell: &str, rules: &str) -> TestAccount {
    let account = TestAccount::new(shell);
    account.set_password(PASSWORD);
    account.sudoers(&format!(
        "{}{1} ALL=(ALL) ALL\n",
        rules.replace("USER", &account.name),
        account.name
    ));
    account
}

#[tokio::test(flavor = "multi_thread")]
async fn sudo_password_under_common_sudo_rules() {
    let sshd = Sshd::start("");
    let rules = [
        "",
        "Defaults:USER timestamp_timeout=0\n",
        "Defaults:USER lecture=always\n",
        "Defaults:USER requiretty\n",
        "Defaults:USER requiretty, use_pty, timestamp_timeout=0, lecture=always\n",
        "Defaults:USER secure_path=/usr/bin:/bin\n",
        "Defaults:USER passprompt_override, pwfeedback, insults\n",
    ];
    for (rule, shell) in rules.iter().zip(
        ["/bin/bash", "/bin/dash", "/usr/bin/fish", "/bin/tcsh"]
            .iter()
            .cycle(),
    ) {
        let account = account(shell, rule);
        std::fs::write(account.home(".bashrc"), "echo noise\n").unwrap();
        let connection = reach(&sshd, &account, &knowing(PASSWORD)).await;
        for _ in 0..2 {
            let bytes: Vec<u8> = (0..=255_u8).cycle().take(300_000).collect();
            let exec = Exec {
                stdin: bytes.clone(),
                ..Exec::root("id -un >&2; command -v useradd >&2; cat; exit 4")
            };
            let output = connection
                .exec(exec)
                .await
                .unwrap_or_else(|error| panic!("{rule} {shell}: {error}"));
            assert!(
                output.stdout == bytes,
                "{rule}: {} bytes",
                output.stdout.len()
            );
            assert_eq!(
                String::from_utf8_lossy(&output.stderr),
                "root\n/usr/sbin/useradd\n",
                "{rule}"
            );
            assert_eq!(output.status, 4, "{rule}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sudo_password_is_hidden_and_never_script_input() {
    let sshd = Sshd::start("");
    let plain = account("/bin/dash", "");
    // This sudo asks for no password, and the password must not be sent as input.
    let free = TestAccount::with_sudo("/bin/dash");
    for account in [&plain, &free] {
        let connection = reach(&sshd, account, &knowing(PASSWORD)).await;
        assert!(
            connection
                .exec(Exec::root("cat"))
                .await
                .unwrap()
                .stdout
                .is_empty()
        );
        let look = "pattern=$(cat); for file in /proc/[0-9]*/cmdline /proc/[0-9]*/environ; do\n\
            if printf '%s' \"$pattern\" | grep -qaF -f - \"$file\" 2>/dev/null; then echo \"$file\"; fi; done; env";
        let exec = Exec {
            stdin: PASSWORD.as_bytes().to_vec(),
            ..Exec::root(look)
        };
        let seen = String::from_utf8(connection.exec(exec).await.unwrap().stdout).unwrap();
        assert!(
            !seen.contains("/proc/") && !seen.contains(PASSWORD),
            "{seen}"
        );
    }
    assert!(!sshd.log().contains(PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_sudo_password_is_tried_once() {
    let sshd = Sshd::start("");
    let account = account("/bin/dash", "");
    let connection = reach(&sshd, &account, &knowing("wrong")).await;
    for _ in 0..2 {
        let start = std::time::Instant::now();
        let error = connection.exec(Exec::root("echo ran")).await.unwrap_err();
        let TransportError::Privilege { user, address, why } = &error else {
            panic!("{error}")
        };
        assert_eq!((user, address), (&account.name, &sshd.address));
        assert_eq!(*why, PrivilegeReason::WrongPassword, "{error}");
        assert!(
            error.hint().contains("--ask-become-pass"),
            "{}",
            error.hint()
        );
        assert!(start.elapsed() < Duration::from_secs(8));
    }
    // An account that is not in sudoers gets that reason, not a wrong password.
    let stranger = TestAccount::new("/bin/dash");
    stranger.set_password(PASSWORD);
    let connection = reach(&sshd, &stranger, &knowing(PASSWORD)).await;
    let error = connection.exec(Exec::root("true")).await.unwrap_err();
    assert!(
        error.to_string().contains("not in the sudoers file"),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains(&format!("{}@{}", stranger.name, sshd.address)),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn timeout_and_abort_with_sudo_password_and_requiretty() {
    let sshd = Sshd::start("");
    let account = account(
        "/bin/bash",
        "Defaults:USER requiretty, timestamp_timeout=0\n",
    );
    let connection = reach(&sshd, &account, &knowing(PASSWORD)).await;
    assert!(connection.exec(Exec::root("true")).await.unwrap().success());
    let text = marker();
    let limit = Duration::from_secs(1);
    let exec = Exec {
        timeout: limit,
        ..Exec::root(format!("sleep {text} & sleep {text}; true"))
    };
    assert_eq!(
        connection.exec(exec).await.unwrap_err(),
        TransportError::Timeout(limit)
    );
    gone(&text).await;
    let exec = Exec::root(format!("sleep {text}; true"));
    let given_up = tokio::time::timeout(Duration::from_secs(2), connection.exec(exec)).await;
    assert!(given_up.is_err());
    gone(&text).await;
    assert_eq!(running(&text), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn become_user_other_than_root() {
    let sshd = Sshd::start("");
    let login = account("/bin/bash", "");
    let other = TestAccount::new("/bin/dash");
    let mut target = SshTarget {
        user: login.name.clone(),
        become_root: true,
        become_user: other.name.clone(),
        ..sshd.target()
    };
    let known = KnownHosts::load(&target.known_hosts).unwrap();
    let as_whom = async |target: &SshTarget, privilege: Privilege| {
        let connection = connect_with(target, &known, &knowing(PASSWORD))
            .await
            .unwrap();
        let output = connection
            .exec(Exec {
                privilege,
                ..Exec::root("id -un")
            })
            .await
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(as_whom(&target, Privilege::Root).await, other.name);
    assert_eq!(as_whom(&target, Privilege::Login).await, login.name);
    assert_eq!(
        as_whom(&target, Privilege::User("games".into())).await,
        "games"
    );
    (target.user, target.become_root) = ("root".into(), false);
    assert_eq!(as_whom(&target, Privilege::Root).await, other.name);
}

#[tokio::test(flavor = "multi_thread")]
async fn become_password_command() {
    let sshd = Sshd::start("");
    let account = account("/bin/dash", "");
    std::fs::write(sshd.path("secret"), format!("{PASSWORD}\nmore\n")).unwrap();
    let mut target = SshTarget {
        user: account.name.clone(),
        become_root: true,
        ..sshd.target()
    };
    target.become_password_command = Some(format!("cat {}", sshd.path("secret").display()));
    let connection = super::reach(&target).await.unwrap();
    assert!(connection.exec(Exec::root("true")).await.unwrap().success());
    target.become_password_command = Some("echo no; exit 9".into());
    let error = super::reach(&target).await.err().unwrap();
    assert!(
        matches!(
            &error,
            TransportError::Secret {
                setting: "become_password_command",
                ..
            }
        ),
        "{error}"
    );
}
