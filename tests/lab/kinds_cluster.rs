//! `network`, `secret` and `config` end to end on a swarm of one node: versions, values from the operator's machine, refusals,
//! and no secret anywhere but in the swarm.

use crate::kinds::{NODE, fields, playbook};
use crate::lot::Lot;

pub fn networks(lot: &Lot) {
    let wanted = playbook(
        lot,
        r#"network = { name = "back", subnet = "10.77.0.0/24", attachable = true, labels = { tier = "db" } }"#,
    );
    for _ in 0..2 {
        lot.run("check", &wanted, &[])
            .exits(3)
            .says("attachable yes, subnet 10.77.0.0/24, label tier db");
        lot.run("apply", &wanted, &["--yes"]).exits(0);
        lot.run("check", &wanted, &[]).exits(0).says("In sync");
        lot.on(NODE, "docker network rm back");
    }
    lot.run("apply", &wanted, &["--yes"]).exits(0);
    let other = r#"name = "back", subnet = "10.78.0.0/24""#;
    let refused = playbook(lot, &format!("network = {{ {other} }}"));
    for verb in [&["plan"][..], &["check"], &["apply", "--yes"]] {
        lot.run(verb[0], &refused, &verb[1..])
            .exits(1)
            .says("the network back differs (attachable, subnet)");
    }
    let replaced = playbook(lot, &format!("network = {{ {other}, replace = true }}"));
    lot.run("apply", &replaced, &["--yes"]).exits(0);
    assert_eq!(
        lot.on(
            NODE,
            "docker network inspect back --format '{{(index .IPAM.Config 0).Subnet}}'"
        ),
        "10.78.0.0/24"
    );
    let gone = playbook(lot, r#"network = { name = "back", state = "absent" }"#);
    lot.run("apply", &gone, &["--yes"]).exits(0);
    lot.on(NODE, "! docker network inspect back");
}

pub fn secrets_and_configs(lot: &Lot) {
    let value = lot.write("value", "hunter2-first\n");
    let resources = format!(
        "secret = {{ name = \"db\", command = \"cat {value}\" }}\nconfig = {{ name = \"web\", content = \"one\\n\" }}"
    );
    let wanted = playbook(lot, &resources);
    lot.run("check", &wanted, &["--diff"])
        .exits(3)
        .says("db-1")
        .does_not_say("hunter2");
    lot.run("apply", &wanted, &["--yes", "-v"])
        .exits(0)
        .does_not_say("hunter2");
    lot.run("check", &wanted, &[]).exits(0).says("In sync");
    lot.run("apply", &wanted, &["--yes"])
        .exits(0)
        .says("Nothing to do");
    assert_eq!(
        lot.on(
            NODE,
            "docker secret ls --format '{{.Name}}'; docker config ls --format '{{.Name}}' | sort"
        ),
        "db-1\nskep-digest-key\nweb-1"
    );

    // What services get is the value itself; the digest beside it is none that could be guessed against.
    let digest = lot.on(
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

    lot.write("value", "hunter2-second\n");
    let said = lot
        .run("check", &wanted, &["--json"])
        .exits(3)
        .does_not_say("hunter2");
    assert!(said.stdout.contains("db-2"), "{}", said.stdout);
    lot.run("apply", &wanted, &["--yes"]).exits(0);
    lot.write("value", "hunter2-third\n");
    let said = lot.run("apply", &wanted, &["--yes"]).exits(0);
    assert_eq!(
        fields(&said.stdout)[..3],
        [
            "version: db-2 -> db-3",
            "content: (secret) -> (secret)",
            "old version: db-1 -> (absent)"
        ]
    );
    lot.run("check", &wanted, &[]).exits(0);
    assert_eq!(
        lot.on(NODE, "docker secret ls --format '{{.Name}}' | sort"),
        "db-2\ndb-3"
    );
    lot.on(
        NODE,
        "! grep -r hunter2 /var/lib/skep /run/skep* /var/log 2>/dev/null",
    );

    // Somebody takes the current one away behind our back: the one before it is not the value that is asked for.
    lot.on(NODE, "docker secret rm db-3; docker config rm web-1");
    let said = lot.run("check", &wanted, &[]).exits(3);
    assert_eq!(
        fields(&said.stdout),
        [
            "version: db-2 -> db-3",
            "content: (secret) -> (secret)",
            "version: (absent) -> web-1",
            "content:"
        ]
    );
    lot.run("apply", &wanted, &["--yes"]).exits(0);
    let changed = playbook(lot, "config = { name = \"web\", content = \"two\\n\" }");
    lot.run("plan", &changed, &["--diff"])
        .exits(0)
        .says("- one")
        .says("+ two")
        .says("web-1 -> web-2");

    let wanted = playbook(lot, &resources);
    std::fs::remove_file(&value).expect("the value's file");
    for verb in [&["plan"][..], &["check"], &["apply", "--yes"]] {
        lot.run(verb[0], &wanted, &verb[1..])
            .exits(1)
            .says("the command `cat")
            .says("exit status: 1");
    }
    let unset = playbook(
        lot,
        "secret = { name = \"db\", environment = \"SKEP_NOT_SET\" }",
    );
    lot.run("check", &unset, &[])
        .exits(1)
        .says("the environment variable SKEP_NOT_SET")
        .says("export SKEP_NOT_SET");
    let gone = playbook(
        lot,
        "secret = { name = \"db\", state = \"absent\" }\nconfig = { name = \"web\", state = \"absent\" }",
    );
    lot.run("apply", &gone, &["--yes"]).exits(0);
    assert_eq!(
        lot.on(
            NODE,
            "docker secret ls -q; docker config ls --format '{{.Name}}'"
        ),
        "skep-digest-key"
    );
}
