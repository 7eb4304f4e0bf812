//! `skep ping`: reachable hosts, and the sources of their settings.

use super::stage::Stage;
use super::{golden_at_both_widths, redact};

#[test]
fn reachable_and_unreachable_hosts() {
    let mut stage = Stage::new(2);
    stage.hosts[1].stop();
    golden_at_both_widths("ping", |width| {
        redact::align(&stage.skep(width, &["ping", "-i", "inventory.toml"]))
    });
    golden_at_both_widths("ping_verbose", |width| {
        redact::align(&stage.skep(width, &["ping", "-v", "-i", "inventory.toml"]))
    });
}

#[test]
fn host_keys() {
    let stage = Stage::new(1);
    let ping = |width| redact::align(&stage.skep(width, &["ping", "-i", "inventory.toml"]));
    let host = &stage.hosts[0];
    let other = crate::ssh::sshd::public(&host.path("client"));
    stage.write(
        "known_hosts",
        &format!("[{}]:{} {other}\n", host.address, host.port),
    );
    golden_at_both_widths("ping_changed_host_key", ping);
    let inventory = std::fs::read_to_string(stage.path("inventory.toml")).unwrap();
    stage.write(
        "inventory.toml",
        &inventory.replace("[defaults]", "[defaults]\nhost_keys = 'strict'"),
    );
    stage.write("known_hosts", "");
    golden_at_both_widths("ping_unknown_host_key", ping);
}
