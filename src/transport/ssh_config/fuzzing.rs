//! Invariants for any SSH configuration: values of the inventory stay unchanged, and a changed host
//! key is never accepted.

use std::path::Path;

use super::output::HostSettings;
use super::tokens::TokenValues;
use super::{file, overlay, presence};
use crate::inventory::{SettingOrigin, SshProxy, SshTarget};
use crate::names::HostName;
use crate::transport::network::hop;

/// See [`crate::fuzzing::settings`].
pub(crate) fn settings(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (printed, own) = text.split_once('\0').unwrap_or((&text, ""));
    let _ = own.lines().any(presence::has_effect);
    let defaults =
        HostSettings::parse("host skep\nport 22\nuser root\nstricthostkeychecking ask\n");
    laid_over(&HostSettings::parse(printed), &defaults);
    let target = SshTarget::new(HostName::new("web"), "web".into());
    if let Ok(read) = file::ParsedConfig::of_text(own, &target) {
        assert!(read.unread.len() <= own.lines().count());
        laid_over(&read.printed, &HostSettings::default());
    }
}

fn laid_over(printed: &HostSettings, defaults: &HostSettings) {
    let plain = SshTarget::new(HostName::new("web"), "web".into());
    let mut given = plain.clone();
    let settings = [
        "user",
        "port",
        "identity_file",
        "known_hosts",
        "host_keys",
        "proxy",
        "connect_timeout",
        "agent",
        "address",
    ];
    given
        .origins
        .extend(settings.map(|setting| (setting, SettingOrigin::Inventory)));
    for (target, is_given) in [(plain, false), (given, true)] {
        let Ok((found, warnings)) =
            overlay::overlay(&target, printed, defaults, Path::new("/config"))
        else {
            continue;
        };
        assert!(warnings.len() <= printed.keywords().count() + 1);
        if is_given {
            assert_eq!(
                (
                    &found.user,
                    found.port,
                    &found.identity_files,
                    &found.known_hosts,
                    found.host_key_policy
                ),
                (
                    &target.user,
                    target.port,
                    &target.identity_files,
                    &target.known_hosts,
                    target.host_key_policy
                )
            );
            assert_eq!(
                (&found.ssh.proxy, found.connect_timeout),
                (&target.ssh.proxy, target.connect_timeout)
            );
        }
        match &found.ssh.proxy {
            SshProxy::Command(command) => {
                let _ = TokenValues {
                    target: &found,
                    original: "web",
                }
                .replace(command);
            }
            SshProxy::Jump(list) => list.split(',').for_each(|one| {
                if let Ok(hop) = hop::parse(one) {
                    // The host goes into tokens and messages, so it must be one plain word.
                    assert!(
                        !hop.host.starts_with('-') && !hop.host.contains(char::is_whitespace),
                        "{hop:?}"
                    );
                }
            }),
            SshProxy::Direct => {}
        }
    }
}
