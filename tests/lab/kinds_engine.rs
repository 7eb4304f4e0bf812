//! `daemon_json` and `node_labels` end to end on one node with a real Engine: the three-way merge,
//! refusals, rollback.

use crate::kinds::{Lifecycle, NODE, fields, playbook};
use crate::test_lab::TestLab;

fn daemon_json(lab: &TestLab) {
    let life = Lifecycle {
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
    life.run(lab);
    // A key and a registry are added by hand, and the playbook drops one of its own. Each side
    // keeps its values.
    lab.on(
        NODE,
        r#"sed -i 's/"a:1"/"foreign:9", "a:1"/; 0,/{/s/{/{ "shutdown-timeout": 20,/' /etc/docker/daemon.json"#,
    );
    let fewer = playbook(
        lab,
        r#"daemon_json = { debug = true, log-driver = "json-file", insecure-registries = ["a:1"] }"#,
    );
    let said = lab.run("plan", &fewer, &[]).exits(0);
    assert_eq!(
        fields(&said.stdout),
        [
            r#"insecure-registries: ["foreign:9","a:1","b:2"] -> ["foreign:9","a:1"]"#,
            r#"log-opts: {"max-size":"5m"} -> (absent)"#,
        ]
    );
    lab.run("apply", &fewer, &["--yes"]).exits(0);
    lab.run("check", &fewer, &[]).exits(0);
    let now = lab.on(NODE, "tr -d ' \\n' </etc/docker/daemon.json");
    assert!(
        now.contains(r#""shutdown-timeout":20"#) && now.contains(r#"["foreign:9","a:1"]"#),
        "{now}"
    );
    assert!(!now.contains("log-opts") && !now.contains("b:2"), "{now}");
}

fn invalid_daemon_json(lab: &TestLab) {
    let before = lab.on(
        NODE,
        "cat /etc/docker/daemon.json /var/lib/skep/daemon.json; ls /etc/docker; systemctl show -p MainPID docker",
    );
    let untouched = |what: &str| {
        let after = lab.on(
            NODE,
            "cat /etc/docker/daemon.json /var/lib/skep/daemon.json; ls /etc/docker; systemctl show -p MainPID docker",
        );
        assert_eq!(before, after, "{what}");
    };
    let unknown = playbook(
        lab,
        r#"daemon_json = { debug = true, no-such-key = "$(touch /pwned)" }"#,
    );
    lab.run("apply", &unknown, &["--yes"])
        .exits(1)
        .says("the Engine refuses the new")
        .says("no-such-key");
    untouched("a key that the Engine does not know changed something");

    // The validator accepts this file, but no Engine starts with it.
    let fatal = playbook(
        lab,
        r#"daemon_json = { debug = true, log-driver = "json-file", insecure-registries = ["a:1"], storage-driver = "nonesuch" }"#,
    );
    lab.run("apply", &fatal, &["--yes"])
        .exits(1)
        .says("the old file was restored, and the Engine runs")
        .says("nonesuch");
    lab.on(
        NODE,
        "docker version >/dev/null && ! grep -r nonesuch /etc/docker /var/lib/skep",
    );

    lab.on(
        NODE,
        r#"printf '{\n  "debug": true\n}\n{ "x": 1 }\n' >/etc/docker/daemon.json"#,
    );
    let two = lab.on(NODE, "cat /etc/docker/daemon.json");
    let careful = playbook(lab, "daemon_json = { debug = true }");
    for verb in [&["plan"][..], &["check"], &["apply", "--yes"]] {
        lab.run(verb[0], &careful, &verb[1..])
            .exits(1)
            .says("line 4, column 1")
            .says("replace_invalid = true");
    }
    assert_eq!(
        lab.on(NODE, "cat /etc/docker/daemon.json"),
        two,
        "an invalid file is not overwritten unasked"
    );
    let replacing = playbook(
        lab,
        "daemon_json = { debug = true, replace_invalid = true }",
    );
    lab.run("apply", &replacing, &["--yes"]).exits(0);
    lab.run("check", &replacing, &[]).exits(0);
    assert_eq!(
        lab.on(NODE, "cat /etc/docker/daemon.json.skep-invalid-*"),
        two,
        "a copy is kept"
    );
    lab.on(NODE, "docker version >/dev/null; ! test -e /pwned");
}

fn node_labels(lab: &TestLab) {
    let life = Lifecycle {
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
    life.run(lab);
    lab.on(NODE, "! test -e /pwned");
}

/// Any member of the swarm may write a node's labels, version and name.
fn engine_output_is_escaped(lab: &TestLab) {
    lab.on(
        NODE,
        "docker node update --label-add \"$(printf 'e\\033[31m=v\\033[2J\\nproblem: none\\302\\233')\" docker01",
    );
    let inventory = lab.inventory();
    for more in [&[][..], &["--json"], &["--color", "always"]] {
        let said = crate::skep::skep(&[&["status", "-i", &inventory], more].concat()).exits(0);
        assert!(said.stdout.contains("[31m"), "{}", said.stdout);
        crate::untrusted_input::assert_no_control_characters(&said);
        assert!(
            !said.stdout.lines().any(|line| line.starts_with("problem")),
            "a label forged a line:\n{}",
            said.stdout
        );
    }
    let exact = playbook(
        lab,
        r#"node_labels = { labels = { a = "b" }, mode = "exact" }"#,
    );
    let said = lab
        .run("plan", &exact, &[])
        .exits(0)
        .says("v\\u{1b}[2J\\nproblem: none\\u{9b} -> (absent)");
    crate::untrusted_input::assert_no_control_characters(&said);
}

fn read_only_verbs_change_nothing(lab: &TestLab) {
    let inventory = lab.inventory();
    lab.on(
        NODE,
        "ln -sfn /tmp /home/vagrant/web2py/apache2/conf; echo '{}' >/etc/docker/daemon.json",
    );
    let state = format!(
        "{}; docker info --format '{{{{json .Swarm.Cluster.Version}}}}'; docker node inspect docker01 --format '{{{{.Version}}}}'; systemctl show -p MainPID docker",
        crate::bootstrap::FINGERPRINT
    );
    let before = lab.on(NODE, &state);
    assert!(
        before.contains("etc/docker/daemon.json") && before.contains("MainPID="),
        "the fingerprint sees something"
    );
    lab.web2py("plan", &["--diff"])
        .exits(0)
        .says("RESTARTS THE ENGINE");
    lab.web2py("check", &["--json"]).exits(3);
    for verb in ["ping", "facts", "status"] {
        crate::skep::skep(&[verb, "-i", &inventory]).exits(0);
    }
    assert_eq!(before, lab.on(NODE, &state), "reading changed the node");
}

#[test]
fn engine_and_swarm_kinds_lifecycle() {
    let lab = TestLab::up_with("engine", &["--managers", "1", "--workers", "0"]);
    lab.web2py("apply", &["--yes"]).exits(0);
    crate::kinds_cluster::networks(&lab);
    crate::kinds_cluster::secrets_and_configs(&lab);
    daemon_json(&lab);
    invalid_daemon_json(&lab);
    node_labels(&lab);
    engine_output_is_escaped(&lab);
    read_only_verbs_change_nothing(&lab);
}
