//! Errors of a playbook have a place and a hint, and all are reported at once.

use crate::output::golden;

use super::project::{TestProject, playbook};

fn refused(playbook: &str) -> Vec<String> {
    TestProject::new(&[("playbooks/site.toml", playbook)]).error_lines()
}

#[test]
fn unknown_kinds_and_keys_name_the_nearest_known_one() {
    let text = "var = {}\n[[plays]]\nhosts = 'all'\ntag = 'x'\nresources = [\n  { simlink = { path = '/a' } },\n  { symlink = { path = '/a', target = '/b' }, wen = 'true' },\n  { symlink = { pth = '/a', target = '/b' } },\n]\n";
    golden("errors_playbook_keys", &refused(text).join("\n"));
}

#[test]
fn wrong_types() {
    let text = "[[plays]]\nhosts = 'all'\nserial = 0\nmax_fail = 'x'\ntags = ['a b']\nresources = [\n  'symlink',\n  { symlink = '/a' },\n  { symlink = { path = 5, target = true } },\n  { tags = 'a' },\n  { symlink = { path = '/a', target = '/b' }, when = 1, loop = 2 },\n]\n";
    golden("errors_playbook_types", &refused(text).join("\n"));
}

#[test]
fn one_resource_has_one_kind() {
    let lines = refused(&playbook(
        "{ symlink = { path = '/a', target = '/b' }, command = { run = 'true' } }",
    ));
    assert_eq!(lines.len(), 1, "{lines:?}");
    // Without the kind `command`, the key is unknown; in both cases it is refused at its place.
    assert!(
        lines[0].starts_with("playbooks/site.toml:4:45: "),
        "{lines:?}"
    );
}

#[test]
fn unknown_group_is_marked_within_pattern() {
    let project = TestProject::new(&[(
        "playbooks/site.toml",
        "[[plays]]\nhosts = 'managers,worker:!db'\nresources = []\n",
    )]);
    golden("errors_unknown_group", &project.errors());
}

#[test]
fn declared_empty_group_is_allowed() {
    let text =
        "[[plays]]\nhosts = 'all'\nresources = []\n[[plays]]\nhosts = 'standby'\nresources = []\n";
    assert_eq!(
        refused(text),
        [
            "playbooks/site.toml:5:10: there is no group or host `standby`; declare a group without hosts with [groups.standby]"
        ]
    );
    let inventory = format!("{}[groups.standby]\n", super::project::INVENTORY);
    let project = TestProject::new(&[
        ("inventory.toml", &inventory),
        ("playbooks/site.toml", text),
    ]);
    let prepared = project.prepare().unwrap();
    assert!(prepared.resolved.plays[1].hosts.is_empty() && prepared.resolved.warnings.is_empty());
}

#[test]
fn plays_need_hosts_and_playbooks_need_plays() {
    assert_eq!(
        refused("[[plays]]\nname = 'x'\n"),
        ["playbooks/site.toml:1:1: this play has no `hosts`; e.g. `hosts = \"all\"`"]
    );
    assert_eq!(
        refused("[[plays]]\nhosts = []\nresources = [{ symlnk = {} }]\n[[plays]]\nhosts = 5\n"),
        [
            "playbooks/site.toml:3:16: unknown kind `symlnk` of a resource; did you mean `symlink`?",
            "playbooks/site.toml:2:9: this play has no `hosts`; e.g. `hosts = \"all\"`",
            "playbooks/site.toml:5:9: `hosts` must be a string or a list of strings, not an integer",
        ]
    );
    let lines = refused("[vars]\na = 1\n");
    assert!(
        lines[0].starts_with("playbooks/site.toml:1:1: the playbook has no plays; write [[plays]]"),
        "{lines:?}"
    );
}

#[test]
fn include_cycle_names_the_chain() {
    let project = TestProject::new(&[
        ("playbooks/site.toml", "include = ['a.toml']\n"),
        ("playbooks/a.toml", "include = [\n  'sub/b.toml',\n]\n"),
        ("playbooks/sub/b.toml", "include = '../a.toml'\n"),
    ]);
    assert_eq!(
        project.error_lines(),
        [
            "playbooks/sub/b.toml:1:11: files include each other in a circle: playbooks/a.toml -> playbooks/sub/b.toml -> playbooks/sub/../a.toml; remove one of these includes"
        ]
    );
}

#[test]
fn playbook_that_includes_itself() {
    let lines = refused("include = ['site.toml']\n");
    assert_eq!(
        lines,
        [
            "playbooks/site.toml:1:12: files include each other in a circle: playbooks/site.toml -> playbooks/site.toml; remove one of these includes"
        ]
    );
}

#[test]
fn missing_or_invalid_include() {
    let project = TestProject::new(&[
        (
            "playbooks/site.toml",
            "include = ['none.toml', { fil = 'b.toml' }, { file = 'b.toml' }, 5]\n",
        ),
        (
            "playbooks/b.toml",
            "[[plays]]\nhosts = 'all'\nresources = [{ symlnk = {} }]\n",
        ),
    ]);
    golden("errors_includes", &project.error_lines().join("\n"));
}

#[test]
fn same_error_on_many_hosts_is_reported_once() {
    let inventory: String = (0..100)
        .map(|number| format!("[hosts.node{number}]\n"))
        .collect();
    let project = TestProject::new(&[
        ("inventory.toml", inventory.as_str()),
        (
            "playbooks/site.toml",
            &playbook("{ symlink = { path = '/{{ nme }}', target = '/b' } }"),
        ),
    ]);
    let errors = project.prepare().unwrap_err();
    assert_eq!(errors.len(), 1);
    assert!(
        errors
            .render(false)
            .contains("note: on 100 hosts: node0, node1, node2 and 97 others")
    );
    assert_eq!(errors.to_json()[0]["hosts"].as_array().unwrap().len(), 100);
}

#[test]
fn unknown_tags_and_limits_are_errors() {
    let text = playbook("{ symlink = { path = '/a', target = '/b' }, tags = ['docker'] }");
    let mut project = TestProject::new(&[("playbooks/site.toml", &text)]);
    project.options.tags = vec!["dcker".into()];
    project.options.limit = vec!["managers:workrs".into()];
    assert_eq!(
        project.error_lines(),
        [
            "--tags:1:1: no resource has the tag `dcker`; did you mean `docker`?",
            "--limit:1:10: there is no group or host `workrs`; did you mean `workers`?",
        ]
    );
    project.options.tags.clear();
    project.options.limit = vec!["managers:&workers".into()];
    assert_eq!(
        project.error_lines(),
        ["--limit:1:1: `--limit` selects no host"]
    );
}

#[test]
fn errors_of_all_files_are_reported_together() {
    let project = TestProject::new(&[
        (
            "inventory.toml",
            "[defaults]\nusr = 'x'\n[hosts.a]\naddress = '1.2.3'\n",
        ),
        (
            "playbooks/site.toml",
            &playbook("{ symlink = { path = '/{{ nope }}', target = '/b' } },\n{ symlnk = {} }"),
        ),
    ]);
    golden("errors_several_files", &project.error_lines().join("\n"));
}

#[test]
fn json_has_file_line_column_and_hint() {
    let project = TestProject::new(&[("playbooks/site.toml", &playbook("{ symlnk = {} }"))]);
    let errors = project.prepare().unwrap_err().to_json();
    assert_eq!(errors.as_array().unwrap().len(), 1);
    assert!(
        errors[0]["file"]
            .as_str()
            .unwrap()
            .ends_with("playbooks/site.toml")
    );
    assert_eq!(
        (errors[0]["line"].as_u64(), errors[0]["column"].as_u64()),
        (Some(4), Some(3))
    );
    assert_eq!(errors[0]["hint"], "did you mean `symlink`?");
    assert_eq!(errors[0]["severity"], "error");
}
