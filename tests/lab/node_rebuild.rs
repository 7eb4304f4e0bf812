//! `skep node rebuild`: a machine whose data is gone returns to its place in the swarm; the loss of
//! the only manager needs explicit consent.

use crate::skep::{Said, skep};
use crate::test_lab::TestLab;

#[test]
fn node_rebuild() {
    let lab = TestLab::up_with("rebuild", &["--managers", "1", "--workers", "1"]);
    lab.web2py("apply", &["--yes"]).exits(0);
    let inventory = lab.inventory();
    let rebuild = |arguments: &[&str]| -> Said {
        skep(
            &[
                &["node", "rebuild", "-i", &inventory, "--yes"],
                arguments,
                &["playbooks/web2py.toml"],
            ]
            .concat(),
        )
    };
    let identity = |node: &str| lab.on(node, "cat /etc/machine-id");
    let labels = || {
        lab.on(
            "docker01",
            "docker node inspect docker02 --format '{{.Spec.Labels}}'",
        )
    };

    // The only manager: nothing is destroyed without --new-cluster.
    let before = identity("docker01");
    rebuild(&["docker01"])
        .exits(2)
        .says("docker01 is the only manager")
        .says("--new-cluster");
    rebuild(&["docker09"])
        .exits(2)
        .says("there is no host `docker09`");
    assert_eq!(identity("docker01"), before);
    let cluster = || lab.on("docker01", "docker info --format '{{.Swarm.Cluster.ID}}'");
    let old = cluster();
    rebuild(&["docker01", "--new-cluster"])
        .exits(0)
        .says("docker01 is rebuilt");
    assert_ne!(identity("docker01"), before);
    assert_ne!(cluster(), old);
    lab.web2py("check", &[]).exits(0).says("In sync");
    assert_eq!(labels(), "map[web2py.tier.db:true]");

    // The database node: its label declares data, and the new machine has none.
    rebuild(&["docker02"])
        .exits(1)
        .says("docker02 is back without its labels: /srv/web2py/mysql5/datadir is empty");
    assert_eq!(labels(), "map[]");
    let nodes = || {
        lab.on(
            "docker01",
            "docker node ls --format '{{.Hostname}} {{.Status}}' | sort",
        )
    };
    assert_eq!(nodes(), "docker01 Ready\ndocker02 Ready", "no ghost");
    // A play restores the data from a backup: the label returns with the data.
    let restore = lab.write(
        "restore.toml",
        "[[plays]]\nhosts = \"docker02\"\nresources = [{ file = { path = \"/srv/web2py/mysql5/datadir/ibdata1\", content = \"rows\" } }]\n",
    );
    let both = [
        "node",
        "rebuild",
        "-i",
        &inventory,
        "--yes",
        "docker02",
        "playbooks/web2py.toml",
        &restore,
    ];
    skep(&both).exits(0).says("docker02 is rebuilt");
    assert_eq!(labels(), "map[web2py.tier.db:true]");
    rebuild(&["docker02", "--data-empty"])
        .exits(0)
        .says("docker02 is rebuilt");
    assert_eq!(labels(), "map[web2py.tier.db:true]");
    assert_eq!(nodes(), "docker01 Ready\ndocker02 Ready", "no ghost");
    lab.web2py("check", &[]).exits(0).says("In sync");
}
