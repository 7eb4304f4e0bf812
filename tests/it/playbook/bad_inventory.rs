//! Errors of an inventory have a place and a hint, and all are reported at once.

use crate::output::golden;

use super::project::{INVENTORY, TestProject};

fn refused(inventory: &str) -> Vec<String> {
    TestProject::new(&[("inventory.toml", inventory)]).error_lines()
}

#[test]
fn unknown_keys_name_the_nearest_known_one() {
    let inventory = "[default]\nuser = 'x'\n[defaults]\nprot = 1\n[groups.workers]\nvar = {}\n[hosts.a]\nadress = '10.0.0.1'\ngroup = ['workers']\n";
    golden("errors_inventory_keys", &refused(inventory).join("\n"));
}

#[test]
fn wrong_types_and_wrong_values() {
    let inventory = "[hosts.a]\naddress = 5\nport = 'ssh'\nbecome = 'yes'\ngroups = [1]\n[hosts.b]\naddress = '::1'\nport = 70000\nconnect_wait = '5 parsecs'\nhost_keys = 'accept'\nuser = '-x'\n";
    golden("errors_inventory_types", &refused(inventory).join("\n"));
}

#[test]
fn duplicate_host_in_one_file() {
    let lines = refused("[hosts.a]\naddress = '10.0.0.1'\n[hosts.a]\naddress = '10.0.0.2'\n");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].starts_with("inventory.toml:3:8: `a` is defined twice; "),
        "{lines:?}"
    );
}

#[test]
fn duplicate_host_in_two_files_shows_both_places() {
    let project = TestProject::new(&[("more.toml", "[hosts.docker02]\naddress = '10.0.0.2'\n")]);
    let errors = project
        .prepare_files(&["inventory.toml", "more.toml"], &["playbooks/site.toml"])
        .unwrap_err();
    golden("errors_host_twice", &project.shown(&errors));
}

#[test]
fn folder_is_one_inventory() {
    let project = TestProject::new(&[
        ("inv/b.toml", "[hosts.docker02]\naddress = '10.0.0.2'\n"),
        ("inv/a.toml", INVENTORY),
    ]);
    let errors = project
        .prepare_files(&["inv"], &["playbooks/site.toml"])
        .unwrap_err();
    assert!(
        project.lines(&errors)[0]
            .starts_with("inv/b.toml:1:8: the host `docker02` is defined twice")
    );
}

#[test]
fn empty_inventory() {
    for inventory in ["", "[defaults]\nuser = 'x'\n", "[hosts]\n"] {
        let lines = refused(inventory);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].starts_with("inventory.toml:1:1: the inventory has no hosts; add a host: "),
            "{lines:?}"
        );
    }
}

#[test]
fn invalid_addresses() {
    let lines = refused(
        "[hosts.a]\naddress = '192.168.56.256'\n[hosts.b]\naddress = 'b:2222'\n[hosts.'-c']\naddress = 'c'\n[hosts.d_e]\n",
    );
    golden("errors_addresses", &lines.join("\n"));
}

#[test]
fn inventory_that_is_not_utf_8() {
    let project = TestProject::new(&[]);
    project.write("inventory.toml", b"[hosts.a]\naddress = 'gr\xfcn'\n");
    let lines = project.error_lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("inventory.toml:2:14: "), "{lines:?}");
    assert!(lines[0].ends_with(
        "inventory.toml is not UTF-8: the byte at offset 23 is wrong; save the file as UTF-8"
    ));
}

#[test]
fn inventory_of_10_mb() {
    let project = TestProject::new(&[]);
    project.write("inventory.toml", vec![b'#'; 10_000_000]);
    let lines = project.error_lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("inventory.toml is 10000000 bytes large, the limit is 1048576"),
        "{lines:?}"
    );
}

#[test]
fn missing_inventory_file() {
    let project = TestProject::new(&[]);
    let errors = project
        .prepare_files(&["none.toml"], &["none/either.toml"])
        .unwrap_err();
    let lines = project.lines(&errors);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].starts_with("none.toml:1:1: cannot read none.toml: No such file"),
        "{lines:?}"
    );
    assert!(
        lines[1].starts_with("none/either.toml:1:1: cannot read none/either.toml: No such file"),
        "{lines:?}"
    );
}

#[test]
fn host_without_play() {
    let project = TestProject::new(&[(
        "playbooks/site.toml",
        "[[plays]]\nhosts = 'managers,db'\nresources = []\n",
    )]);
    assert_eq!(
        noted(&project),
        [
            "no play reaches the host `docker03`: its groups are workers; set `unmanaged = true` on a host that no playbook manages"
        ]
    );
}

/// Returns the notes and warnings of a project that can run, with their hints.
fn noted(project: &TestProject) -> Vec<String> {
    let prepared = project.prepare().unwrap();
    let noted = prepared.resolved.warnings.iter();
    noted
        .map(|one| format!("{}; {}", one.message, one.hint.clone().unwrap_or_default()))
        .collect()
}

#[test]
fn mistyped_group_is_suggested() {
    let inventory = "[hosts.a]\ngroups = ['managers']\n[hosts.b]\ngroups = ['manager']\n";
    let playbook = "[[plays]]\nhosts = 'managers'\nresources = []\n";
    let lines = noted(&TestProject::new(&[
        ("inventory.toml", inventory),
        ("playbooks/site.toml", playbook),
    ]));
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].contains("`b`: its groups are manager; is `manager` meant to be `managers`? set"),
        "{lines:?}"
    );
}

#[test]
fn unmanaged_host_needs_no_play() {
    let inventory = format!("{INVENTORY}[hosts.old]\naddress = '10.0.0.1'\nunmanaged = true\n");
    let playbook = "[[plays]]\nhosts = 'managers:workers'\nresources = []\n";
    TestProject::new(&[
        ("inventory.toml", &inventory),
        ("playbooks/site.toml", playbook),
    ])
    .prepare()
    .unwrap();
    let mut limited = TestProject::new(&[(
        "playbooks/site.toml",
        "[[plays]]\nhosts = 'managers,db'\nresources = []\n",
    )]);
    limited.options.limit = vec!["db".into()];
    limited.prepare().unwrap();
}

#[test]
fn groups_must_exist_and_not_contain_themselves() {
    let inventory = format!(
        "{INVENTORY}[groups.swarm]\nchildren = ['managers', 'worker']\n[groups.a]\nchildren = ['b']\n[groups.b]\nchildren = ['a']\n"
    );
    golden("errors_groups", &refused(&inventory).join("\n"));
}

#[test]
fn name_is_either_host_or_group() {
    let lines = refused("[hosts.db]\ngroups = ['all']\n[hosts.a]\ngroups = ['db']\n");
    assert_eq!(
        lines,
        [
            "inventory.toml:2:11: every host is in the group `all`; leave it out; variables of all hosts go to [vars]",
            "inventory.toml:1:8: `db` is the name of a group and of a host; give the host another name",
        ]
    );
}

#[test]
fn all_syntax_errors_of_all_files_are_reported() {
    let project = TestProject::new(&[
        ("inventory.toml", "[hosts.a]\naddress = \nport = 1 2\n"),
        ("playbooks/site.toml", "[[plays]\nhosts = 'all'\n"),
    ]);
    golden("errors_syntax", &project.error_lines().join("\n"));
}

#[test]
fn variables_cannot_shadow_template_names() {
    assert_eq!(
        refused("[vars]\nhost = 1\n'a-b' = 2\n[hosts.a]\n"),
        [
            "inventory.toml:2:1: `host` is a reserved name; templates use this name; choose another one for the variable",
            "inventory.toml:3:1: `a-b` is not a valid variable name; use letters, digits and `_`, not starting with a digit",
        ]
    );
}

#[test]
fn secrets_are_masked_in_shown_lines() {
    let project = TestProject::new(&[(
        "inventory.toml",
        "[hosts.a]\nbecome_password = \"hunter2\"\n",
    )]);
    let shown = project.errors();
    assert!(shown.contains("become_password = *********"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let broken = TestProject::new(&[(
        "inventory.toml",
        "[hosts.a]\napi_token = \"hunter2\nport = 1\n",
    )]);
    let shown = broken.errors();
    assert!(shown.contains("inventory.toml:2:"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn invalid_extra_variables() {
    let mut project = TestProject::new(&[("vars.toml", "a = \n")]);
    project.extra_vars = vec![
        "novalue".into(),
        "host=1".into(),
        format!("@{}", project.path("vars.toml").display()),
    ];
    golden("errors_extra_variables", &project.error_lines().join("\n"));
}
