//! `skep schedule` on a machine with systemd: the node checks itself by a timer.

use std::time::Duration;

use crate::test_lab::TestLab;

/// Highest exposure that `systemd-analyze security` may report, in tenths: 0 is none, 100 the
/// maximum. docs/schedule.md states the figure.
const MOST_EXPOSURE: u32 = 15;

pub fn timer_runs_check_and_drift_fails_unit(lab: &TestLab, node: &str) {
    lab.put(node, env!("CARGO_BIN_EXE_skep"), "/usr/local/bin/skep");
    lab.on(
        node,
        r#"mkdir -p '/srv/my cluster' && cd '/srv/my cluster' && ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519 &&
           cat /root/.ssh/id_ed25519.pub >>/root/.ssh/authorized_keys && ssh-keyscan 127.0.0.1 >>/root/.ssh/known_hosts &&
           printf '[defaults]\nuser = "root"\nagent = false\n[hosts.self]\naddress = "127.0.0.1"\n' >inventory.toml &&
           printf '[[plays]]\nname = "a"\nhosts = "all"\nresources = [{ directory = { path = "/srv/{{ vars.odd }}" } }]\n' >playbook.toml"#,
    );
    let odd = r"cd '/srv/my cluster' && skep schedule install --every 15m -e 'odd=5$ 100% a\b' -i inventory.toml playbook.toml";
    lab.on(node, odd);
    lab.on(node, "systemd-analyze verify /etc/systemd/system/skep-check.service /etc/systemd/system/skep-check.timer 2>&1 | (! grep .)");
    lab.on(
        node,
        &format!("systemd-analyze security --threshold={MOST_EXPOSURE} --no-pager skep-check.service >/dev/null"),
    );
    assert_eq!(
        lab.on(
            node,
            "systemctl is-active skep-check.timer; systemctl is-enabled skep-check.timer"
        ),
        "active\nenabled"
    );

    let shown = |exit: &str| {
        lab.until(
            node,
            "systemctl show -p ActiveState --value skep-check.service | grep -v activating",
            Duration::from_secs(30),
        );
        let text = lab.on(node, "skep schedule show");
        assert!(
            text.contains(exit),
            "{text}\n{}",
            lab.on(node, "journalctl -u skep-check.service --no-pager")
        );
    };
    assert_ne!(
        lab.try_on(node, "systemctl start skep-check.service").0,
        0,
        "drift fails the unit"
    );
    shown("exit code 3, drift");
    lab.on(node, r"mkdir -p '/srv/5$ 100% a\b'");
    lab.on(node, "systemctl start skep-check.service");
    shown("exit code 0, in sync");

    let (status, text) = lab.try_on(
        node,
        "cd '/srv/my cluster'; f=$(ls /var/lib/skep-check/skep/check-*.lock) && XDG_STATE_HOME=/var/lib/skep-check \
         flock $f skep check --single -e 'odd=5$ 100% a\\b' -i inventory.toml playbook.toml",
    );
    assert!(
        status == 1 && text.contains("still runs"),
        "{status}: {text}"
    );

    lab.on(
        node,
        "skep schedule remove && test ! -e /etc/systemd/system/skep-check.timer && ! systemctl cat skep-check.service",
    );
    lab.on(node, "echo '[Timer]' >/etc/systemd/system/skep-check.timer");
    for verb in [odd, "skep schedule remove"] {
        let (status, text) = lab.try_on(node, verb);
        assert!(
            status == 2 && text.contains("was not written by `skep schedule`"),
            "{status}: {text}"
        );
    }
    assert_eq!(
        lab.on(node, "cat /etc/systemd/system/skep-check.timer"),
        "[Timer]"
    );
}
