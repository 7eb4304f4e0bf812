//! `daemon_json` and `node_labels` end to end on one node with a real Engine: the three-way merge,
//! refusals, rollback, settings that would end the node's membership in the swarm.

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

/// A setting that a node of a swarm does not survive: it is refused, and nothing on the node
/// changes.
fn settings_that_end_the_swarm(lab: &TestLab) {
    let state = "cat /etc/docker/daemon.json /var/lib/skep/daemon.json; ls /etc/docker; systemctl show -p MainPID docker; docker info --format '{{.Swarm.NodeID}} {{.Swarm.Cluster.ID}}'";
    lab.on(NODE, "docker secret create keep /etc/hostname");
    let before = lab.on(NODE, state);
    for (table, word) in [
        ("live-restore = true", "exclude each other"),
        (
            r#"data-root = "/srv/docker-data""#,
            "lose its identity as a node of its swarm",
        ),
        (
            r#"userns-remap = "default""#,
            "lose its identity as a node of its swarm",
        ),
    ] {
        let resource = playbook(lab, &format!("daemon_json = {{ {table} }}"));
        for verb in [&["plan"][..], &["check"], &["apply", "--yes"]] {
            lab.run(verb[0], &resource, &verb[1..]).exits(1).says(word);
        }
        assert_eq!(lab.on(NODE, state), before, "{table} changed something");
    }
    let member = playbook(
        lab,
        "daemon_json = { live-restore = true }\nswarm_member = { role = \"manager\" }",
    );
    lab.run("validate", &member, &[])
        .exits(2)
        .says("`live-restore = true` and swarm mode exclude each other");

    // Somebody has set it by hand: no restart by skep ends the node.
    lab.on(NODE, "cp /etc/docker/daemon.json /root/good; sleep 1.1; sed -i '0,/{/s/{/{ \"live-restore\": true,/' /etc/docker/daemon.json");
    let restart = playbook(
        lab,
        r#"systemd_service = { name = "docker", running = true, restart_when_newer = ["/etc/docker/daemon.json"] }"#,
    );
    lab.run("apply", &restart, &["--yes"])
        .exits(1)
        .says("with which no node of a swarm starts");
    let debug = playbook(lab, "daemon_json = { debug = true }");
    lab.run("check", &debug, &[])
        .exits(1)
        .says("exclude each other");
    lab.on(
        NODE,
        "cp -p /root/good /etc/docker/daemon.json; docker version >/dev/null",
    );
}

/// Docker Engine that comes back as another node: `daemon_json` restores the old file, and after
/// the restart of a unit the run stops.
fn engine_that_comes_back_as_another_node(lab: &TestLab) {
    let node = "docker info --format '{{.Swarm.LocalNodeState}} {{.Swarm.NodeID}} {{.Swarm.Cluster.ID}}'; docker secret ls --format '{{.Name}}' | grep keep";
    let before = lab.on(NODE, node);
    let files = lab.on(NODE, "cat /etc/docker/daemon.json; ls /etc/docker");
    // A folder that looks like a copy of the data, and is none.
    lab.on(
        NODE,
        "mkdir -p /srv/other/swarm; echo '{}' >/srv/other/swarm/docker-state.json",
    );
    let moved = playbook(lab, r#"daemon_json = { data-root = "/srv/other" }"#);
    lab.run("plan", &moved, &[])
        .exits(0)
        .says("the old file is restored");
    lab.run("apply", &moved, &["--yes"])
        .exits(1)
        .says("the old file was restored");
    assert_eq!(
        lab.on(NODE, "cat /etc/docker/daemon.json; ls /etc/docker"),
        files
    );
    assert_eq!(lab.on(NODE, node), before);

    let start = lab.on(
        NODE,
        "systemctl cat docker.service | sed -n 's/^ExecStart=\\(.\\)/\\1/p' | tail -1",
    );
    let drop_in = playbook(
        lab,
        &format!(
            "directory = {{ path = \"/etc/systemd/system/docker.service.d\" }}\n\
             file = {{ path = \"/etc/systemd/system/docker.service.d/root.conf\", content = \"[Service]\\nExecStart=\\nExecStart={start} --data-root /srv/empty\\n\" }}\n\
             systemd_service = {{ name = \"docker\", running = true, restart_when_newer = [\"/etc/systemd/system/docker.service.d/root.conf\"] }}"
        ),
    );
    lab.run("apply", &drop_in, &["--yes"])
        .exits(1)
        .says("lose its identity as a node of its swarm; nothing was restarted");
    assert_eq!(lab.on(NODE, node), before);
    // A command of the user restarts it all the same.
    let command = playbook(
        lab,
        r#"command = { run = "systemctl restart docker", always = true, disturbs = "engine_restart" }"#,
    );
    lab.run("apply", &command, &["--yes"])
        .exits(1)
        .says("came back as another one")
        .says("now it is in no swarm");
    lab.on(
        NODE,
        "rm /etc/systemd/system/docker.service.d/root.conf; systemctl daemon-reload; systemctl restart docker; \
         for i in $(seq 60); do docker node ls >/dev/null 2>&1 && break; sleep 0.5; done",
    );
    assert_eq!(lab.on(NODE, node), before);
}

/// Docker Engine hangs: its settings are unknown, and the file stays.
fn hung_engine(lab: &TestLab) {
    let state = "cat /etc/docker/daemon.json; ls /etc/docker";
    let before = lab.on(NODE, state);
    let mirror = playbook(
        lab,
        r#"daemon_json = { registry-mirrors = ["http://10.0.0.1:5000"] }"#,
    );
    lab.on(NODE, "kill -STOP $(pidof dockerd)");
    let started = std::time::Instant::now();
    let said = lab.run("apply", &mirror, &["--yes"]);
    lab.on(NODE, "kill -CONT $(pidof dockerd)");
    said.exits(1).says("the Engine does not respond");
    assert!(started.elapsed().as_secs() < 150);
    assert_eq!(lab.on(NODE, state), before);
    lab.on(
        NODE,
        "for i in $(seq 60); do docker node ls >/dev/null 2>&1 && break; sleep 0.5; done; docker node ls",
    );
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
    crate::kinds_cluster::swarm_settings(&lab);
    crate::kinds_cluster::secrets_and_configs(&lab);
    daemon_json(&lab);
    invalid_daemon_json(&lab);
    settings_that_end_the_swarm(&lab);
    engine_that_comes_back_as_another_node(&lab);
    hung_engine(&lab);
    node_labels(&lab);
    engine_output_is_escaped(&lab);
    read_only_verbs_change_nothing(&lab);
}
