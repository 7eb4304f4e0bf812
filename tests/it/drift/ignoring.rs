//! Ignore rules: ignored drift is listed and counted, expired rules are reported, broken ones stop the check.

use super::site::Site;

fn drifted() -> Site {
    let site = Site::new(1);
    site.playbook(
        "{ file = { path = 'HOST/x', content = 'x', mode = '0644' } },\n{ file = { path = 'HOST/y', content = 'y' } },",
    );
    site.run("apply", &["--yes"]).exits(0);
    site.on(0, &format!("chmod 600 {}", site.path("host-a/x").display()));
    site
}

const RULE: &str = "[[ignore]]\nhosts = 'a'\nresource = 'file[*/x]'\nfield = 'mode'\nreason = 'the auditors asked'\n";

#[test]
fn ignored_drift_is_listed_and_counted_and_an_expired_rule_is_reported() {
    let site = drifted();
    site.run("check", &[]).exits(3);
    site.write("inventory/ignore.toml", &format!("{RULE}expires = '2999-12-31'\n"));
    let said = site.run("check", &["--report", "r.json"]).exits(0).says("1 ignored").says("the auditors asked");
    assert!(said.stdout.contains("In sync"), "{}", said.stdout);
    let report = site.json("r.json");
    assert_eq!(report["totals"]["ignored"], 1);
    assert_eq!(report["hosts"][0]["ignored"][0]["fields"][0]["field"], "mode");
    assert_eq!(report["hosts"][0]["drift"], serde_json::json!([]));

    site.write("host-a/x", "other");
    let said = site.run("check", &[]).exits(3).says("1 ignored").says("content");
    assert!(!said.stdout.contains("mode: 0600"), "the other field alone is drift:\n{}", said.stdout);

    site.write("inventory/ignore.toml", &format!("{RULE}expires = '2020-12-31'\n"));
    site.run("check", &["--report", "r.json"]).exits(3).says("mode: 0600").says("expired on 2020-12-31");
    assert_eq!(site.json("r.json")["expired_rules"][0]["expires"], "2020-12-31");
}

#[test]
fn a_broken_file_of_rules_stops_the_check_before_any_host_is_contacted() {
    let site = Site::new(1);
    site.playbook("{ file = { path = 'HOST/x', content = 'x' } },");
    site.write("rules.toml", "[[ignore]]\nhosts = 'a'\nresource = '*'\nexpires = 'soon'\n");
    let said = site.run("check", &["--ignore", "rules.toml"]).exits(2).says("needs `reason`").says("rules.toml:4:11");
    assert!(said.stdout.is_empty());
    site.run("check", &["--ignore", "missing.toml"]).exits(2).says("missing.toml");
    assert!(!site.hosts[0].log().contains("Accepted"), "nobody logged in");
}

#[test]
fn findings_are_chosen_by_fail_on() {
    let mut site = drifted();
    site.run("check", &["--fail-on", "unreachable,failed"]).exits(0).says("DRIFT");
    site.run("check", &["--fail-on", "drift"]).exits(3);
    site.run("check", &["--fail-on", "nothing"]).exits(2);
    site.hosts[0].stop();
    site.run("check", &[]).exits(4);
    site.run("check", &["--fail-on", "drift,failed"]).exits(0).says("unreachable");
}
