//! Templates and source files: search path, variables and errors. An error of a kind is shown at
//! the field that the kind refuses.

use skep::model::{Examination, HostAnswers, Query, ShellQuery};
use skep::playbook::{ResourceBinding, sample_facts};

use crate::output::golden;

use super::project::{TestProject, playbook};

/// Returns the content that the first resource of the first host would write, from its change.
fn content(project: &TestProject) -> String {
    let prepared = project
        .prepare()
        .unwrap_or_else(|errors| panic!("{}", project.shown(&errors)));
    let host_resource = &prepared.resolved.plays[0].host_resources[0][0];
    let resource = match &host_resource.resource {
        ResourceBinding::Bound(resource) => resource.clone(),
        ResourceBinding::Deferred(deferred) => deferred
            .bind(&sample_facts("docker01", "10.0.0.1")[0].facts)
            .unwrap()
            .remove(0),
    };
    let answers = resource
        .queries()
        .into_iter()
        .fold(HostAnswers::default(), |answers, query| match query {
            Query::Shell(ShellQuery::Path { .. }) => {
                answers.with(query, skep::model::QueryAnswer::Path(None))
            }
            other => panic!("not expected: {other:?}"),
        });
    match resource.examine(&answers).unwrap() {
        Examination::Differs(change) => format!("{:?}", change.fields),
        _ => panic!("a file that is absent differs"),
    }
}

fn file(fields: &str) -> String {
    playbook(&format!("{{ file = {{ path = '/etc/x', {fields} }} }}"))
}

#[test]
fn templates_are_found_beside_and_above_the_playbook() {
    for place in [
        "templates/x.conf",
        "playbooks/templates/x.conf",
        "playbooks/x.conf",
    ] {
        let text = file("template = 'x.conf'");
        let project = TestProject::new(&[
            ("playbooks/site.toml", &text),
            (place, "name={{ host.name }}\n"),
        ]);
        assert!(
            content(&project).contains("name=docker01\\n"),
            "{place}: {}",
            content(&project)
        );
    }
    let text = file("source = 'x.conf'");
    let project = TestProject::new(&[
        ("playbooks/site.toml", &text),
        ("playbooks/x.conf", "{{ as it is }}\n"),
    ]);
    assert!(content(&project).contains("{{ as it is }}\\n"));
}

#[test]
fn templates_include_others_and_loop_over_hosts() {
    let project = TestProject::new(&[
        ("playbooks/site.toml", &file("template = 'x.conf'")),
        (
            "templates/x.conf",
            "{% include 'head.conf' %}\n{% for peer in hosts_in('workers') %}\n- {{ peer.name }}={{ peer.address }}\n{% endfor %}\n",
        ),
        ("templates/head.conf", "<head {{ host.name }}>\n"),
    ]);
    let shown = content(&project);
    assert!(
        shown.contains("<head docker01>\\n- docker02=192.168.56.12\\n- docker03=192.168.56.13\\n"),
        "{shown}"
    );
}

#[test]
fn sha256_filter_of_template() {
    let project = TestProject::new(&[
        (
            "playbooks/site.toml",
            &file(
                "content = \"{% set text %}{% include 'x.conf' %}{% endset %}{{ text | sha256 }}\"",
            ),
        ),
        ("templates/x.conf", "name={{ host.name }}\n"),
    ]);
    // printf 'name=docker01\n' | sha256sum
    let digest = "65d9caf7ae3d5c786e8d1656b9c27eb6ff91e9b9917f04ab7196792729ac586c";
    assert!(content(&project).contains(digest), "{}", content(&project));
}

#[test]
fn template_with_facts_defers_its_file() {
    let project = TestProject::new(&[
        ("playbooks/site.toml", &file("template = 'x.conf'")),
        ("templates/x.conf", "{% include 'inner.conf' %}"),
        ("templates/inner.conf", "{{ facts.codename }}"),
    ]);
    let prepared = project.prepare().unwrap();
    assert!(matches!(
        prepared.resolved.plays[0].host_resources[0][0].resource,
        ResourceBinding::Deferred(_)
    ));
    assert!(content(&project).contains("jammy"));
}

#[test]
fn missing_template_lists_searched_paths() {
    let project = TestProject::new(&[(
        "playbooks/site.toml",
        &file("template = 'nginx.conf', mode = '0644'"),
    )]);
    golden("errors_missing_template", &project.errors());
    let project = TestProject::new(&[("playbooks/site.toml", &file("source = 'none/x'"))]);
    let lines = project.error_lines();
    assert!(
        lines[0]
            .starts_with("playbooks/site.toml:4:38: file: there is no file `none/x`; searched: "),
        "{lines:?}"
    );
}

#[test]
fn undefined_variable_in_template_names_file_and_line() {
    let project = TestProject::new(&[
        ("playbooks/site.toml", &file("template = 'x.conf'")),
        ("templates/x.conf", "first\n{% include 'inner.conf' %}\n"),
        ("templates/inner.conf", "a\nb\nlisten {{ prot }};\n"),
    ]);
    golden("errors_in_a_template", &project.errors());
}

#[test]
fn template_with_syntax_error_or_missing_include() {
    let project = TestProject::new(&[
        (
            "playbooks/site.toml",
            &playbook(
                "{ file = { path = '/a', template = 'a.conf' } },\n{ file = { path = '/b', template = 'b.conf' } }",
            ),
        ),
        ("templates/a.conf", "x\n{% if %}\n"),
        ("templates/b.conf", "{% include 'none.conf' %}\n"),
    ]);
    let lines = project.error_lines();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(
        lines[0].contains("templates/a.conf:2:") && lines[0].contains("not a valid template"),
        "{lines:#?}"
    );
    assert!(lines[1].starts_with("templates/b.conf:1:"), "{lines:#?}");
    assert!(
        lines[1]
            .contains("there is no template `none.conf`; searched: playbooks/templates/none.conf"),
        "{lines:#?}"
    );
}

#[test]
fn templates_that_are_too_large_or_not_utf_8() {
    let project = TestProject::new(&[(
        "playbooks/site.toml",
        &playbook(
            "{ file = { path = '/a', template = 'a.conf' } },\n{ file = { path = '/b', template = 'b.conf' } },\n{ file = { path = '/c', source = 'a.conf' } }",
        ),
    )]);
    project.write("templates/a.conf", vec![b'x'; 10_000_000]);
    project.write("templates/b.conf", b"\xff\xfe");
    let lines = project.error_lines();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(
        lines[0].contains("a.conf is 10000000 bytes large, the limit is 1048576"),
        "{lines:#?}"
    );
    assert!(
        lines[1].contains("b.conf is not UTF-8: the byte at offset 0 is wrong"),
        "{lines:#?}"
    );
    assert!(
        lines[2].contains("a.conf is 10000000 bytes large"),
        "{lines:#?}"
    );
}

#[test]
fn invalid_mode_is_marked_at_its_value() {
    let project = TestProject::new(&[(
        "playbooks/site.toml",
        &playbook(
            "{ directory = { path = '/a', mode = '0788' } },\n{ directory = { path = '/a', mode = 755 } },\n{ directory = { path = 'a', mode = '{{ 644 | string }}' } },",
        ),
    )]);
    let lines = project.error_lines();
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("playbooks/site.toml:4:37: directory")),
        "{lines:#?}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("playbooks/site.toml:5:37: directory")),
        "{lines:#?}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("playbooks/site.toml:6:24: directory")),
        "{lines:#?}"
    );
}

#[test]
fn rendered_secret_is_masked_in_messages() {
    let inventory = format!(
        "{}[hosts.docker01.vars]\ndb_password = ['hunter2']\n",
        "[hosts.docker01]\n"
    );
    let text = playbook(
        "{ file = { path = '/a', content = '{{ db_password }}' } },\n{ file = { path = '/a', content = 'x', password = 'hunter2' } },\n{ directory = { path = '/a', mode = '{{ db_password[0] }}' } },\n{ group = { name = '{{ db_password[0] }}! x' } }",
    );
    let project = TestProject::new(&[
        ("inventory.toml", &inventory),
        ("playbooks/site.toml", &text),
    ]);
    let shown = project.errors();
    assert!(
        shown.contains("unknown key `password`") && shown.contains("password = *********"),
        "{shown}"
    );
    assert!(
        shown.contains("error: directory: ") && shown.contains("error: group"),
        "{shown}"
    );
    assert!(!shown.contains("hunter2"), "{shown}");
}
