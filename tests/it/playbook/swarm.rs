//! Refusals of the swarm's kinds before any connection: two hosts that should start the swarm, and
//! labels.

use super::project::{INVENTORY, TestProject, playbook};

/// Returns two managers that can reach each other.
fn managers() -> String {
    let with_address = |text: String, host: &str, address: &str| {
        text.replace(
            &format!("[hosts.{host}]"),
            &format!("[hosts.{host}]\nvars = {{ swarm_address = '{address}' }}"),
        )
    };
    let text = INVENTORY.replace(
        "groups = [\"workers\", \"db\"]",
        "groups = [\"managers\", \"db\"]",
    );
    with_address(
        with_address(text, "docker01", "192.168.56.11"),
        "docker02",
        "192.168.56.12",
    )
}

#[test]
fn two_managers_with_init() {
    let text = "[[plays]]\nhosts = 'docker01'\nresources = [{ swarm_member = { role = 'manager', init = true } }]\n\
                [[plays]]\nhosts = 'docker02,docker03'\nresources = [\n  { swarm_member = { role = 'manager', init = true }, when = \"'managers' in host.groups\" },\n]\n";
    let project = TestProject::new(&[
        ("inventory.toml", &managers()),
        ("playbooks/site.toml", text),
    ]);
    let errors = project.prepare().unwrap_err();
    let only = errors.iter().next().unwrap();
    assert_eq!(errors.len(), 1, "{}", project.shown(&errors));
    assert_eq!(
        only.message,
        "2 hosts claim `swarm init`, but only one host may: docker01, docker02"
    );
    assert!(
        only.place
            .as_ref()
            .unwrap()
            .to_string()
            .ends_with("playbooks/site.toml:7:5")
    );
    assert!(
        only.related[0]
            .0
            .to_string()
            .ends_with("playbooks/site.toml:3:16")
    );
}

#[test]
fn play_with_init_on_all_managers() {
    let text = "[[plays]]\nhosts = 'all'\nresources = []\n[[plays]]\nhosts = 'managers'\nresources = [{ swarm_member = { role = 'manager', init = true } }]\n";
    let lines = TestProject::new(&[
        ("inventory.toml", &managers()),
        ("playbooks/site.toml", text),
    ])
    .error_lines();
    assert_eq!(
        lines,
        [
            "playbooks/site.toml:6:16: 2 hosts claim `swarm init`, but only one host may: docker01, docker02; narrow the play to one host, e.g. `hosts = \"managers[0]\"`"
        ]
    );
    let one = text.replace("'managers'", "'managers[0]'");
    TestProject::new(&[
        ("inventory.toml", &managers()),
        ("playbooks/site.toml", &one),
    ])
    .prepare()
    .unwrap();
}

#[test]
fn invalid_label_is_marked_at_its_name() {
    let text = playbook(
        "{ node_labels = { \"fine\" = \"true\", \"not fine\" = \"x\" } },\n{ node_labels = { \"a=b\" = \"x\" } }",
    );
    let lines = TestProject::new(&[
        ("inventory.toml", &managers()),
        ("playbooks/site.toml", &text),
    ])
    .error_lines();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(
        lines[0].starts_with("playbooks/site.toml:4:36: node_labels"),
        "{lines:#?}"
    );
    assert!(
        lines[0].contains("\"not fine\" contains white space"),
        "{lines:#?}"
    );
    assert!(
        lines[1].starts_with("playbooks/site.toml:5:19: node_labels"),
        "{lines:#?}"
    );
}
