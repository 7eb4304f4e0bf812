//! The history: when drift began and ended, and which reports are kept.

use super::site::DriftSite;

#[test]
fn history_shows_when_drift_began_and_ended() {
    let site = DriftSite::new(1);
    site.playbook("{ file = { path = 'HOST/x', content = 'x' } },\n{ file = { path = 'HOST/y', content = 'y' } },");
    site.run("history", &[]).exits(0).says("no report is kept");
    site.run("apply", &["--yes"]).exits(0);
    site.run("check", &[]).exits(0);
    site.write("host-a/x", "other");
    site.write("host-a/y", "other");
    site.run("check", &["--report", "first.json"]).exits(3);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    site.write("host-a/y", "y");
    site.run("check", &["--report", "second.json"]).exits(3);
    let (first, second) = (site.json("first.json"), site.json("second.json"));
    assert_ne!(first["started"], second["started"]);
    let since = &second["hosts"][0]["drift"][0]["since"];
    assert_eq!(
        *since, first["started"],
        "drift began with the first check that found it"
    );

    let said = site.run("history", &[]).exits(0).stdout;
    let line = |resource: &str| {
        said.lines()
            .find(|line| line.contains(resource))
            .unwrap_or_else(|| panic!("{said}"))
    };
    assert!(
        line("/x]").contains(since.as_str().unwrap())
            && line("/x]").contains("now")
            && line("/x]").ends_with(".xx")
    );
    assert!(
        line("/y]").contains(second["started"].as_str().unwrap()) && line("/y]").ends_with(".x.")
    );
    assert!(said.contains("▁█▅"), "{said}");
    site.run("history", &["--tags", "other"])
        .exits(0)
        .says("no report is kept");

    // A limit on the number of reports, and on their age.
    site.run("check", &["--keep", "2"]).exits(3);
    site.run("history", &[]).exits(0).says("2 checks");
    site.run("history", &["--max-age", "0s"])
        .exits(0)
        .says("removed");
    site.run("check", &["--keep", "0"]).exits(3);
    site.run("history", &["--json"])
        .exits(0)
        .says("\"schema\": 1");
}

#[test]
fn unwritable_history_is_a_warning() {
    let site = DriftSite::new(1);
    site.playbook("{ directory = { path = 'HOST' } },");
    site.write("state", "a file where the folder should be");
    site.run("check", &[])
        .exits(0)
        .says("the history was not kept");
}

#[test]
fn parallel_checks_keep_one_report_each() {
    let site = DriftSite::new(1);
    site.playbook("{ directory = { path = 'HOST' } },");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..2).for_each(|_| drop(site.run("check", &[]).exits(0))));
        }
    });
    site.run("history", &[]).exits(0).says("8 checks");
}
