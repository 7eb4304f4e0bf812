//! Several playbooks in one run, and variables that nothing uses.

use super::project::{INVENTORY, TestProject};

const BASE: &str = "[vars]\nport = 80\nname = \"{{ port }}-x\"\n[[plays]]\nhosts = \"all\"\n\
    resources = [{ file = { path = \"/etc/x\", content = \"{{ name }}\" } }]\n";
const INCLUDING: &str = "include = \"base.toml\"\n[[plays]]\nhosts = \"managers\"\n\
    resources = [{ directory = { path = \"/srv/{{ port }}\" } }]\n";

fn project(first: &str, second: &str) -> TestProject {
    TestProject::new(&[
        ("playbooks/base.toml", BASE),
        ("playbooks/a.toml", &format!("{first}{INCLUDING}")),
        ("playbooks/b.toml", &format!("{second}{INCLUDING}")),
    ])
}

/// Returns the problems of a run of these playbooks, an error or a warning in each line.
fn problems(project: &TestProject, playbooks: &[&str]) -> Vec<String> {
    let diagnostics = match project.prepare_files(&["inventory.toml"], playbooks) {
        Ok(prepared) => prepared.resolved.warnings,
        Err(errors) => errors,
    };
    project.lines(&diagnostics)
}

const BOTH: [&str; 2] = ["playbooks/a.toml", "playbooks/b.toml"];

#[test]
fn an_included_file_runs_once_with_one_set_of_variables() {
    let same = project("", "");
    assert!(problems(&same, &BOTH).is_empty());
    let prepared = same.prepare_files(&["inventory.toml"], &BOTH).unwrap();
    assert_eq!(prepared.resolved.plays.len(), 3, "base.toml runs once");
    // A variable that the included file does not use may differ.
    let other = "[vars]\nown = 1\n";
    assert!(problems(&project("", ""), &["playbooks/a.toml"]).is_empty());
    let differing = project("", "");
    differing.write("playbooks/b.toml", format!("{INCLUDING}{other}"));
    assert!(problems(&differing, &BOTH).is_empty());
}

#[test]
fn different_values_for_an_included_file_name_both_playbooks() {
    let differing = project("", "");
    differing.write(
        "playbooks/b.toml",
        format!("{INCLUDING}[vars]\nport = 81\n"),
    );
    let found = problems(&differing, &BOTH);
    assert_eq!(found.len(), 1, "{found:?}");
    for words in [
        "playbooks/b.toml:6:8: ",
        "a.toml and ",
        "b.toml give different values of `port` to ",
        "base.toml, which runs once for both",
    ] {
        assert!(found[0].contains(words), "{words}: {found:?}");
    }
    // The file itself as a playbook is no different.
    let found = problems(&differing, &["playbooks/base.toml", "playbooks/b.toml"]);
    assert!(found[0].contains("different values of `port`"), "{found:?}");
    // The inventory is stronger than both playbooks.
    differing.write("inventory.toml", format!("{INVENTORY}[vars]\nport = 82\n"));
    assert!(problems(&differing, &BOTH).is_empty());
}

#[test]
fn extra_variables_that_nothing_uses_are_errors() {
    let mut project = project("", "");
    project.extra_vars = vec!["prot=1".into()];
    let found = problems(&project, &["playbooks/a.toml"]);
    assert_eq!(
        found,
        ["-e:1:6: nothing uses the variable `prot`; did you mean `port`?"]
    );
    project.extra_vars = vec!["port=1".into()];
    assert!(problems(&project, &["playbooks/a.toml"]).is_empty());
    // Templates count too, and files of variables often serve several playbooks.
    project.write("templates/t", "{{ other }}");
    project.write("more.toml", "other = 1\nprot = 2\n");
    project.extra_vars = vec![format!("@{}", project.path("more.toml").display())];
    let prepared = project.prepare_files(&["inventory.toml"], &["playbooks/a.toml"]);
    let warned = prepared.unwrap().resolved.warnings;
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(!warned.has_errors());
}

#[test]
fn inventory_variables_that_nothing_uses_are_a_warning() {
    let project = project("", "");
    project.write(
        "inventory.toml",
        format!("{INVENTORY}[vars]\nprot = 1\nswarm_address = \"10.0.0.1\"\nlater = 2\n"),
    );
    let found = problems(&project, &["playbooks/a.toml"]);
    assert_eq!(
        found,
        [
            "inventory.toml:17:8: no playbook or template uses the inventory variables `prot`, `later`; did you mean `port`?"
        ]
    );
    // Another playbook of the folder counts, and another inventory beside it does not.
    project.write("playbooks/other.toml", "[vars]\nlater = 1\nprot = 2\n");
    project.write("playbooks/inventory.toml", "[vars]\nprot = 1\n[hosts.a]\n");
    assert!(problems(&project, &["playbooks/a.toml"]).is_empty());
}
