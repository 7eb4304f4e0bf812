//! The bootstrap on nodes that present Ubuntu's os-release (with a stand-in for its repository), on
//! Debian 12, as a user with sudo who is not root, and with the distribution's own packages.

use std::time::{Duration, Instant};

use crate::bootstrap::{cluster_matches_playbook, nothing_is_left_to_do, plan_touches_nothing};
use crate::test_lab::TestLab;

/// Makes a manager and a worker: the variants differ in what a node is, not in the number of nodes.
fn two_nodes(name: &str, more: &[&str]) -> TestLab {
    TestLab::up_with(name, &[&["--workers", "1"], more].concat())
}

fn bootstrap(lab: &TestLab, distribution: &str) {
    plan_touches_nothing(lab);
    lab.web2py("apply", &["--yes"]).exits(0).says("Applied");
    cluster_matches_playbook(lab, distribution);
    nothing_is_left_to_do(lab);
}

#[test]
fn bootstrap_ubuntu() {
    bootstrap(&two_nodes("ubuntu", &["--present-as", "ubuntu"]), "ubuntu");
}

#[test]
fn bootstrap_debian_12() {
    bootstrap(&two_nodes("bookworm", &["--suite", "bookworm"]), "debian");
}

/// Debian testing: newer apt, systemd, sshd and Docker Engine than any release has.
#[test]
fn bootstrap_debian_testing() {
    bootstrap(&two_nodes("forky", &["--suite", "forky"]), "debian");
}

/// The coreutils of Ubuntu 26.04 are those of uutils, and its sudo is sudo-rs.
#[test]
fn bootstrap_ubuntu_26_04() {
    let lab = two_nodes(
        "resolute",
        &["--present-as", "ubuntu-26.04", "--user", "vagrant"],
    );
    lab.on("docker01", "stat --version | grep -i uutils");
    lab.on("docker01", "sudo --version | grep -i sudo-rs");
    bootstrap(&lab, "ubuntu");
}

#[test]
fn bootstrap_with_sudo_user() {
    bootstrap(&two_nodes("sudo", &["--user", "vagrant"]), "debian");
}

#[test]
fn bootstrap_with_distribution_packages() {
    let lab = two_nodes("distro", &[]);
    lab.web2py("apply", &["--yes", "-e", "docker_packages=distribution"])
        .exits(0);
    lab.on("docker02", "dpkg-query -W docker.io");
    lab.web2py("check", &["-e", "docker_packages=distribution"])
        .exits(0)
        .says("In sync");
    // A change to Docker's own packages removes the distribution's first.
    lab.web2py("apply", &["--yes"]).exits(0);
    let (removed, text) = lab.try_on(
        "docker02",
        "dpkg-query -W -f '${db:Status-Status}' docker.io | grep -x installed",
    );
    assert_ne!(removed, 0, "{text}");
    cluster_matches_playbook(&lab, "debian");
}

#[test]
fn docker_version_pin_and_upgrade() {
    let lab = two_nodes("pin", &[]);
    let pin = |version: &str| format!("docker_version=\"{version}\"");
    lab.run(
        "apply",
        "playbooks/docker.toml",
        &["--yes", "-e", &pin("26.1.5*")],
    )
    .exits(0);
    let installed = || {
        lab.on(
            "docker02",
            "dpkg-query -W -f '${Version} ${db:Status-Want}' docker-ce",
        )
    };
    assert!(
        installed().starts_with("5:26.1.5") && installed().ends_with("hold"),
        "{}",
        installed()
    );
    lab.run("check", "playbooks/docker.toml", &["-e", &pin("26.1.5*")])
        .exits(0);
    lab.run(
        "plan",
        "playbooks/docker.toml",
        &["-e", &pin("26.1.6*"), "--exit-code"],
    )
    .exits(3)
    .says("RESTARTS THE ENGINE");
    lab.run(
        "apply",
        "playbooks/docker.toml",
        &["--yes", "-e", &pin("26.1.6*")],
    )
    .exits(0);
    assert!(
        installed().starts_with("5:26.1.6") && installed().ends_with("hold"),
        "{}",
        installed()
    );
    lab.run(
        "apply",
        "playbooks/docker.toml",
        &["--yes", "-e", &pin("26.1.5*")],
    )
    .exits(1)
    .says("docker-ce");
    assert!(
        installed().starts_with("5:26.1.6"),
        "a downgrade is refused"
    );
    nobody_waits_for_a_manager_that_failed(&lab);
}

/// The first manager cannot start the swarm: the other hosts are told at once.
fn nobody_waits_for_a_manager_that_failed(lab: &TestLab) {
    lab.on(
        "docker01",
        "setsid perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalPort => 2377, Proto => \"tcp\", Listen => 5) or die; sleep 600' >/dev/null 2>&1 &
         for i in $(seq 50); do ss -ltn | grep -q ':2377 ' && exit 0; sleep 0.1; done; exit 1",
    );
    let started = Instant::now();
    lab.run("apply", "playbooks/swarm.toml", &["--yes"])
        .exits(1)
        .says("docker01 failed in this run");
    assert!(
        started.elapsed() < Duration::from_secs(60),
        "{:?}",
        started.elapsed()
    );
}
