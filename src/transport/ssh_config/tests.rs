//! Real configurations, asked from the real `ssh`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use super::*;
use crate::inventory::{HostKeyPolicy, HostName, IdentityAgent, Origin, Proxy};

/// The host `web` under a configuration, and the warnings about it.
async fn resolved(config: &str, given: impl FnOnce(&mut Target)) -> (Result<Target, TransportError>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    std::fs::write(&file, config).unwrap();
    let mut target = Target::new(HostName::new("web"), "web".into());
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
    assert_eq!((target.address.as_str(), target.port, target.user.as_str()), ("web.example.org", 2222, "ann"));
    let home = std::env::home_dir().unwrap();
    assert_eq!(target.identity_files, [home.join(".ssh/a-web.example.org"), "/b".into()]);
    assert_eq!(target.known_hosts, ["/k1", "/k2", "/k3"].map(PathBuf::from));
    assert_eq!(target.host_key_policy, HostKeyPolicy::Strict);
    assert_eq!(target.connect_timeout, Duration::from_secs(7));
    let ssh = &target.ssh;
    assert_eq!(ssh.proxy, Proxy::Jump("one,ann@two:23".into()));
    assert_eq!(ssh.host_key_alias.as_deref(), Some("alias"));
    assert!(ssh.identities_only && ssh.hash_known_hosts);
    assert_eq!(ssh.identity_agent, IdentityAgent::Socket("/run/agent".into()));
    assert_eq!(ssh.certificate_files, [PathBuf::from("/c-cert.pub")]);
    assert_eq!(ssh.keepalive.map(|alive| (alive.interval, alive.count)), Some((Duration::from_secs(5), 2)));
    let one = |name: &str| Some(vec![name.to_owned()]);
    assert_eq!((&ssh.key_exchanges, &ssh.ciphers), (&one("curve25519-sha256"), &one("aes256-ctr")));
    assert_eq!((&ssh.macs, &ssh.host_key_algorithms), (&one("hmac-sha2-256"), &one("ssh-ed25519")));
    assert_eq!(ssh.methods, one("publickey"));
    assert_eq!(ssh.bind_address.as_deref(), Some("::1"));
    assert!(target.origins.values().all(|origin| *origin == Origin::SshConfig), "{:?}", target.origins);
}

#[tokio::test]
async fn the_inventory_wins_and_is_known_to_the_rules() {
    let config =
        "Match user ann\n Port 2200\n ProxyCommand nc %h %p\nMatch all\n User bob\n Port 2201\n IdentityFile /b\n";
    let (target, _) = resolved(config, |target| {
        target.user = "ann".into();
        target.identity_files = vec!["/own".into()];
        target.origins.extend([("user", Origin::Inventory), ("identity_file", Origin::Inventory)]);
    })
    .await;
    let target = target.unwrap();
    assert_eq!((target.user.as_str(), target.port), ("ann", 2200), "`Match user` sees the inventory's user");
    assert_eq!(target.identity_files, [PathBuf::from("/own")]);
    assert_eq!(target.ssh.proxy, Proxy::Command("nc %h %p".into()));
    assert_eq!(target.origins["port"], Origin::SshConfig);

    let (target, _) = resolved("ProxyJump bastion\n", |target| {
        target.origins.insert("proxy", Origin::Inventory);
    })
    .await;
    assert_eq!(target.unwrap().ssh.proxy, Proxy::Direct, "`proxy_jump = \"none\"` switches it off");
}

#[tokio::test]
async fn what_cannot_be_followed_is_named_and_what_is_wrong_too() {
    let config = "Host web\n VerifyHostKeyDNS yes\n ForwardAgent yes\n StrictHostKeyChecking no\n";
    let (target, warnings) = resolved(config, |_| {}).await;
    assert_eq!(target.unwrap().host_key_policy, HostKeyPolicy::AcceptNew);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings.iter().any(|text| text.contains("verifyhostkeydns is not supported")), "{warnings:?}");
    assert!(warnings.iter().any(|text| text.contains("a changed one is refused")), "{warnings:?}");

    let (target, _) = resolved("Host web\n NoSuchSetting yes\n", |_| {}).await;
    let error = target.unwrap_err();
    assert!(error.to_string().contains("nosuchsetting"), "{error}");
    let (target, _) = resolved("Host web\n IdentityFile ${SKEP_NO_SUCH_NAME}/x\n", |_| {}).await;
    let error = target.unwrap_err();
    assert!(
        error.to_string().starts_with("IdentityFile (") && error.to_string().contains("SKEP_NO_SUCH_NAME"),
        "{error}"
    );
}

#[tokio::test]
async fn without_the_program_the_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    std::fs::write(&file, "Port 2222\n").unwrap();
    let mut target = Target::new(HostName::new("web"), "web".into());
    target.ssh_config = SshConfigFile::File(file.clone());
    let asked = SshConfig { program: folder.path().join("no-ssh"), ..SshConfig::default() };
    for _ in 0..2 {
        assert_eq!(asked.resolve(&target).await.unwrap().port, 22);
    }
    let warnings = asked.warnings.lock().unwrap().iter().cloned().collect::<Vec<_>>();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains(&file.display().to_string()), "{warnings:?}");
    target.ssh_config = SshConfigFile::Off;
    assert_eq!(asked.resolve(&target).await.unwrap().port, 22);
}
