//! Checks that every test exists that the table of traps in docs/ssh.md names.

use std::path::Path;

/// Collects all Rust text below a folder.
fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.path() {
            path if path.is_dir() => sources(&path, text),
            path if path.extension().is_some_and(|extension| extension == "rs") => {
                text.push_str(&std::fs::read_to_string(&path).unwrap());
            }
            _ => {}
        }
    }
}

#[test]
fn trap_table_names_existing_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    sources(&root.join("src/transport"), &mut code);
    sources(&root.join("tests/it/ssh"), &mut code);
    let docs = std::fs::read_to_string(root.join("docs/ssh.md")).unwrap();
    let (_, table) = docs.split_once("| trap | test |\n|---|---|\n").unwrap();
    let rows: Vec<&str> = table
        .lines()
        .take_while(|line| line.starts_with('|'))
        .collect();
    assert!(rows.len() >= 25, "{} of 25 traps have a row", rows.len());
    for row in rows {
        let names: Vec<&str> = row
            .rsplit('|')
            .nth(1)
            .unwrap()
            .split('`')
            .skip(1)
            .step_by(2)
            .collect();
        assert!(!names.is_empty(), "no test: {row}");
        for name in names {
            // The attribute of a test is directly above its function.
            let found = [
                format!("async fn {name}()"),
                format!("fn {name}()"),
                format!("fn {name}(\n"),
            ]
            .iter()
            .filter_map(|signature| code.find(signature.as_str()))
            .any(|at| code[at.saturating_sub(120)..at].contains("test"));
            assert!(found, "no test is called {name}: {row}");
        }
    }
}
