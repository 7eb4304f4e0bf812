//! Real configurations, resolved with the real `ssh` and without it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use super::*;
use crate::inventory::{HostKeyPolicy, IdentityAgent, SettingOrigin, SshProxy};
use crate::names::HostName;

/// Returns the host `web` under a configuration, and the warnings about it.
async fn resolved(
    config: &str,
    given: impl FnOnce(&mut SshTarget),
) -> (Result<SshTarget, TransportError>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    std::fs::write(&file, config).unwrap();
    let mut target = SshTarget::new(HostName::new("web"), "web".into());
    target.ssh_config = SshConfigFile::File(file);
    given(&mut target);
    let asked = SshConfig::default();
    let result = asked.resolve(&target).await;
    let warnings = asked.warnings.lock().unwrap().iter().cloned().collect();
    (result, warnings)
}

#[tokio::test]
async fn every_supported_setting_is_read() {
    let config = "Host web\n HostName %h.example.org\n Port 2222\n User ann\n IdentityFile ~/.ssh/a-%h\n IdentityFile /b\n \
        IdentitiesOnly yes\n IdentityAgent /run/agent\n CertificateFile /c-cert.pub\n ProxyJump one,ann@two:23\n \
        UserKnownHostsFile /k1 /k2\n GlobalKnownHostsFile /k3\n StrictHostKeyChecking yes\n HostKeyAlias alias\n \
        HashKnownHosts yes\n ConnectTimeout 7\n ServerAliveInterval 5\n ServerAliveCountMax 2\n \
        KexAlgorithms curve25519-sha256\n Ciphers aes256-ctr\n MACs hmac-sha2-256\n HostKeyAlgorithms ssh-ed25519\n \
        PreferredAuthentications publickey,password\n PasswordAuthentication no\n AddressFamily inet6\n BindAddress ::1\n";
    let (target, warnings) = resolved(config, |_| {}).await;
    let target = target.unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(
        (target.address.as_str(), target.port, target.user.as_str()),
        ("web.example.org", 2222, "ann")
    );
    let home = std::env::home_dir().unwrap();
    assert_eq!(
        target.identity_files,
        [home.join(".ssh/a-web.example.org"), "/b".into()]
    );
    assert_eq!(target.known_hosts, ["/k1", "/k2", "/k3"].map(PathBuf::from));
    assert_eq!(target.host_key_policy, HostKeyPolicy::Strict);
    assert_eq!(target.connect_timeout, Duration::from_secs(7));
    let ssh = &target.ssh;
    assert_eq!(ssh.proxy, SshProxy::Jump("one,ann@two:23".into()));
    assert_eq!(ssh.host_key_alias.as_deref(), Some("alias"));
    assert!(ssh.identities_only && ssh.hash_known_hosts);
    assert_eq!(
        ssh.identity_agent,
        IdentityAgent::Socket("/run/agent".into())
    );
    assert_eq!(ssh.certificate_files, [PathBuf::from("/c-cert.pub")]);
    assert_eq!(
        ssh.keepalive.map(|alive| (alive.interval, alive.count)),
        Some((Duration::from_secs(5), 2))
    );
    let one = |name: &str| Some(vec![name.to_owned()]);
    assert_eq!(
        (&ssh.key_exchanges, &ssh.ciphers),
        (&one("curve25519-sha256"), &one("aes256-ctr"))
    );
    assert_eq!(
        (&ssh.macs, &ssh.host_key_algorithms),
        (&one("hmac-sha2-256"), &one("ssh-ed25519"))
    );
    assert_eq!(ssh.methods, one("publickey"));
    assert_eq!(ssh.bind_address.as_deref(), Some("::1"));
    assert!(
        target
            .origins
            .values()
            .all(|origin| *origin == SettingOrigin::SshConfig),
        "{:?}",
        target.origins
    );
}

#[tokio::test]
async fn the_inventory_takes_precedence_and_match_rules_see_it() {
    let config = "Match user ann\n Port 2200\n ProxyCommand nc %h %p\nMatch all\n User bob\n Port 2201\n IdentityFile /b\n";
    let (target, _) = resolved(config, |target| {
        target.user = "ann".into();
        target.identity_files = vec!["/own".into()];
        target.origins.extend([
            ("user", SettingOrigin::Inventory),
            ("identity_file", SettingOrigin::Inventory),
        ]);
    })
    .await;
    let target = target.unwrap();
    assert_eq!(
        (target.user.as_str(), target.port),
        ("ann", 2200),
        "`Match user` sees the inventory's user"
    );
    assert_eq!(target.identity_files, [PathBuf::from("/own")]);
    assert_eq!(target.ssh.proxy, SshProxy::Command("nc %h %p".into()));
    assert_eq!(target.origins["port"], SettingOrigin::SshConfig);

    let (target, _) = resolved("ConnectTimeout 0\n", |_| {}).await;
    let target = target.unwrap();
    assert_eq!(
        target.connect_timeout,
        Duration::from_secs(10),
        "zero does not set a limit"
    );
    assert!(!target.origins.contains_key("connect_timeout"));

    let (target, _) = resolved("ProxyJump bastion\n", |target| {
        target.origins.insert("proxy", SettingOrigin::Inventory);
    })
    .await;
    assert_eq!(
        target.unwrap().ssh.proxy,
        SshProxy::Direct,
        "`proxy_jump = \"none\"` switches it off"
    );
}

#[tokio::test]
async fn unsupported_settings_are_warnings_and_invalid_ones_are_errors() {
    let config = "Host web\n VerifyHostKeyDNS yes\n ForwardAgent yes\n StrictHostKeyChecking no\n";
    let (target, warnings) = resolved(config, |_| {}).await;
    assert_eq!(target.unwrap().host_key_policy, HostKeyPolicy::AcceptNew);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings
            .iter()
            .any(|text| text.contains("verifyhostkeydns is not supported")),
        "{warnings:?}"
    );
    assert!(
        warnings
            .iter()
            .any(|text| text.contains("still refuses a changed host key")),
        "{warnings:?}"
    );

    let (target, _) = resolved("Host web\n NoSuchSetting yes\n", |_| {}).await;
    let error = target.unwrap_err();
    assert!(error.to_string().contains("nosuchsetting"), "{error}");
    let (target, _) = resolved("Host web\n IdentityFile ${SKEP_NO_SUCH_NAME}/x\n", |_| {}).await;
    let error = target.unwrap_err();
    assert!(
        error.to_string().starts_with("IdentityFile (")
            && error.to_string().contains("SKEP_NO_SUCH_NAME"),
        "{error}"
    );
}

/// Resolves a configuration without `ssh`; returns the host and the warnings.
fn without_the_program(
    config: &str,
    given: impl FnOnce(&mut SshTarget),
) -> (Result<SshTarget, TransportError>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    std::fs::write(&file, config).unwrap();
    let mut target = SshTarget::new(HostName::new("web"), "web".into());
    target.ssh_config = SshConfigFile::File(file.clone());
    given(&mut target);
    match by_itself(&target, Some(&file), &file) {
        Ok((target, warnings)) => (Ok(target), warnings),
        Err(error) => (Err(error), Vec::new()),
    }
}

/// Compares the results of the real `ssh` with those of skep's own reader.
#[tokio::test]
async fn skeps_own_reader_agrees_with_ssh() {
    let include = tempfile::tempdir().unwrap();
    std::fs::write(
        include.path().join("a.conf"),
        "User included\nHost web\n Port 77\nHost other\n Port 78\n",
    )
    .unwrap();
    std::fs::write(include.path().join("b.conf"), "Host *\n ConnectTimeout 9\n").unwrap();
    let included = format!(
        "Host w*\n Include {}/*.conf\n HostName inner\nHost *\n Port 1\n",
        include.path().display()
    );
    let elsewhere = format!(
        "Host other\n Include {}/*.conf\nHost *\n Port 1\n",
        include.path().display()
    );
    let configs = [
        "Host web\n HostName %h.example.org\n Port 2222\n User ann\n IdentityFile ~/.ssh/a-%h\n IdentityFile /b\n IdentityFile /b\n",
        "Host web\n IdentitiesOnly yes\n IdentityAgent /run/agent\n CertificateFile /c-cert.pub\n",
        "Host web\n ProxyJump one,ann@two:23\n ProxyCommand nc x\n",
        "Host web\n ProxyCommand ssh -W \"%h:%p\" b # x\n ProxyJump one\n",
        "Host web\n UserKnownHostsFile /k1 /k2\n GlobalKnownHostsFile /k3\n StrictHostKeyChecking yes\n HostKeyAlias al\n HashKnownHosts yes\n",
        "Host web\n ConnectTimeout 1m30s\n ServerAliveInterval 5\n ServerAliveCountMax 2\n AddressFamily inet6\n BindAddress ::1\n",
        "Host web\n ServerAliveInterval 7\n ConnectTimeout 0\n",
        "Host web\n KexAlgorithms curve25519-sha256\n Ciphers aes256-ctr\n MACs hmac-sha2-256\n HostKeyAlgorithms ssh-ed25519\n",
        "Host web\n PreferredAuthentications publickey,password\n PasswordAuthentication no\n",
        "Host db\n Port 1\nHost w?b !web\n Port 2\nHost a web b\n Port 3\nHost *\n Port 4\n User last\n",
        "Host=web\nPort = \"33\" # three\n\tUSER\t'a b'\n",
        "Port 5\nHost web\n Port 6\n",
        "Match host web\n Port 7\nMatch !host web\n Port 8\n",
        "HostName other\nMatch host other originalhost w*,!we\n Port 9\n",
        "User ann\nMatch user ann\n Port 10\nMatch user !ann,*\n Port 11\nMatch all\n User bob\n",
        "Match originalhost web,db localuser *\n Port 12\n",
        "IgnoreUnknown Foo*,bar\nFooBar 1\nBar x\nHost web\n Port 13\n",
        "StrictHostKeyChecking accept-new\nHost WEB\n Port 14\n",
        "HostName %h%%x\n",
        "Host web\n IdentityAgent ~/a-%r-%%\n UserKnownHostsFile ~/k-%h-%% /%%h\n GlobalKnownHostsFile /g%%h\n",
        "Host web\n IdentityFile ~/i-%h-%%\n CertificateFile ${HOME}/c-%h-%%\n ProxyCommand nc %h %%\n",
        "# caf\u{e9}\nHost web\n Port 3\n",
        "Match originalhost bastion exec \"true\"\n Port 2200\nHost web\n HostName 10.0.0.1\n",
        "Match exec \"true\" originalhost bastion\n Port 2200\nHost web\n HostName 10.0.0.1\n",
        "Host *\n CanonicalizeHostname yes\nHost web\n HostName %h.example\nHost *.example\n Port 2222\n User ann\n",
        "CanonicalizeHostname no\nHost web\n HostName %h.example\nHost *.example\n Port 2222\n",
        "Host web\n HostName 10.0.0.1\nMatch final host 10.0.0.1\n User ann\nMatch !final\n Port 3\n",
        "Match canonical\n User ann\nMatch all\n Port 3\n",
        "Match host WEB\n Port 3\nMatch originalhost wEb\n User ann\n",
        "Host web\n UserKnownHostsFile none\n",
        "Host web\n GlobalKnownHostsFile /k\n",
        "Host web\n UserKnownHostsFile /k\n StrictHostKeyChecking OFF\n",
        "Protocol 2\nCipher blowfish\nUseRoaming no\nHost web\n Port 4\n",
        "ChallengeResponseAuthentication no\nHost web\n KeepAlive yes\n Port 4\n",
        "Host web\n SendEnv LANG LC_*\n LocalForward 1 b:2\n Port 4\n",
        &included,
        &elsewhere,
    ];
    for config in configs {
        let (asked, _) = resolved(config, |_| {}).await;
        let (read, warnings) = without_the_program(config, |_| {});
        let plain = |target: Result<SshTarget, TransportError>| {
            let mut target = target.unwrap_or_else(|error| panic!("{config}: {error}"));
            // The paths of the two files differ, and `ssh -G` does not show that a file sets a
            // default value.
            (target.ssh_config, target.origins) =
                (SshConfigFile::Off, std::collections::BTreeMap::new());
            target
        };
        assert_eq!(
            format!("{:#?}", plain(read)),
            format!("{:#?}", plain(asked)),
            "{config}"
        );
        let odd: Vec<&String> = warnings
            .iter()
            .filter(|text| !text.contains("applies to new host keys only"))
            .collect();
        assert!(odd.is_empty(), "{config}: {odd:?}");
    }
    for refused in [
        "Hots web\n HostName 10.0.0.1\n",
        "\u{feff}Host web\n Port 1\n",
        "StrictHostKeyChecking maybe\n",
        "AddressFamily ipv4\n",
        "BatchMode perhaps\n",
        "PubkeyAuthentication maybe\n",
        "ServerAliveCountMax x\n",
        "Compression 5\n",
        "Match nosuch x\n",
        "Match all host web\n",
        "Match host\n",
        "ForwardX11 yes no\n",
        "UseKeychain yes\n",
        "Port x\n",
        "Port 0\n",
        "User a b\n",
        "Host \"web\n",
        "Port\n",
        "ConnectTimeout soon\n",
    ] {
        let (asked, _) = resolved(refused, |_| {}).await;
        let (read, _) = without_the_program(refused, |_| {});
        assert!(
            asked.is_err() && read.is_err(),
            "{refused}: {asked:?} {read:?}"
        );
        let said = read.unwrap_err().to_string();
        assert!(said.contains("config:1"), "{said}");
    }
}

#[test]
fn without_ssh_unsupported_settings_are_warnings_and_the_inventory_takes_precedence() {
    let config = "Match exec \"test -e /\" host web\n User evil\nMatch all\n Ciphers +aes128-cbc\n \
        VerifyHostKeyDNS yes\nHost web\n Port 2201\n User ann\n IdentityFile /b\n";
    let (target, warnings) = without_the_program(config, |target| {
        target.identity_files = vec!["/own".into()];
        target
            .origins
            .insert("identity_file", SettingOrigin::Inventory);
    });
    let target = target.unwrap();
    assert_eq!(
        (target.port, target.user.as_str(), &target.ssh.proxy),
        (2201, "ann", &SshProxy::Direct)
    );
    assert_eq!(target.identity_files, [PathBuf::from("/own")]);
    assert_eq!(target.origins["port"], SettingOrigin::SshConfig);
    assert_eq!(
        target.ssh.ciphers,
        Some(vec!["+aes128-cbc".to_owned()]),
        "changes skep's own list"
    );
    let named = |words: &str| {
        assert!(
            warnings.iter().any(|text| text.contains(words)),
            "{words}: {warnings:?}"
        );
    };
    named("config:1: only the program `ssh` can evaluate `Match exec test -e / host web`");
    named("the setting verifyhostkeydns is not supported");
    assert_eq!(warnings.len(), 2, "{warnings:?}");
}

/// A setting that `ssh` checks in a block for another host is refused, too.
#[tokio::test]
async fn lines_for_other_hosts_are_checked() {
    for refused in ["Host db\n Port x\n", "Host db\n NoSuchSetting 1\n"] {
        let (asked, _) = resolved(refused, |_| {}).await;
        let (read, _) = without_the_program(refused, |_| {});
        assert!(asked.is_err(), "{refused}: {asked:?}");
        let said = read.unwrap_err().to_string();
        assert!(said.contains("config:2"), "{said}");
    }
}

#[test]
fn without_ssh_a_block_is_not_skipped_if_it_says_how_a_host_is_reached() {
    for setting in [
        "ProxyJump b",
        "UserKnownHostsFile /k",
        "StrictHostKeyChecking yes",
        "Include /x",
    ] {
        let config = format!("Match exec true\n {setting}\nHost web\n User ann\n");
        let (read, _) = without_the_program(&config, |_| {});
        let said = read.unwrap_err().to_string();
        assert!(
            said.contains("config:2") && said.contains("install openssh-client"),
            "{said}"
        );
    }
    let dns = "CanonicalizeHostname yes\nCanonicalDomains example.org\n";
    let (read, _) = without_the_program(dns, |_| {});
    let said = read.unwrap_err().to_string();
    assert!(said.contains("looks names up in the DNS"), "{said}");
}

#[tokio::test]
async fn new_keys_are_never_written_to_the_global_file() {
    for config in [
        "UserKnownHostsFile none\nGlobalKnownHostsFile /g\n",
        "GlobalKnownHostsFile /g\n",
    ] {
        let (asked, _) = resolved(config, |_| {}).await;
        let (read, _) = without_the_program(config, |_| {});
        for target in [asked.unwrap(), read.unwrap()] {
            let files = &target.known_hosts;
            assert_ne!(files[0], PathBuf::from("/g"), "{config}: {files:?}");
            assert!(files.contains(&PathBuf::from("/g")), "{config}: {files:?}");
        }
    }
}

#[tokio::test]
async fn without_ssh_each_warning_is_given_once_and_the_configuration_can_be_switched_off() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    std::fs::write(&file, "Match exec true\n User x\nMatch all\n Port 2222\n").unwrap();
    let mut target = SshTarget::new(HostName::new("web"), "web".into());
    target.ssh_config = SshConfigFile::File(file);
    let asked = SshConfig {
        program: folder.path().join("no-ssh"),
        ..SshConfig::default()
    };
    for _ in 0..2 {
        assert_eq!(asked.resolve(&target).await.unwrap().port, 2222);
    }
    assert_eq!(asked.warnings.lock().unwrap().len(), 1);
    target.ssh_config = SshConfigFile::Off;
    assert_eq!(asked.resolve(&target).await.unwrap().port, 22);
}
