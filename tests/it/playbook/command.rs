//! `skep validate` and `skep inventory` as commands: exit codes, streams, `--json`.

use assert_cmd::Command;

use super::project::{TestProject, playbook};

fn skep(project: &TestProject, arguments: &[&str]) -> assert_cmd::assert::Assert {
    let mut command = Command::cargo_bin("skep").unwrap();
    command
        .current_dir(project.path(""))
        .env_remove("SKEP_INVENTORY")
        .args(arguments)
        .assert()
}

#[test]
fn validate_exits_0_and_counts() {
    let project = TestProject::new(&[]);
    skep(
        &project,
        &["validate", "-i", "inventory.toml", "playbooks/site.toml"],
    )
    .code(0)
    .stdout("valid: 3 hosts, 1 play, 3 resources\n")
    .stderr("");
}

#[test]
fn validate_exits_2_with_locations() {
    let project = TestProject::new(&[("playbooks/site.toml", &playbook("{ symlnk = {} }"))]);
    let assert = skep(
        &project,
        &["validate", "-i", "inventory.toml", "playbooks/site.toml"],
    )
    .code(2)
    .stdout("");
    let stderr = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    assert!(
        stderr.contains(" --> playbooks/site.toml:4:3\n"),
        "{stderr}"
    );
    assert!(!stderr.contains('\u{1b}'), "no colour without a terminal");
    let assert = skep(
        &project,
        &[
            "validate",
            "--json",
            "-i",
            "inventory.toml",
            "playbooks/site.toml",
        ],
    )
    .code(2)
    .stderr("");
    let object: serde_json::Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    assert_eq!(object["valid"], false);
    assert_eq!(object["diagnostics"][0]["line"], 4);
}

#[test]
fn only_inventory_is_found_and_several_are_an_error() {
    let project = TestProject::new(&[("inventory/a.toml", super::project::INVENTORY)]);
    skep(&project, &["inventory", "--limit", "db"])
        .code(0)
        .stdout("docker02  vagrant@192.168.56.12:22  workers, db\n");
    project.write("inventory/b.toml", "");
    let assert = skep(&project, &["inventory"]).code(2);
    assert!(
        String::from_utf8_lossy(&assert.get_output().stderr)
            .contains("several inventories: inventory/a.toml, inventory/b.toml")
    );
    skep(&project, &["inventory", "-i", "inventory"]).code(0);
}

#[test]
fn inventory_json_is_merged_and_masks_secrets() {
    let project = TestProject::new(&[(
        "i.toml",
        "[vars]\nregistry_password = 'hunter2'\na = 1\n[hosts.x]\naddress = '10.0.0.1'\ngroups = ['g']\nvars = { a = 2 }\n",
    )]);
    let assert = skep(
        &project,
        &["inventory", "--json", "-i", "i.toml", "-e", "b=[1]"],
    )
    .code(0);
    let object: serde_json::Value = serde_json::from_slice(&assert.get_output().stdout).unwrap();
    assert_eq!(
        object["hosts"]["x"]["vars"],
        serde_json::json!({ "registry_password": "(secret)", "a": 2, "b": [1] })
    );
    assert_eq!(object["groups"], serde_json::json!({ "g": ["x"] }));
    assert_eq!(object["hosts"]["x"]["connect_timeout"], "10s");
}
