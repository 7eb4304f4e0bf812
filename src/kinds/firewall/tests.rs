//! Plans for rules as ufw 0.36 wrote them on a node of the lab.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::kinds::trial;
use crate::model::QueryAnswer;
use crate::swarm::samples::{bound, roster};

const RULES_OF_A_NODE: &str = "*filter
### RULES ###

### tuple ### allow any 22 0.0.0.0/0 any 0.0.0.0/0 in
-A ufw-user-input -p tcp --dport 22 -j ACCEPT

### tuple ### allow tcp 7946 0.0.0.0/0 any 192.168.56.11 in comment=736b6570
### tuple ### allow udp 7946 0.0.0.0/0 any 192.168.56.11 in comment=736b6570
### tuple ### allow udp 4789 0.0.0.0/0 any 192.168.56.11 in comment=736b6570
### tuple ### allow tcp 7946 0.0.0.0/0 any 192.168.56.13 in
### tuple ### allow udp 7946 0.0.0.0/0 any 192.168.56.13 in
### tuple ### allow udp 4789 0.0.0.0/0 any 192.168.56.13 in
### tuple ### allow tcp 80 0.0.0.0/0 any 0.0.0.0/0 in comment=736b6570
### tuple ### deny tcp 4789 0.0.0.0/0 any 10.0.0.9 in
### tuple ### allow tcp 2377 0.0.0.0/0 any 10.0.0.9 out
### END RULES ###
";
const RULES_6_OF_A_NODE: &str = "### tuple ### allow any 22 ::/0 any ::/0 in\n### tuple ### allow tcp 80 ::/0 any ::/0 in comment=736b6570\n";

fn kind(table: &str, host: &str) -> FirewallResource {
    bound(table, host, &roster(&["docker01"])).unwrap()
}

fn answers(enabled: &str, rules: &str) -> HostAnswers {
    HostAnswers::default()
        .with(
            Query::content(CONFIGURATION),
            trial::file_answer(&format!("# x\nENABLED={enabled}\nLOGLEVEL=low\n")),
        )
        .with(Query::content(RULES), trial::file_answer(rules))
        .with(
            Query::content(RULES_6),
            trial::file_answer(RULES_6_OF_A_NODE),
        )
}

#[test]
fn worker_in_sync_keeps_foreign_rules() {
    assert!(
        trial::plan(
            &kind("published = ['80/tcp']", "docker02"),
            &answers("yes", RULES_OF_A_NODE)
        )
        .is_none()
    );
}

#[test]
fn adds_missing_rules_and_removes_stale_and_wide_rules() {
    let rules = RULES_OF_A_NODE
        .replace(
            "### tuple ### allow udp 4789 0.0.0.0/0 any 192.168.56.13 in\n",
            "",
        )
        .replace(
            "allow tcp 7946 0.0.0.0/0 any 192.168.56.11 in",
            "allow tcp 7946 0.0.0.0/0 any 192.168.56.99 in",
        )
        + "### tuple ### allow any 7946 0.0.0.0/0 any 0.0.0.0/0 in\n### tuple ### allow tcp 2377 0.0.0.0/0 any 192.168.56.13 in\n";
    let change = trial::plan(&kind("", "docker02"), &answers("yes", &rules)).unwrap();
    assert_eq!(
        trial::fields(&change),
        [
            "7946/tcp from 192.168.56.11: - => allowed",
            "4789/udp from 192.168.56.13: - => allowed",
            "7946/tcp from 192.168.56.99: allowed => -",
            "80/tcp from any: allowed => -",
            "7946/any from any: allowed => -",
            "2377/tcp from 192.168.56.13: allowed => -",
        ]
    );
    assert_eq!(
        trial::arguments(&change)[0],
        ["tcp", "192.168.56.11", "7946"]
    );
}

#[test]
fn managers_open_the_management_port_to_nodes_only() {
    let change = trial::plan(&kind("", "docker01"), &answers("yes", "")).unwrap();
    let fields = trial::fields(&change);
    assert!(
        fields.contains(&"2377/tcp from 192.168.56.12: - => allowed".to_owned()),
        "{fields:?}"
    );
    assert_eq!(
        fields
            .iter()
            .filter(|field| field.ends_with("=> allowed"))
            .count(),
        8
    );
}

#[test]
fn does_nothing_if_ufw_is_disabled_or_missing() {
    assert!(trial::plan(&kind("", "docker02"), &answers("no", "")).is_none());
    let none = [CONFIGURATION, RULES, RULES_6]
        .into_iter()
        .fold(HostAnswers::default(), |answers, path| {
            answers.with(Query::content(path), QueryAnswer::Path(None))
        });
    assert!(trial::plan(&kind("", "docker02"), &none).is_none());
}

#[test]
fn bad_input_is_refused() {
    for table in [
        "published = ['80']",
        "published = ['0/tcp']",
        "published = ['80/icmp']",
        "published = ['2377/tcp']",
        "nodes = ['nobody']",
    ] {
        assert!(
            bound::<FirewallResource>(table, "docker02", &roster(&["docker01"])).is_err(),
            "{table}"
        );
    }
}
