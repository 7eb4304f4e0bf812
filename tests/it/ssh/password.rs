//! Logins without a key, and with a key and a password.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use secrecy::SecretString;
use skep::inventory::SshTarget;
use skep::transport::{
    ConnectOptions, Connection as _, Exec, KnownHosts, KnownSecrets, SecretPrompt, SecretStore,
    TransportError, connect_with,
};

use super::sshd::{Sshd, TestAccount, bare_options, keygen, must, public};

const PASSWORD: &str = "correct horse";

/// Answers every question with the same text, and counts the questions.
struct FixedPrompt(&'static str, AtomicUsize);

#[async_trait::async_trait]
impl SecretPrompt for FixedPrompt {
    async fn ask(&self, _: &str) -> Option<SecretString> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Some(self.0.into())
    }
}

fn knowing(password: &str) -> ConnectOptions {
    let known = KnownSecrets {
        password: Some(password.into()),
        ..KnownSecrets::default()
    };
    ConnectOptions {
        secrets: Arc::new(SecretStore::new(known, None)),
        ..bare_options()
    }
}

async fn enter(target: &SshTarget, options: &ConnectOptions) -> Result<(), TransportError> {
    let connection = connect_with(target, &KnownHosts::load(&target.known_hosts)?, options).await?;
    assert!(
        connection
            .exec(Exec {
                privilege: skep::transport::Privilege::Login,
                ..Exec::root("true")
            })
            .await?
            .success()
    );
    Ok(())
}

fn without_keys(sshd: &Sshd, account: &TestAccount) -> SshTarget {
    SshTarget {
        user: account.name.clone(),
        identity_files: Vec::new(),
        ..sshd.target()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn password_is_sent_once_by_either_method() {
    let account = TestAccount::new("/bin/dash");
    account.set_password(PASSWORD);
    for further in [
        "PasswordAuthentication yes\nKbdInteractiveAuthentication no",
        "PasswordAuthentication no\nKbdInteractiveAuthentication yes\nUsePAM yes",
        "PasswordAuthentication yes\nKbdInteractiveAuthentication yes\nUsePAM yes",
    ] {
        let sshd = Sshd::start(further);
        let target = without_keys(&sshd, &account);
        enter(&target, &knowing(PASSWORD))
            .await
            .unwrap_or_else(|error| panic!("{further}: {error}"));
        let error = enter(&target, &knowing("wrong")).await.unwrap_err();
        let TransportError::Authentication { tried, .. } = &error else {
            panic!("{error}")
        };
        assert!(!tried.contains("wrong"), "{tried}");
        let failures = sshd.log().matches("Failed password").count()
            + sshd.log().matches("Failed keyboard").count();
        assert!(failures <= 1, "{further}: {}", sshd.log());
        // Without a password, skep does not guess.
        let error = enter(&target, &bare_options()).await.unwrap_err();
        assert!(
            matches!(&error, TransportError::Authentication { tried, .. } if tried.contains("no key or password to offer")),
            "{error}"
        );
        assert!(error.hint().contains("--ask-pass"));
        // The inventory names a command.
        let mut target = target.clone();
        target.password_command = Some(format!("echo '{PASSWORD}'"));
        enter(&target, &bare_options()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_and_password_are_both_required() {
    let account = TestAccount::new("/bin/dash");
    account.set_password(PASSWORD);
    let sshd = Sshd::start("AuthenticationMethods publickey,password\nPasswordAuthentication yes");
    let target = SshTarget {
        user: account.name.clone(),
        ..sshd.target()
    };
    enter(&target, &knowing(PASSWORD)).await.unwrap();
    assert!(enter(&target, &bare_options()).await.is_err());

    let sshd = Sshd::start(
        "AuthenticationMethods publickey,keyboard-interactive\nKbdInteractiveAuthentication yes\nUsePAM yes",
    );
    let target = SshTarget {
        user: account.name.clone(),
        ..sshd.target()
    };
    let asker = Arc::new(FixedPrompt(PASSWORD, AtomicUsize::new(0)));
    let secrets = Arc::new(SecretStore::new(
        KnownSecrets::default(),
        Some(asker.clone()),
    ));
    enter(
        &target,
        &ConnectOptions {
            secrets,
            ..bare_options()
        },
    )
    .await
    .unwrap();
    assert_eq!(
        asker.1.load(Ordering::Relaxed),
        1,
        "the user saw the server's question"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn passphrase_is_asked_once_for_all_hosts() {
    let sshd = Sshd::start("");
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
            "opensesame",
            "-a",
            "2",
            "-f",
            key.to_str().unwrap(),
        ],
    );
    let target = SshTarget {
        identity_files: vec![key.clone()],
        ..sshd.target()
    };
    let asker = Arc::new(FixedPrompt("opensesame", AtomicUsize::new(0)));
    let secrets = Arc::new(SecretStore::new(
        KnownSecrets::default(),
        Some(asker.clone()),
    ));
    let options = ConnectOptions {
        secrets,
        ..bare_options()
    };
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (target, options) = (target.clone(), options.clone());
        tasks.spawn(async move { enter(&target, &options).await });
    }
    for result in tasks.join_all().await {
        result.unwrap();
    }
    assert_eq!(asker.1.load(Ordering::Relaxed), 1);

    let known = KnownSecrets {
        passphrase: Some("opensesame".into()),
        ..KnownSecrets::default()
    };
    let options = ConnectOptions {
        secrets: Arc::new(SecretStore::new(known, None)),
        ..bare_options()
    };
    enter(&target, &options).await.unwrap();

    let asker = Arc::new(FixedPrompt("wrong", AtomicUsize::new(0)));
    let secrets = Arc::new(SecretStore::new(
        KnownSecrets::default(),
        Some(asker.clone()),
    ));
    let error = enter(
        &target,
        &ConnectOptions {
            secrets,
            ..bare_options()
        },
    )
    .await
    .unwrap_err();
    assert!(
        matches!(&error, TransportError::Key { path, why, .. } if *path == key && why.contains("the passphrase is wrong")),
        "{error}"
    );
    assert_eq!(asker.1.load(Ordering::Relaxed), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn key_readable_by_others_is_refused() {
    let sshd = Sshd::start("");
    must("chmod", &["644", sshd.path("client").to_str().unwrap()]);
    let error = super::reach(&sshd.target()).await.err().unwrap();
    assert!(
        matches!(&error, TransportError::Key { why, .. } if why.contains("0644")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn password_command_runs_once_for_all_hosts() {
    let account = TestAccount::new("/bin/dash");
    account.set_password(PASSWORD);
    let sshd = Sshd::start("PasswordAuthentication yes");
    let mut target = without_keys(&sshd, &account);
    let witness = sshd.path("witness");
    target.password_command = Some(format!("echo x >>{}; echo '{PASSWORD}'", witness.display()));
    let options = bare_options();
    for _ in 0..3 {
        enter(&target, &options).await.unwrap();
    }
    assert_eq!(std::fs::read_to_string(witness).unwrap(), "x\n");
}
