//! Becoming root and other users, through common login shells.

use std::time::Duration;

use skep::inventory::SshTarget;
use skep::transport::{Connection as _, Exec, Privilege, PrivilegeReason, TransportError};

use super::commands::marker;
use super::sshd::{Sshd, TestAccount};
use super::{gone, reach, running};

fn target(sshd: &Sshd, account: &TestAccount) -> SshTarget {
    SshTarget {
        user: account.name.clone(),
        become_root: true,
        ..sshd.target()
    }
}

fn installed(program: &str) -> &str {
    assert!(
        std::path::Path::new(program).exists(),
        "this test needs {program} (packages sudo, fish, tcsh)"
    );
    program
}

#[tokio::test(flavor = "multi_thread")]
async fn root_through_sudo_from_every_login_shell() {
    installed("/usr/bin/sudo");
    let sshd = Sshd::start("");
    for shell in ["/bin/dash", "/bin/bash", "/usr/bin/fish", "/bin/tcsh"] {
        let account = TestAccount::with_sudo(installed(shell));
        // Start files that print on both streams, as those of users do.
        for file in [".bashrc", ".profile", ".tcshrc", ".cshrc"] {
            std::fs::write(
                account.home(file),
                "echo noise without a question\necho skep-\n",
            )
            .unwrap();
        }
        std::fs::create_dir_all(account.home(".config/fish")).unwrap();
        std::fs::write(
            account.home(".config/fish/config.fish"),
            "echo noise\necho noise >&2\n",
        )
        .unwrap();
        let connection = reach(&target(&sshd, &account)).await.unwrap();
        let exec = Exec {
            arguments: vec!["it's $HOME !! \\ \n".into()],
            stdin: vec![b's'; 300_000],
            ..Exec::root("id -u; printf '%s' \"$1\"; wc -c; echo seen >&2; exit 4")
        };
        let output = connection
            .exec(exec)
            .await
            .unwrap_or_else(|error| panic!("{shell}: {error}"));
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            "0\nit's $HOME !! \\ \n300000\n",
            "{shell}"
        );
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            "seen\n",
            "{shell}"
        );
        assert_eq!(output.status, 4, "{shell}");
        let login = Exec {
            privilege: Privilege::Login,
            ..Exec::root("id -un")
        };
        assert_eq!(
            connection.exec(login).await.unwrap().stdout,
            format!("{}\n", account.name).into_bytes()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sudo_with_use_pty_and_timeout() {
    let sshd = Sshd::start("");
    let account = TestAccount::with_sudo("/bin/bash");
    account.sudoers(&format!(
        "Defaults:{0} use_pty\n{0} ALL=(ALL) NOPASSWD: ALL\n",
        account.name
    ));
    let connection = reach(&target(&sshd, &account)).await.unwrap();
    let bytes: Vec<u8> = (0..=255_u8).cycle().take(1 << 20).collect();
    let output = connection
        .exec(Exec {
            stdin: bytes.clone(),
            ..Exec::root("cat")
        })
        .await
        .unwrap();
    assert!(
        output.stdout == bytes,
        "the pty changes no byte ({} arrived)",
        output.stdout.len()
    );

    let text = marker();
    let limit = Duration::from_millis(700);
    let exec = Exec {
        timeout: limit,
        ..Exec::root(format!("sleep {text} & sleep {text}; true"))
    };
    assert_eq!(
        connection.exec(exec).await.unwrap_err(),
        TransportError::Timeout(limit)
    );
    assert_eq!(running(&text), Vec::<String>::new(), "children of root too");

    let exec = Exec::root(format!("sleep {text}; true"));
    assert!(
        tokio::time::timeout(Duration::from_millis(800), connection.exec(exec))
            .await
            .is_err()
    );
    gone(&text).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_sudo_right_is_reported() {
    let sshd = Sshd::start("");
    let stranger = TestAccount::new("/bin/dash");
    let connection = reach(&target(&sshd, &stranger)).await.unwrap();
    let error = connection.exec(Exec::root("true")).await.unwrap_err();
    assert!(
        matches!(&error, TransportError::Privilege { user, why, .. } if *user == stranger.name && why.to_string().contains("sudo")),
        "{error}"
    );

    let with_password = TestAccount::new("/bin/dash");
    with_password.sudoers(&format!("{} ALL=(ALL) ALL\n", with_password.name));
    let connection = reach(&target(&sshd, &with_password)).await.unwrap();
    let error = connection.exec(Exec::root("true")).await.unwrap_err();
    assert!(
        matches!(
            &error,
            TransportError::Privilege {
                why: PrivilegeReason::PasswordNeeded(_),
                ..
            }
        ),
        "{error}"
    );

    let narrow = TestAccount::new("/bin/dash");
    narrow.sudoers(&format!("{} ALL=(ALL) NOPASSWD: /bin/true\n", narrow.name));
    let connection = reach(&target(&sshd, &narrow)).await.unwrap();
    let error = connection.exec(Exec::root("true")).await.unwrap_err();
    assert!(matches!(error, TransportError::Privilege { .. }), "{error}");

    let mut plain = target(&sshd, &narrow);
    plain.become_root = false;
    let error = reach(&plain)
        .await
        .unwrap()
        .exec(Exec::root("true"))
        .await
        .unwrap_err();
    assert!(
        matches!(
            &error,
            TransportError::Privilege {
                why: PrivilegeReason::NotAllowed,
                ..
            }
        ),
        "{error}"
    );
    // A script that prints the words of sudo and fails is no lack of privilege.
    let script = "echo 'sudo: a password is required' >&2; exit 1";
    let login = Exec {
        privilege: Privilege::Login,
        ..Exec::root(script)
    };
    assert_eq!(connection.exec(login).await.unwrap().status, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn account_without_shell_runs_no_command() {
    let sshd = Sshd::start("");
    for shell in ["/usr/sbin/nologin", "/bin/true"] {
        let account = TestAccount::with_sudo(shell);
        let error = reach(&target(&sshd, &account))
            .await
            .unwrap()
            .exec(Exec::root("true"))
            .await
            .unwrap_err();
        assert!(
            matches!(error, TransportError::NoShell(_)),
            "{shell}: {error}"
        );
    }
    let sshd = Sshd::start("ForceCommand echo only this");
    let error = reach(&sshd.target())
        .await
        .unwrap()
        .exec(Exec::root("true"))
        .await
        .unwrap_err();
    assert!(matches!(error, TransportError::NoShell(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_accounts_with_current_groups() {
    let sshd = Sshd::start("");
    let login = TestAccount::with_sudo("/bin/bash");
    let other = TestAccount::new("/usr/sbin/nologin");
    super::sshd::must("usermod", &["-a", "-G", "games", &other.name]);
    for target in [sshd.target(), target(&sshd, &login)] {
        let connection = reach(&target).await.unwrap();
        let privilege = Privilege::User(other.name.clone());
        let exec = Exec {
            privilege,
            stdin: b"in".to_vec(),
            ..Exec::root("id -un; id -Gn; echo $HOME; cat")
        };
        let output = connection.exec(exec).await.unwrap();
        let wanted = format!("{0}\n{0} games\n/home/{0}\nin", other.name);
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            wanted,
            "{}",
            output.stderr_tail()
        );
    }
}
