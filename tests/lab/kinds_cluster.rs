//! `network`, `secret` and `config` end to end on a swarm of one node: versions, values from the
//! operator's machine, refusals, and no secret outside the swarm.

use crate::kinds::{NODE, fields, playbook};
use crate::test_lab::TestLab;

pub fn networks(lab: &TestLab) {
    let wanted = playbook(
        lab,
        r#"network = { name = "back", subnet = "10.77.0.0/24", attachable = true, labels = { tier = "db" } }"#,
    );
    for _ in 0..2 {
        lab.run("check", &wanted, &[])
            .exits(3)
            .says("attachable yes, subnet 10.77.0.0/24, label tier db");
        lab.run("apply", &wanted, &["--yes"]).exits(0);
        lab.run("check", &wanted, &[]).exits(0).says("In sync");
        lab.on(NODE, "docker network rm back");
    }
    lab.run("apply", &wanted, &["--yes"]).exits(0);
    let other = r#"name = "back", subnet = "10.78.0.0/24""#;
    let refused = playbook(lab, &format!("network = {{ {other} }}"));
    for verb in [&["plan"][..], &["check"], &["apply", "--yes"]] {
        lab.run(verb[0], &refused, &verb[1..])
            .exits(1)
            .says("the network back differs (attachable, subnet)");
    }
    let replaced = playbook(lab, &format!("network = {{ {other}, replace = true }}"));
    lab.run("apply", &replaced, &["--yes"]).exits(0);
    assert_eq!(
        lab.on(
            NODE,
            "docker network inspect back --format '{{(index .IPAM.Config 0).Subnet}}'"
        ),
        "10.78.0.0/24"
    );
    let gone = playbook(lab, r#"network = { name = "back", state = "absent" }"#);
    lab.run("apply", &gone, &["--yes"]).exits(0);
    lab.on(NODE, "! docker network inspect back");
}

pub fn swarm_settings(lab: &TestLab) {
    let wanted = playbook(
        lab,
        r#"swarm = { cert_expiry = "30d", dispatcher_heartbeat = "4s", task_history_limit = 2, max_snapshots = 1, labels = { site = "lab" } }"#,
    );
    for _ in 0..2 {
        lab.run("check", &wanted, &[]).exits(3).says("cert_expiry");
        lab.run("apply", &wanted, &["--yes"]).exits(0);
        lab.run("check", &wanted, &[]).exits(0).says("In sync");
        lab.on(
            NODE,
            "docker swarm update --cert-expiry 2160h --task-history-limit 5 --autolock=true",
        );
    }
    // A setting that the playbook does not name stays.
    lab.run("apply", &wanted, &["--yes"])
        .exits(0)
        .does_not_say("SWMTKN-");
    let info = "docker info -f '{{.Swarm.Cluster.Spec.EncryptionConfig.AutoLockManagers}} {{.Swarm.Cluster.Spec.CAConfig.NodeCertExpiry}}'";
    assert_eq!(lab.on(NODE, info), "true 720h0m0s");
    let unlocked = playbook(lab, "swarm = { autolock = false }");
    lab.run("apply", &unlocked, &["--yes"])
        .exits(0)
        .says("autolock");
    assert_eq!(lab.on(NODE, info), "false 720h0m0s");
}

pub fn secrets_and_configs(lab: &TestLab) {
    let value = lab.write("value", "hunter2-first\n");
    let resources = format!(
        "secret = {{ name = \"db\", command = \"cat {value}\" }}\nconfig = {{ name = \"web\", content = \"one\\n\" }}"
    );
    let wanted = playbook(lab, &resources);
    lab.run("check", &wanted, &["--diff"])
        .exits(3)
        .says("db-1")
        .does_not_say("hunter2");
    lab.run("apply", &wanted, &["--yes", "-v"])
        .exits(0)
        .does_not_say("hunter2");
    lab.run("check", &wanted, &[]).exits(0).says("In sync");
    lab.run("apply", &wanted, &["--yes"])
        .exits(0)
        .says("In sync, checked");
    assert_eq!(
        lab.on(
            NODE,
            "docker secret ls --format '{{.Name}}'; docker config ls --format '{{.Name}}' | sort"
        ),
        "db-1\nskep-digest-key\nweb-1"
    );

    // Services get the value itself; the digest beside it must not permit guessing the value.
    let digest = lab.on(
        NODE,
        "docker secret inspect db-1 --format '{{index .Spec.Labels \"skep.digest\"}}'",
    );
    assert_eq!(digest.len(), 64, "{digest}");
    for plain in ["hunter2-first", "hunter2-first\n", "db\0hunter2-first"] {
        assert_ne!(
            digest,
            skep::model::sha256(plain.as_bytes()),
            "a plain digest can be guessed against"
        );
    }

    lab.write("value", "hunter2-second\n");
    let said = lab
        .run("check", &wanted, &["--json"])
        .exits(3)
        .does_not_say("hunter2");
    assert!(said.stdout.contains("db-2"), "{}", said.stdout);
    lab.run("apply", &wanted, &["--yes"]).exits(0);
    lab.write("value", "hunter2-third\n");
    let said = lab.run("apply", &wanted, &["--yes"]).exits(0);
    assert_eq!(
        fields(&said.stdout)[..3],
        [
            "version: db-2 -> db-3",
            "content: (secret) -> (secret)",
            "old version: db-1 -> (absent)"
        ]
    );
    lab.run("check", &wanted, &[]).exits(0);
    assert_eq!(
        lab.on(NODE, "docker secret ls --format '{{.Name}}' | sort"),
        "db-2\ndb-3"
    );
    lab.on(
        NODE,
        "! grep -r hunter2 /var/lib/skep /run/skep* /var/log 2>/dev/null",
    );

    // The current version is removed by hand: the previous one does not have the desired value.
    lab.on(NODE, "docker secret rm db-3; docker config rm web-1");
    let said = lab.run("check", &wanted, &[]).exits(3);
    assert_eq!(
        fields(&said.stdout),
        [
            "version: db-2 -> db-3",
            "content: (secret) -> (secret)",
            "version: (absent) -> web-1",
            "content:"
        ]
    );
    lab.run("apply", &wanted, &["--yes"]).exits(0);
    let changed = playbook(lab, "config = { name = \"web\", content = \"two\\n\" }");
    lab.run("plan", &changed, &["--diff"])
        .exits(0)
        .says("- one")
        .says("+ two")
        .says("web-1 -> web-2");

    let wanted = playbook(lab, &resources);
    std::fs::remove_file(&value).expect("the value's file");
    for verb in [&["plan"][..], &["check"], &["apply", "--yes"]] {
        lab.run(verb[0], &wanted, &verb[1..])
            .exits(1)
            .says("the command `cat")
            .says("exit status: 1");
    }
    let unset = playbook(
        lab,
        "secret = { name = \"db\", environment = \"SKEP_NOT_SET\" }",
    );
    lab.run("check", &unset, &[])
        .exits(1)
        .says("the environment variable SKEP_NOT_SET")
        .says("export SKEP_NOT_SET");
    let gone = playbook(
        lab,
        "secret = { name = \"db\", state = \"absent\" }\nconfig = { name = \"web\", state = \"absent\" }",
    );
    lab.run("apply", &gone, &["--yes"]).exits(0);
    assert_eq!(
        lab.on(
            NODE,
            "docker secret ls -q; docker config ls --format '{{.Name}}'"
        ),
        "skep-digest-key"
    );
}
