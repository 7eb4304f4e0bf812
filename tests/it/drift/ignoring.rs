//! Ignore rules: ignored drift is listed and counted, expired rules are reported, and invalid rules
//! stop the check.

use super::site::DriftSite;

fn drifted() -> DriftSite {
    let site = DriftSite::new(1);
    site.playbook(
        "{ file = { path = 'HOST/x', content = 'x', mode = '0644' } },\n{ file = { path = 'HOST/y', content = 'y' } },",
    );
    site.run("apply", &["--yes"]).exits(0);
    site.on(0, &format!("chmod 600 {}", site.path("host-a/x").display()));
    site
}

const RULE: &str = "[[ignore]]\nhosts = 'a'\nresource = 'file[*/x]'\nfield = 'mode'\nreason = 'the auditors asked'\n";

#[test]
fn ignored_drift_is_listed_and_expired_rule_is_reported() {
    let site = drifted();
    site.run("check", &[]).exits(3);
    site.write(
        "inventory/ignore.toml",
        &format!("{RULE}expires = '2999-12-31'\n"),
    );
    site.run("check", &["--report", "r.json"])
        .exits(0)
        .shows(&site, "drift_ignored");
    let report = site.json("r.json");
    assert_eq!(report["totals"]["ignored"], 1);
    assert_eq!(
        report["hosts"][0]["ignored"][0]["fields"][0]["field"],
        "mode"
    );
    assert_eq!(report["hosts"][0]["drift"], serde_json::json!([]));

    assert_eq!(
        of_x(&site, "planned", 0),
        ("ignored".into(), vec!["mode".into()])
    );
    assert_eq!(
        of_x(&site, "run_finished", 0),
        ("ignored".into(), vec!["mode".into()])
    );

    site.write("host-a/x", "other");
    assert_eq!(
        of_x(&site, "planned", 3),
        ("differs".into(), vec!["mode".into()])
    );
    // The other field alone is drift.
    site.run("check", &[])
        .exits(3)
        .shows(&site, "drift_ignored_field");

    site.write(
        "inventory/ignore.toml",
        &format!("{RULE}expires = '2020-12-31'\n"),
    );
    assert_eq!(of_x(&site, "planned", 3), ("differs".into(), Vec::new()));
    site.run("check", &["--report", "r.json"])
        .exits(3)
        .shows(&site, "drift_expired_rule");
    assert_eq!(
        site.json("r.json")["expired_rules"][0]["expires"],
        "2020-12-31"
    );
}

/// Returns the outcome and the ignored fields of `x` in an event of `--json`.
#[track_caller]
fn of_x(site: &DriftSite, event: &str, code: i32) -> (String, Vec<String>) {
    let said = site.run("check", &["--json"]).exits(code);
    let lines = said
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let line = lines
        .into_iter()
        .find(|line| line["event"] == event)
        .unwrap();
    let resources = line
        .get("resources")
        .or_else(|| line.pointer("/summary/hosts/a/resources"))
        .unwrap();
    let all = resources.as_array().unwrap();
    let x = all
        .iter()
        .find(|resource| resource["resource"].as_str().unwrap().ends_with("/x]"))
        .unwrap();
    let marks = x["ignored"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|mark| mark["fields"].as_array().unwrap());
    (
        x["outcome"].as_str().unwrap().into(),
        marks.map(|field| field.as_str().unwrap().into()).collect(),
    )
}

#[test]
fn invalid_ignore_file_stops_check_before_connecting() {
    let site = DriftSite::new(1);
    site.playbook("{ file = { path = 'HOST/x', content = 'x' } },");
    site.write(
        "rules.toml",
        "[[ignore]]\nhosts = 'a'\nresource = '*'\nexpires = 'soon'\n",
    );
    let said = site
        .run("check", &["--ignore", "rules.toml"])
        .exits(2)
        .shows(&site, "drift_broken_rules");
    assert!(said.stdout.is_empty());
    site.run("check", &["--ignore", "missing.toml"])
        .exits(2)
        .says("missing.toml");
    assert!(
        !site.hosts[0].log().contains("Accepted"),
        "no login was made"
    );
}

#[test]
fn fail_on_selects_findings() {
    let mut site = drifted();
    site.run("check", &["--fail-on", "unreachable,failed"])
        .exits(0)
        .says("DRIFT");
    site.run("check", &["--fail-on", "drift"]).exits(3);
    site.run("check", &["--fail-on", "nothing"]).exits(2);
    site.hosts[0].stop();
    site.run("check", &[]).exits(4);
    site.run("check", &["--fail-on", "drift,failed"])
        .exits(0)
        .says("unreachable");
}
