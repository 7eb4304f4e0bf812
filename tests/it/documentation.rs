//! Checks that the documentation is complete: every kind has a section with an example that
//! resolves, every shipped playbook validates, and every link has a target.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = root().join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    assert!(
        !files.is_empty(),
        "{} has no .{extension}",
        folder.display()
    );
    files
}

fn validate(inventory: &Path, playbook: &Path) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_skep"))
        .arg("validate")
        .arg("-i")
        .arg(inventory)
        .arg(playbook)
        .current_dir(root())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(text).unwrap(),
    )
}

#[test]
fn every_shipped_playbook_validates_with_every_shipped_inventory() {
    let inventories: Vec<PathBuf> = files("inventory", "toml")
        .into_iter()
        .filter(|path| path.file_name().unwrap() != "lab.toml")
        .collect();
    for inventory in inventories {
        for playbook in files("playbooks", "toml") {
            let (code, text) = validate(&inventory, &playbook);
            assert_eq!(
                code,
                0,
                "{} with {}:\n{text}",
                playbook.display(),
                inventory.display()
            );
        }
    }
}

/// Returns the text of a kind's section in docs/resources.md.
fn section(kind: &str) -> String {
    let text = std::fs::read_to_string(root().join("docs/resources.md")).unwrap();
    let start = text
        .find(&format!("\n## {kind}\n"))
        .unwrap_or_else(|| panic!("docs/resources.md has no section `## {kind}`"));
    let rest = &text[start + 1..];
    rest[..rest[1..].find("\n## ").map_or(rest.len(), |end| end + 1)].to_owned()
}

#[test]
fn every_kind_is_documented_with_an_example_that_resolves() {
    for kind in skep::kinds::KINDS {
        let section = section(kind);
        assert!(
            section.contains("| field |"),
            "{kind} has a table of fields"
        );
        let examples: Vec<&str> = section
            .split("```toml\n")
            .skip(1)
            .filter_map(|part| part.split("```").next())
            .collect();
        assert!(!examples.is_empty(), "{kind} has an example");
        for example in examples {
            let folder = tempfile::tempdir().unwrap();
            let write = |name: &str, text: &str| {
                let path = folder.path().join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, text).unwrap();
                path
            };
            for name in [
                "web/Dockerfile",
                "docker.asc",
                "etc/motd",
                "motd",
                "files/motd",
                "files/docker.asc",
                "sshd_config",
                "app.conf",
                "web/compose.yml",
                "web/web.env",
            ] {
                write(name, "text\n");
                write(&format!("templates/{name}"), "text\n");
            }
            let inventory = write(
                "inventory.toml",
                "[vars]\ndocker_users = [\"vagrant\"]\nregistry = \"docker01:5000\"\n\
                 [hosts.docker01]\naddress = \"192.168.56.11\"\ngroups = [\"managers\"]\nvars = { swarm_address = \"192.168.56.11\" }\n",
            );
            let text = format!("[[plays]]\nname = \"example\"\nhosts = \"all\"\n{example}");
            let playbook = write("playbook.toml", &text);
            let (code, text) = validate(&inventory, &playbook);
            assert_eq!(code, 0, "the example of {kind}:\n{example}\n{text}");
        }
    }
}

#[test]
fn document_links_have_targets() {
    for folder in [".", "docs", "docs/decisions"] {
        for file in files(folder, "md") {
            let text = std::fs::read_to_string(&file).unwrap();
            for target in text
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split(')').next())
            {
                if target.contains("://") || target.starts_with('#') {
                    continue;
                }
                let path = file
                    .parent()
                    .unwrap()
                    .join(target.split('#').next().unwrap());
                assert!(path.exists(), "{} links to {target}", file.display());
            }
        }
    }
}
