//! `daemon_json` and `node_labels` end to end on one node with a real Engine: the three-way merge, refusals, rollback.

use crate::kinds::{Life, NODE, fields, playbook};
use crate::lot::Lot;

fn daemon_json(lot: &Lot) {
    let life = Life {
        present: r#"daemon_json = { debug = true, log-driver = "json-file", log-opts = { max-size = "5m" }, insecure-registries = ["a:1", "b:2"] }"#,
        tampers: &[
            (
                "sed -i 's/\"debug\": true/\"debug\": false/' /etc/docker/daemon.json",
                &["debug: false -> true"],
            ),
            (
                "sed -i 's/5m/6m/' /etc/docker/daemon.json",
                &[r#"log-opts: {"max-size":"6m"} -> {"max-size":"5m"}"#],
            ),
        ],
        absent: None,
    };
    life.lead(lot);
    // Somebody adds a key and a registry of their own; the playbook drops one of its own. Each keeps what is theirs.
    lot.on(
        NODE,
        r#"sed -i 's/"a:1"/"foreign:9", "a:1"/; 0,/{/s/{/{ "shutdown-timeout": 20,/' /etc/docker/daemon.json"#,
    );
    let fewer = playbook(
        lot,
        r#"daemon_json = { debug = true, log-driver = "json-file", insecure-registries = ["a:1"] }"#,
    );
    let said = lot.run("plan", &fewer, &[]).exits(0);
    assert_eq!(
        fields(&said.stdout),
        [
            r#"insecure-registries: ["foreign:9","a:1","b:2"] -> ["foreign:9","a:1"]"#,
            r#"log-opts: {"max-size":"5m"} -> (absent)"#,
        ]
    );
    lot.run("apply", &fewer, &["--yes"]).exits(0);
    lot.run("check", &fewer, &[]).exits(0);
    let now = lot.on(NODE, "tr -d ' \\n' </etc/docker/daemon.json");
    assert!(
        now.contains(r#""shutdown-timeout":20"#) && now.contains(r#"["foreign:9","a:1"]"#),
        "{now}"
    );
    assert!(!now.contains("log-opts") && !now.contains("b:2"), "{now}");
}

fn what_the_engine_does_not_take(lot: &Lot) {
    let before = lot.on(
        NODE,
        "cat /etc/docker/daemon.json /var/lib/skep/daemon.json; ls /etc/docker; systemctl show -p MainPID docker",
    );
    let untouched = |what: &str| {
        let after = lot.on(
            NODE,
            "cat /etc/docker/daemon.json /var/lib/skep/daemon.json; ls /etc/docker; systemctl show -p MainPID docker",
        );
        assert_eq!(before, after, "{what}");
    };
    let unknown = playbook(
        lot,
        r#"daemon_json = { debug = true, no-such-key = "$(touch /pwned)" }"#,
    );
    lot.run("apply", &unknown, &["--yes"])
        .exits(1)
        .says("the Engine refuses the new")
        .says("no-such-key");
    untouched("a key that the Engine does not know changed something");

    // Valid for the validator, and yet no Engine starts with it.
    let fatal = playbook(
        lot,
        r#"daemon_json = { debug = true, log-driver = "json-file", insecure-registries = ["a:1"], storage-driver = "nonesuch" }"#,
    );
    lot.run("apply", &fatal, &["--yes"])
        .exits(1)
        .says("the old one is in place again and the Engine runs")
        .says("nonesuch");
    lot.on(
        NODE,
        "docker version >/dev/null && ! grep -r nonesuch /etc/docker /var/lib/skep",
    );

    lot.on(
        NODE,
        r#"printf '{\n  "debug": true\n}\n{ "x": 1 }\n' >/etc/docker/daemon.json"#,
    );
    let two = lot.on(NODE, "cat /etc/docker/daemon.json");
    let careful = playbook(lot, "daemon_json = { debug = true }");
    for verb in [&["plan"][..], &["check"], &["apply", "--yes"]] {
        lot.run(verb[0], &careful, &verb[1..])
            .exits(1)
            .says("line 4, column 1")
            .says("replace_invalid = true");
    }
    assert_eq!(
        lot.on(NODE, "cat /etc/docker/daemon.json"),
        two,
        "an invalid file is not overwritten unasked"
    );
    let replacing = playbook(
        lot,
        "daemon_json = { debug = true, replace_invalid = true }",
    );
    lot.run("apply", &replacing, &["--yes"]).exits(0);
    lot.run("check", &replacing, &[]).exits(0);
    assert_eq!(
        lot.on(NODE, "cat /etc/docker/daemon.json.skep-invalid-*"),
        two,
        "a copy is kept"
    );
    lot.on(NODE, "docker version >/dev/null; ! test -e /pwned");
}

fn node_labels(lot: &Lot) {
    let life = Life {
        present: r#"node_labels = { "web2py.tier.db" = "true", "-x" = "\"; touch /pwned; $(touch /pwned)" }"#,
        tampers: &[
            (
                "docker node update --label-rm web2py.tier.db docker01",
                &["label web2py.tier.db: (absent) -> true"],
            ),
            (
                "docker node update --label-add web2py.tier.db=no docker01",
                &["label web2py.tier.db: no -> true"],
            ),
            (
                "docker node update --label-add=-x=y docker01",
                &["label -x: y -> \"; touch /pwned; $(touch /pwned)"],
            ),
        ],
        absent: Some((
            r#"node_labels = { labels = {}, absent = ["web2py.tier.db", "-x"] }"#,
            "! docker node inspect docker01 --format '{{json .Spec.Labels}}' | grep -q tier",
        )),
    };
    life.lead(lot);
    lot.on(NODE, "! test -e /pwned");
}

/// A node's own labels, versions and names are what anybody in the swarm may write.
fn what_an_engine_says_is_shown_literally(lot: &Lot) {
    lot.on(
        NODE,
        "docker node update --label-add \"$(printf 'e\\033[31m=v\\033[2J\\nproblem: none\\302\\233')\" docker01",
    );
    let inventory = lot.inventory();
    for more in [&[][..], &["--json"], &["--color", "always"]] {
        let said = crate::skep::skep(&[&["status", "-i", &inventory], more].concat()).exits(0);
        assert!(said.stdout.contains("[31m"), "{}", said.stdout);
        crate::hostile::is_harmless(&said);
        assert!(
            !said.stdout.lines().any(|line| line.starts_with("problem")),
            "a label forged a line:\n{}",
            said.stdout
        );
    }
    let exact = playbook(
        lot,
        r#"node_labels = { labels = { a = "b" }, mode = "exact" }"#,
    );
    let said = lot
        .run("plan", &exact, &[])
        .exits(0)
        .says("v\\u{1b}[2J\\nproblem: none\\u{9b} -> (absent)");
    crate::hostile::is_harmless(&said);
}

fn reading_touches_nothing_beside_an_engine(lot: &Lot) {
    let inventory = lot.inventory();
    lot.on(
        NODE,
        "ln -sfn /tmp /home/vagrant/web2py/apache2/conf; echo '{}' >/etc/docker/daemon.json",
    );
    let state = format!(
        "{}; docker info --format '{{{{json .Swarm.Cluster.Version}}}}'; docker node inspect docker01 --format '{{{{.Version}}}}'; systemctl show -p MainPID docker",
        crate::story::FINGERPRINT
    );
    let before = lot.on(NODE, &state);
    assert!(
        before.contains("etc/docker/daemon.json") && before.contains("MainPID="),
        "the fingerprint sees something"
    );
    lot.web2py("plan", &["--diff"])
        .exits(0)
        .says("RESTARTS THE ENGINE");
    lot.web2py("check", &["--json"]).exits(3);
    for verb in ["ping", "facts", "status"] {
        crate::skep::skep(&[verb, "-i", &inventory]).exits(0);
    }
    assert_eq!(before, lot.on(NODE, &state), "reading changed the node");
}

#[test]
fn the_engines_file_and_labels_from_their_making_to_their_end() {
    let lot = Lot::up_with("engine", &["--managers", "1", "--workers", "0"]);
    lot.web2py("apply", &["--yes"]).exits(0);
    crate::kinds_cluster::networks(&lot);
    crate::kinds_cluster::secrets_and_configs(&lot);
    daemon_json(&lot);
    what_the_engine_does_not_take(&lot);
    node_labels(&lot);
    what_an_engine_says_is_shown_literally(&lot);
    reading_touches_nothing_beside_an_engine(&lot);
}
