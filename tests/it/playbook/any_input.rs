//! For any content of a file, loading ends with a result and never with a panic.

use proptest::prelude::*;

use super::project::{INVENTORY, TestProject};

fn load(name: &str, content: &[u8]) {
    let project = TestProject::new(&[]);
    project.write(name, content);
    if let Err(errors) = project.prepare() {
        assert!(errors.has_errors());
        assert!(!errors.render(false).is_empty() && !errors.render(true).is_empty());
        assert_eq!(errors.to_json().as_array().unwrap().len(), errors.len());
    }
}

/// Generates TOML-like text, with the letters that matter to parsers and templates.
fn text() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "[hosts.a]\n",
        "[[plays]]\n",
        "[vars]\n",
        "hosts = ",
        "'all'",
        "password = ",
        "\"",
        "'",
        "\"\"\"",
        "'''",
        "=",
        "\n",
        "[",
        "]",
        "{",
        "}",
        "{{",
        "}}",
        "{%",
        "%}",
        "{{ host.name }}",
        "{{ facts.id }}",
        "resources = ",
        "symlink = ",
        "{ symlink = { path = '/a' } }",
        ",",
        ":",
        "é",
        "\u{1F41D}",
        "\\",
        "#",
        "when = ",
        "loop = ",
        "include = ",
        "'site.toml'",
        "1",
        "\r\n",
        "\t",
        " ",
    ]);
    prop::collection::vec(words, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_inventory(content in text()) {
        load("inventory.toml", content.as_bytes());
    }

    #[test]
    fn any_playbook(content in text()) {
        load("playbooks/site.toml", content.as_bytes());
    }

    #[test]
    fn any_bytes(content in prop::collection::vec(any::<u8>(), 0..200)) {
        load("playbooks/site.toml", &content);
    }

    #[test]
    fn any_pattern(pattern in "[a-z0-9\\[\\]:,!&*?é -]{0,20}") {
        let project = TestProject::new(&[]);
        let inventory = skep::inventory::Inventory::load(&[project.path("inventory.toml")], &[]).unwrap();
        if let Err(error) = inventory.select(&pattern) {
            prop_assert!(error.span.end <= pattern.len());
        }
    }
}

#[test]
fn endless_nesting_is_an_error() {
    for opening in ["a = ", "[vars]\na = "] {
        load(
            "inventory.toml",
            format!("{opening}{}", "[".repeat(100_000)).as_bytes(),
        );
        load(
            "inventory.toml",
            format!("{opening}{}", "{b=".repeat(100_000)).as_bytes(),
        );
    }
    let deep = format!(
        "{INVENTORY}[vars]\na = {}1{}\n",
        "[".repeat(400),
        "]".repeat(400)
    );
    load("inventory.toml", deep.as_bytes());
    load(
        "playbooks/site.toml",
        format!("[[plays]]\nhosts='all'\nwhen = '{}'\n", "(".repeat(100_000)).as_bytes(),
    );
}
