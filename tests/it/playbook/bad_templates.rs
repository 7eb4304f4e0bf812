//! Templates that fail: the undefined name, its line and column, also through variables and facts.

use crate::output::golden;

use super::project::{INVENTORY, TestProject, playbook};

fn refused(resources: &str) -> Vec<String> {
    TestProject::new(&[("playbooks/site.toml", &playbook(resources))]).error_lines()
}

#[test]
fn undefined_variable_is_named_and_marked() {
    let text = playbook("{ symlink = { path = '/home/{{ usr }}/x', target = '/b' } }");
    let project = TestProject::new(&[("playbooks/site.toml", &text)]);
    golden("errors_undefined_variable", &project.errors());
}

#[test]
fn all_templates_of_a_table_are_checked() {
    let lines = refused(
        "{ symlink = { path = '{{ aaa }}', target = '/{{ host.nme }}' }, when = 'true' },\n{ symlink = { path = '/b', target = '/c' }, when = 'bbb > 1' }",
    );
    golden("errors_templates", &lines.join("\n"));
}

#[test]
fn error_in_multiline_template_has_its_line() {
    let lines =
        refused("{ symlink = { path = '/a', target = '''\nfirst\n{{ second_line }}\n''' } }");
    assert!(
        lines[0].starts_with("playbooks/site.toml:6:4: `second_line` is not defined"),
        "{lines:?}"
    );
}

#[test]
fn syntax_unknown_filters_and_unknown_groups() {
    let lines = refused(
        "{ symlink = { path = '{{ host.name', target = '/b' } },\n{ symlink = { path = '{{ host.name | uper }}', target = '/b' } },\n{ symlink = { path = '{{ hosts_in(\"manager\")[0].name }}', target = '/b' } }",
    );
    golden("errors_template_syntax", &lines.join("\n"));
}

#[test]
fn failing_variable_shows_definition_and_use() {
    let inventory = INVENTORY.replace("[defaults]", "[vars]\nbase = '/srv/{{ bas }}'\n[defaults]");
    let text = playbook("{ symlink = { path = '{{ base }}/x', target = '/b' } }");
    let project = TestProject::new(&[
        ("inventory.toml", &inventory),
        ("playbooks/site.toml", &text),
    ]);
    golden("errors_variable_of_a_variable", &project.errors());
}

#[test]
fn circular_variables() {
    let inventory = INVENTORY.replace(
        "[defaults]",
        "[vars]\na = '{{ b }}'\nb = '{{ a }}'\n[defaults]",
    );
    let text = playbook("{ symlink = { path = '{{ a }}', target = '/b' } }");
    let lines = TestProject::new(&[
        ("inventory.toml", &inventory),
        ("playbooks/site.toml", &text),
    ])
    .error_lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(
        lines,
        [
            "inventory.toml:3:5: variables refer to each other in a circle: a -> b -> a; give one of them a plain value"
        ]
    );
}

#[test]
fn unknown_facts_are_errors_in_validate() {
    assert_eq!(
        refused("{ symlink = { path = '/{{ facts.codenam }}', target = '/b' } }"),
        ["playbooks/site.toml:4:27: `facts.codenam` is not defined; did you mean `codename`?"]
    );
}

#[test]
fn template_that_fails_on_some_releases_is_a_warning() {
    let text = playbook(
        "{ symlink = { path = '/{{ {\"noble\": 1, \"jammy\": 2, \"resolute\": 3}[facts.codename] }}', target = '/b' } }",
    );
    let project = TestProject::new(&[("playbooks/site.toml", &text)]);
    let warnings = project.prepare().unwrap().resolved.warnings;
    assert_eq!(warnings.len(), 1, "{}", project.shown(&warnings));
    let releases: Vec<&String> = warnings.iter().next().unwrap().releases.iter().collect();
    assert_eq!(releases, ["Debian 12", "Debian 13"]);
}
