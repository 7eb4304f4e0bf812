//! Plays over several nodes: order, `serial` and `max_fail`, no further changes on a host that
//! failed, selection of hosts and resources, exit codes, and output formats.

use crate::skep::{Said, command, skep};
use crate::test_lab::TestLab;

const NODES: [&str; 3] = ["docker01", "docker02", "docker03"];

/// A rolling change that fails if /srv/bad exists, and a second play after it.
const ROLLING: &str = r#"[[plays]]
name = "rolling"
hosts = "all"
serial = 1
max_fail = 0
tags = ["roll"]
resources = [
  { command = { name = "step", run = "date +%s.%N >/srv/began; sleep 0.3; test ! -e /srv/bad; date +%s.%N >/srv/done", creates = "/srv/done" } },
]
[[plays]]
name = "after"
hosts = "all"
resources = [
  { file = { path = "/srv/after", content = "x" } },
  { file = { path = "/srv/secret", content = "hush-{{ word }}", secret = true }, tags = ["private"] },
]
"#;

fn serial_and_max_fail(lab: &TestLab, rolling: &str) {
    lab.on("docker02", "touch /srv/bad");
    let said = lab
        .run("apply", rolling, &["--yes", "-e", "word=abc"])
        .exits(1);
    for (expected, why) in [
        (
            "docker01  0        3        0        0       0        changed",
            "the first host finished",
        ),
        (
            "docker02  0        0        0        1       2        failed",
            "what failed, and what it did not get",
        ),
        (
            "docker03  0        0        0        0       3        skipped",
            "nothing begins behind a failure, and no later play",
        ),
        (
            "1 resource skipped: max_fail was exceeded (failed hosts: 1)",
            "why",
        ),
        (
            "2 resources skipped: an earlier play skipped the host",
            "why not the second play",
        ),
    ] {
        assert!(
            said.stdout.contains(expected),
            "{why}: no `{expected}` in\n{}",
            said.stdout
        );
    }
    lab.on("docker02", "! test -e /srv/after");
    lab.on("docker03", "! test -e /srv/after && ! test -e /srv/began");
    lab.on("docker02", "rm /srv/bad");
    lab.run("apply", rolling, &["--yes", "-e", "word=abc"])
        .exits(0)
        .says("Applied");
    let time = |node: &str, file: &str| {
        lab.on(node, &format!("cat /srv/{file}"))
            .parse::<f64>()
            .unwrap()
    };
    assert!(
        time("docker02", "done") <= time("docker03", "began"),
        "one at a time, in the inventory's order"
    );
}

fn selections(lab: &TestLab, rolling: &str) {
    for (more, code, seen, unseen) in [
        (
            &["--limit", "workers:!docker03"][..],
            3,
            "docker02",
            "docker03",
        ),
        (&["--limit", "all[0]"], 3, "docker01", "docker02"),
        (
            &["--limit", "docker0[1"],
            2,
            "there is no group or host",
            "docker01\n",
        ),
        (&["--tags", "private"], 3, "file[/srv/secret]", "/srv/after"),
        (&["--skip-tags", "private"], 0, "In sync", "/srv/secret"),
        (
            &["--tags", "nosuch"],
            2,
            "no resource has the tag",
            "docker01\n",
        ),
        (&["--forks", "0"], 2, "--forks", "docker01\n"),
    ] {
        let said = lab
            .run("check", rolling, &[&["-e", "word=other"], more].concat())
            .exits(code)
            .says(seen);
        said.does_not_say(unseen).does_not_say("hush-");
    }
    lab.run("check", rolling, &[])
        .exits(2)
        .says("`word` is not defined");
}

fn json_and_color_output(lab: &TestLab, rolling: &str) {
    let more = ["-e", "word=third", "--json", "-vvv"];
    for verb in [&["plan"][..], &["check"], &["apply", "--yes"]] {
        let said = lab
            .run(verb[0], rolling, &[&verb[1..], &more].concat())
            .does_not_say("hush-")
            .does_not_say("third");
        for line in said.stdout.lines() {
            let event: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert_eq!(event["schema"], 1, "{line}");
        }
        assert!(
            said.stdout
                .lines()
                .any(|line| line.contains("run_finished")),
            "{}",
            said.stdout
        );
    }
    let inventory = lab.inventory();
    for verb in ["ping", "facts", "status", "inventory"] {
        let said = skep(&[verb, "-i", &inventory, "--json"]);
        assert!(!said.stdout.is_empty());
        said.stdout
            .lines()
            .for_each(|line| drop(serde_json::from_str::<serde_json::Value>(line).unwrap()));
    }
    // Without a terminal nobody can confirm; a plan that is not read to its end is no error.
    lab.run("apply", rolling, &["-e", "word=new"])
        .exits(2)
        .says("--yes");
    let colour = |arguments: &[&str], plain: bool| {
        let mut run = lab.command("plan", rolling, &[&["-e", "word=new"], arguments].concat());
        let said = Said::from(
            if plain {
                run.env("NO_COLOR", "1")
            } else {
                &mut run
            }
            .output()
            .unwrap(),
        )
        .exits(0);
        said.stdout.contains('\u{1b}') || said.stderr.contains('\u{1b}')
    };
    assert!(colour(&["--color", "always"], false) && colour(&["--color", "always"], true));
    assert!(!colour(&["--color", "never"], false) && !colour(&[], false) && !colour(&[], true));
    let mut plan = lab.command("plan", rolling, &["-e", "word=new", "-vv"]);
    let mut plan = plan
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(plan.stdout.take());
    let said = Said::from(plan.wait_with_output().unwrap()).exits(0);
    assert!(
        !said.stderr.to_lowercase().contains("pipe") && !said.stderr.contains("panicked"),
        "{}",
        said.stderr
    );
}

fn exit_codes(lab: &TestLab, rolling: &str) {
    lab.fault("cut", "docker03");
    let quick = ["-e", "word=third"];
    let inventory = lab.inventory();
    let impatient = lab.write("impatient.toml", "[defaults]\nconnect_timeout = \"1s\"\n");
    let both = format!("{inventory},{impatient}");
    let run = |verb: &str, more: &[&str]| {
        let arguments = [&[verb, "-i", &both, rolling][..], &quick, more].concat();
        Said::from(command(&arguments).output().unwrap())
    };
    run("plan", &[]).exits(4).says("docker03");
    run("check", &[]).exits(4);
    lab.on("docker01", "rm /srv/after");
    run("check", &[]).exits(4).says("+ file[/srv/after]");
    run("check", &["--limit", "docker01"]).exits(3);
    run("plan", &["--limit", "docker01"]).exits(0);
    run("plan", &["--limit", "docker01", "--exit-code"]).exits(3);
    lab.on("docker02", "rm -rf /srv/after; mkdir /srv/after");
    run("check", &[])
        .exits(1)
        .says("is a directory, not a file");
    run("apply", &["--yes"]).exits(1).says("unreachable");
    lab.on("docker01", "test -f /srv/after");
    lab.on("docker02", "rmdir /srv/after");
    run("apply", &["--yes"]).exits(4);
    lab.fault("heal", "docker03");
}

#[test]
fn serial_max_fail_limit_and_exit_codes() {
    let lab = TestLab::up("plays");
    let rolling = lab.write("rolling.toml", ROLLING);
    for node in NODES {
        lab.on(node, "test -d /srv");
    }
    serial_and_max_fail(&lab, &rolling);
    selections(&lab, &rolling);
    json_and_color_output(&lab, &rolling);
    exit_codes(&lab, &rolling);
}
