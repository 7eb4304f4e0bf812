//! Step 8: steps 1 to 3 on nodes that present Ubuntu's os-release (with a stand-in for its repository), on Debian 12, as a
//! user with sudo who is not root, and with the distribution's own packages.

use crate::lot::Lot;
use crate::story::{cluster_is_as_asked, nothing_is_left_to_do, plan_touches_nothing};

fn steps_one_to_three(lot: &Lot, distribution: &str) {
    plan_touches_nothing(lot);
    lot.web2py("apply", &["--yes"]).exits(0).says("Applied");
    cluster_is_as_asked(lot, distribution);
    nothing_is_left_to_do(lot);
}

#[test]
fn the_story_holds_on_nodes_that_present_ubuntu() {
    steps_one_to_three(
        &Lot::up_with("ubuntu", &["--present-as", "ubuntu"]),
        "ubuntu",
    );
}

#[test]
fn the_story_holds_on_debian_12() {
    steps_one_to_three(
        &Lot::up_with("bookworm", &["--suite", "bookworm"]),
        "debian",
    );
}

#[test]
fn the_story_holds_for_a_user_with_sudo() {
    steps_one_to_three(&Lot::up_with("sudo", &["--user", "vagrant"]), "debian");
}

#[test]
fn the_distributions_own_packages_do_as_well() {
    let lot = Lot::up("distro");
    lot.web2py("apply", &["--yes", "-e", "docker_packages=distribution"])
        .exits(0);
    lot.on("docker02", "dpkg-query -W docker.io");
    lot.web2py("check", &["-e", "docker_packages=distribution"])
        .exits(0)
        .says("In sync");
    // And from there to Docker's own: the distribution's are removed first.
    lot.web2py("apply", &["--yes"]).exits(0);
    let (removed, text) = lot.try_on(
        "docker02",
        "dpkg-query -W -f '${db:Status-Status}' docker.io | grep -x installed",
    );
    assert_ne!(removed, 0, "{text}");
    cluster_is_as_asked(&lot, "debian");
}

#[test]
fn a_version_is_pinned_held_and_moved() {
    let lot = Lot::up("pin");
    let pin = |version: &str| format!("docker_version=\"{version}\"");
    lot.run(
        "apply",
        "playbooks/docker.toml",
        &["--yes", "-e", &pin("26.1.5*")],
    )
    .exits(0);
    let installed = || {
        lot.on(
            "docker02",
            "dpkg-query -W -f '${Version} ${db:Status-Want}' docker-ce",
        )
    };
    assert!(
        installed().starts_with("5:26.1.5") && installed().ends_with("hold"),
        "{}",
        installed()
    );
    lot.run("check", "playbooks/docker.toml", &["-e", &pin("26.1.5*")])
        .exits(0);
    lot.run(
        "plan",
        "playbooks/docker.toml",
        &["-e", &pin("26.1.6*"), "--exit-code"],
    )
    .exits(3)
    .says("RESTARTS THE ENGINE");
    lot.run(
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
    lot.run(
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
}
