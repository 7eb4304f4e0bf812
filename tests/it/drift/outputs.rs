//! Several outputs at once, files that cannot be written, JUnit, and notifications.

use super::site::DriftSite;

#[test]
fn failed_output_keeps_old_file_and_stops_no_other() {
    let site = DriftSite::new(1);
    site.playbook("{ file = { path = 'HOST/x', content = 'x' } },");
    site.run("apply", &["--yes"]).exits(0);
    std::fs::create_dir(site.path("gone")).unwrap();
    site.write("old.xml", "old");
    std::fs::create_dir(site.path("full")).unwrap();
    let full = site.path("full").display().to_string();
    crate::ssh::sshd::must("mount", &["-t", "tmpfs", "-o", "size=4k", "none", &full]);
    site.write("full/r.json", "old");
    let said = site.run(
        "check",
        &[
            "--report",
            "full/r.json",
            "--metrics",
            "no/such/m.prom",
            "--junit",
            "old.xml",
            "--html",
            "h.html",
        ],
    );
    let kept = site.read("full/r.json");
    let left = std::fs::read_dir(site.path("full")).unwrap().count();
    crate::ssh::sshd::must("umount", &[&full]);
    said.exits(1).shows(&site, "drift_outputs_that_fail");
    assert_eq!(
        (kept.as_str(), left),
        ("old", 1),
        "a full disk: the old file stays, nothing half is left"
    );
    assert!(
        site.read("old.xml").contains("<testsuites"),
        "the writable file was written"
    );
    assert!(
        site.read("h.html")
            .contains("every checked resource is in sync"),
        "the page was written, too"
    );

    let closed = site.path("closed").display().to_string();
    std::fs::create_dir(&closed).unwrap();
    crate::ssh::sshd::must(
        "mount",
        &["-t", "tmpfs", "-o", "ro,size=4k", "none", &closed],
    );
    let said = site.run("check", &["--metrics", "closed/m.prom"]);
    crate::ssh::sshd::must("umount", &[&closed]);
    said.exits(1)
        .says("cannot write closed/m.prom: Read-only file system");

    site.write("host-a/x", "other");
    site.run("check", &["--metrics", "no/such/m.prom"])
        .exits(3)
        .says("cannot write");
    let said = site
        .run("check", &["--json", "--report", "/dev/stderr"])
        .exits(3);
    assert!(
        said.stderr.contains("\"schema\": 1"),
        "a special file is written to: {}",
        said.stderr
    );
    let last: serde_json::Value =
        serde_json::from_str(said.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["event"], &last["report"]["state"]),
        (&"report".into(), &"drift".into())
    );
}

#[test]
fn junit_counts_match_its_entries() {
    let mut site = DriftSite::new(3);
    site.playbook("{ file = { path = 'HOST/x', content = 'x' } },\n{ file = { path = 'HOST/<y>&', content = 'y' } },");
    site.run("apply", &["--yes"]).exits(0);
    site.write("host-a/x", "<![CDATA[\u{1b}[31m");
    site.hosts[1].stop();
    site.write(
        "inventory/ignore.toml",
        "[[ignore]]\nhosts='c'\nresource='*'\nreason='\"r\"'\nexpires='2999-01-01'\n",
    );
    std::fs::remove_file(site.path("host-c/x")).unwrap();
    site.run("check", &["--junit", "j.xml"]).exits(4);
    let text = site.read("j.xml");
    assert!(
        text.contains("tests=\"5\" failures=\"1\" errors=\"1\" skipped=\"1\""),
        "{text}"
    );
    for (element, count) in [
        ("<testcase ", 5),
        ("<failure ", 1),
        ("<error ", 1),
        ("<skipped ", 1),
        ("<testsuite ", 3),
    ] {
        assert_eq!(text.matches(element).count(), count, "{element} in {text}");
    }
    // Another parser reads the XML.
    let parser = "import sys, xml.dom.minidom as m; m.parse(sys.argv[1])";
    match std::process::Command::new("python3")
        .args(["-c", parser])
        .arg(site.path("j.xml"))
        .status()
    {
        Ok(status) => assert!(status.success(), "{text}"),
        Err(_) => eprintln!("python3 is not installed: the XML was not parsed"),
    }
}

#[test]
fn notify_runs_only_when_state_changed() {
    let site = DriftSite::new(1);
    site.playbook("{ file = { path = 'HOST/x', content = 'x' } },");
    site.run("apply", &["--yes"]).exits(0);
    let check = |code: i32| {
        site.run("check", &["--notify", "cat >>told; echo >>count"])
            .exits(code)
    };
    let told = || std::fs::read_to_string(site.path("count")).map_or(0, |text| text.len());
    check(0);
    assert_eq!(told(), 0, "a first check in sync notifies nobody");
    site.write("host-a/x", "other");
    check(3);
    check(3);
    assert_eq!(told(), 1, "once");
    let report: serde_json::Value = serde_json::from_str(&site.read("told")).unwrap();
    assert_eq!(report["state"], "drift");
    site.write("host-a/x", "x");
    check(0);
    assert_eq!(told(), 2, "the end of drift is notified");

    site.write("host-a/x", "other");
    site.run("check", &["--notify", "exit 7"])
        .exits(3)
        .says("exit status: 7");
    check(3);
    assert_eq!(told(), 3, "a failed command counts as no notification");
    site.write("host-a/x", "x");
    site.run("check", &["--notify", "exit 7"])
        .exits(1)
        .says("exit status: 7");
}
