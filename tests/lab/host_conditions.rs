//! Unusual conditions of hosts: login shells, start files with output, a German locale, disks that
//! are full or read-only, sudo with all of its rules, sudo-rs, a jump host with low limits, and a
//! machine that still boots. Complete runs of `check` and `apply` on real nodes must be right or
//! end with a clear error. All tests share one lab; each node has a thread.
#![allow(clippy::print_stderr, reason = "what the machine lacks is told")]

use std::time::Duration;

use crate::proxy::{FaultProxy, LinkFault};
use crate::skep::{Said, command};
use crate::test_lab::TestLab;

/// A run with an inventory of its own.
pub struct Run<'a> {
    pub inventory: &'a str,
    pub playbook: &'a str,
    /// Password for sudo.
    pub password: Option<&'a str>,
}

impl Run<'_> {
    pub fn verb(&self, verb: &str, more: &[&str]) -> Said {
        let mut arguments = vec![verb, "-i", self.inventory, self.playbook];
        arguments.extend(if verb == "apply" { &["--yes"][..] } else { &[] });
        arguments.extend(more);
        let mut run = command(&arguments);
        run.env("SKEP_BECOME_PASSWORD", self.password.unwrap_or_default());
        if self.password.is_none() {
            run.env_remove("SKEP_BECOME_PASSWORD");
        }
        Said::from(run.output().unwrap())
    }

    /// Expects drift, applies it, and expects no drift afterwards.
    #[track_caller]
    pub fn settles(&self, more: &[&str]) {
        self.verb("check", more).exits(3);
        self.verb("apply", more).exits(0).says("Applied");
        self.verb("check", more).exits(0).says("In sync");
    }
}

/// Writes a playbook of these resources, one per line.
pub fn playbook(lab: &TestLab, name: &str, resources: &str) -> String {
    let lines = resources
        .trim()
        .lines()
        .map(|line| format!("  {{ {} }},\n", line.trim()));
    lab.write(
        name,
        &format!(
            "[[plays]]\nhosts = \"all\"\nresources = [\n{}]\n",
            lines.collect::<String>()
        ),
    )
}

/// Shell functions that create an account with the lab's key: name, login shell, sudo rule (`-` for
/// none).
pub const ACCOUNT: &str = r#"
account() {
  useradd -m -s "$2" "$1"; install -d -m 0700 -o "$1" -g "$1" "/home/$1/.ssh"
  install -m 0600 -o "$1" -g "$1" /root/.ssh/authorized_keys "/home/$1/.ssh/"
  echo "$1:secret of $1" | chpasswd
  [ "$3" = - ] || { printf '%b\n' "$3" >"/etc/sudoers.d/$1"; chmod 0440 "/etc/sudoers.d/$1"; }
}
packages() {
  apt-get -q update >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get -y -q --no-install-recommends install "$@" >/dev/null
}
set -e
"#;

/// A round trip of 300 ms, and a loss of one packet in twenty in each direction.
fn slow_and_lossy_link(lab: &TestLab, node: &str) {
    let rules = |verb: &str| {
        let rule = |chain: &str, port: &str| {
            format!(
                "iptables -w {verb} {chain} -p tcp --{port} 22 -m statistic --mode random --probability 0.05 -j DROP"
            )
        };
        lab.try_on(
            node,
            &format!("{} && {}", rule("INPUT", "dport"), rule("OUTPUT", "sport")),
        )
    };
    let (status, text) = rules("-A");
    if status != 0 {
        eprintln!(
            "note: this kernel drops no packets by chance ({text}): the way is long, not lossy"
        );
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let far = LinkFault::Delayed(Duration::from_millis(150));
    let proxy = runtime.block_on(FaultProxy::start(&lab.address(node), 22, far));
    let host = format!("address = \"127.0.0.1\"\nport = {}", proxy.port);
    let inventory = lab.inventory_of(
        "far.toml",
        "user = \"root\"\nconnect_timeout = \"30s\"",
        &[(node, &host)],
    );
    let playbook = playbook(
        lab,
        "far-book.toml",
        r#"file = { path = "/srv/far", content = "{{ 'far\n' * 20000 }}" }"#,
    );
    Run {
        inventory: &inventory,
        playbook: &playbook,
        password: None,
    }
    .settles(&[]);
    assert_eq!(lab.on(node, "wc -c </srv/far"), "80000");
    if status == 0 {
        assert_eq!(rules("-D").0, 0);
    }
}

fn hosts_behind_jump_host(lab: &TestLab) {
    let jump = "docker04";
    lab.on(
        jump,
        "printf 'MaxSessions 1\\nMaxStartups 1:100:1\\nPasswordAuthentication no\\n' >/etc/ssh/sshd_config.d/low.conf; systemctl restart ssh",
    );
    let mut hosts = vec![(
        jump.to_owned(),
        format!("unmanaged = true\naddress = {:?}", lab.address(jump)),
    )];
    for node in ["docker01", "docker02", "docker03"] {
        hosts.push((
            node.into(),
            format!(
                "proxy_jump = \"docker04\"\naddress = {:?}",
                lab.address(node)
            ),
        ));
    }
    let hosts: Vec<(&str, &str)> = hosts
        .iter()
        .map(|(name, lines)| (name.as_str(), lines.as_str()))
        .collect();
    let inventory = lab.inventory_of("jump.toml", "user = \"root\"", &hosts);
    let playbook = lab.write(
        "behind.toml",
        "[[plays]]\nhosts = \"all:!docker04\"\nresources = [{ file = { path = \"/srv/behind\", content = \"{{ host.name }}\" } }]\n",
    );
    let run = Run {
        inventory: &inventory,
        playbook: &playbook,
        password: None,
    };
    let logins = || -> u32 {
        lab.on(
            jump,
            "journalctl -u ssh --no-pager | grep -c 'Accepted publickey' || :",
        )
        .parse()
        .unwrap()
    };
    let before = logins();
    for (verb, code) in [("check", 3), ("apply", 0), ("check", 0)] {
        run.verb(verb, &[]).exits(code);
    }
    assert_eq!(
        logins() - before,
        3,
        "one connection to the jump host a run"
    );
    for node in ["docker01", "docker02", "docker03"] {
        assert_eq!(lab.on(node, "cat /srv/behind"), node);
        let from = lab.on(
            node,
            "journalctl -u ssh --no-pager | grep 'Accepted publickey' | tail -n 1",
        );
        assert!(
            from.contains(&format!("from {} ", lab.address(jump))),
            "{from}"
        );
    }
}

fn host_that_is_booting(lab: &TestLab) {
    let node = "docker02";
    lab.fault("stop", node);
    let address = lab.address(node);
    let playbook = playbook(
        lab,
        "boot.toml",
        r#"file = { path = "/srv/booted", content = "yes" }"#,
    );
    let settings = |user: &str, wait: &str| {
        format!("{user}\nconnect_timeout = \"3s\"\nconnect_wait = \"{wait}\"")
    };
    let (root, early) = ("user = \"root\"", "user = \"early\"\nbecome = true");
    let host = format!("address = {address:?}");
    let off = lab.inventory_of("off.toml", &settings(root, "0s"), &[(node, &host)]);
    let off = Run {
        inventory: &off,
        playbook: &playbook,
        password: None,
    };
    off.verb("apply", &[])
        .exits(4)
        .says("cannot connect to")
        .says("check that the machine is up");
    let patient = lab.inventory_of("patient.toml", &settings(root, "90s"), &[(node, &host)]);
    let patient = Run {
        inventory: &patient,
        playbook: &playbook,
        password: None,
    };
    std::thread::scope(|scope| {
        let booting = scope.spawn(|| lab.fault("start", node));
        patient.verb("apply", &[]).exits(0).says("Applied");
        booting.join().unwrap();
    });
    assert_eq!(lab.on(node, "cat /srv/booted"), "yes");
    // sshd runs, and PAM only admits root until the boot is over.
    lab.on(node, &format!("{ACCOUNT} account early /bin/sh 'early ALL=(ALL) NOPASSWD: ALL'; echo '\"System is booting up. Unprivileged users are not permitted to log in yet.\"' >/run/nologin"));
    let inventory = lab.inventory_of("early.toml", &settings(early, "0s"), &[(node, &host)]);
    Run {
        inventory: &inventory,
        ..off
    }
    .verb("check", &[])
    .exits(4)
    .says("the machine is booting up");
    let inventory = lab.inventory_of("late.toml", &settings(early, "30s"), &[(node, &host)]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(1));
            lab.on(node, "rm /run/nologin");
        });
        Run {
            inventory: &inventory,
            playbook: &playbook,
            password: None,
        }
        .verb("check", &[])
        .exits(0);
    });
}

#[test]
fn check_and_apply_on_unusual_hosts() {
    let lab = TestLab::up_with("hosts", &["--managers", "1", "--workers", "3"]);
    std::thread::scope(|scope| {
        scope.spawn(|| crate::login_shells::login_shells_and_locales(&lab, "docker01"));
        scope.spawn(|| crate::disk_full::full_and_read_only_disks(&lab, "docker02"));
        scope.spawn(|| crate::sudo::sudo_and_sudo_rs(&lab, "docker03"));
        scope.spawn(|| slow_and_lossy_link(&lab, "docker04"));
    });
    hosts_behind_jump_host(&lab);
    host_that_is_booting(&lab);
}
