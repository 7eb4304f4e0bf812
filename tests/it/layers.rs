//! Checks the order of the modules and the names of types on the sources.
//!
//! `LAYERS` is the order that docs/architecture.md draws. Every import of another module that does
//! not point down in it fails the test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::architecture::{code, sources};

/// Modules of the crate, the lowest layer first. A module may import modules of lower layers only.
const LAYERS: &[&[&str]] = &[
    &["names", "base"],
    &["diagnostic", "lab"],
    &["document"],
    &["inventory"],
    &["model"],
    &["swarm", "transport"],
    &["kinds", "docker"],
    &["playbook"],
    &["runner"],
    &["safety", "machine", "probe"],
    &["drift", "drill", "maintenance", "rebuild"],
    &["report"],
    &["schedule"],
    &["cli"],
];

/// Type names that two modules may define. The test below keeps the list under ten.
const SHARED_TYPE_NAMES: &[&str] = &["NodeRole"];

/// Modules by name, with the modules that their code imports.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in sources("src") {
        let below = path.strip_prefix(&root).unwrap().to_str().unwrap();
        let module = below
            .split('/')
            .next()
            .unwrap()
            .trim_end_matches(".rs")
            .to_owned();
        if ["lib", "main", "fuzzing"].contains(&module.as_str())
            || path.file_stem().is_some_and(|stem| stem == "fuzzing")
        {
            continue;
        }
        let found = imports.entry(module.clone()).or_default();
        for (position, _) in code(&path, &text).match_indices("crate::") {
            let code = code(&path, &text);
            let rest = &code[position + "crate::".len()..];
            let names: Vec<&str> = match rest.strip_prefix('{') {
                Some(list) => list.split('}').next().unwrap().split(',').collect(),
                None => vec![rest],
            };
            for name in names {
                let name = name.trim();
                let end = name
                    .find(|one: char| !one.is_ascii_lowercase() && one != '_')
                    .unwrap_or(name.len());
                if !name[..end].is_empty() && name[..end] != module {
                    found.insert(name[..end].to_owned());
                }
            }
        }
    }
    imports
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

#[test]
fn imports_point_down() {
    let imports = imports();
    let mut wrong = Vec::new();
    for (module, imported) in &imports {
        let Some(own) = layer(module) else {
            wrong.push(format!("{module} is in no layer"));
            continue;
        };
        for other in imported {
            match layer(other) {
                Some(below) if below < own => {}
                // The lab stands alone: it uses names only.
                Some(_) => wrong.push(format!("{module} imports {other}")),
                None => wrong.push(format!("{module} imports {other}, which is in no layer")),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(imports.values().map(BTreeSet::len).sum::<usize>() > 40);
}

#[test]
fn every_layer_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for module in LAYERS.iter().copied().flatten() {
        assert!(root.join(module).is_dir(), "src/{module}");
    }
}

#[test]
fn architecture_page_draws_the_layers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/architecture.md")).unwrap();
    let drawing: Vec<String> = LAYERS.iter().map(|layer| layer.join(", ")).collect();
    let drawing = drawing.join(" < ");
    let words: Vec<&str> = page.split_whitespace().collect();
    assert!(
        words.join(" ").contains(&drawing),
        "docs/architecture.md lacks: {drawing}"
    );
}

#[test]
fn type_names_are_defined_once() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, text) in sources("src") {
        for line in code(&path, &text).lines() {
            let line = line
                .trim_start_matches("pub ")
                .trim_start_matches("pub(crate) ");
            let line = line.trim_start_matches("pub(super) ");
            let Some((keyword, rest)) = line.split_once(' ') else {
                continue;
            };
            if ["struct", "enum", "trait", "type"].contains(&keyword) {
                let end = rest
                    .find(|one: char| !one.is_alphanumeric())
                    .unwrap_or(rest.len());
                places
                    .entry(rest[..end].to_owned())
                    .or_default()
                    .push(path.display().to_string());
            }
        }
    }
    assert!(places.len() > 400, "{} types", places.len());
    assert!(SHARED_TYPE_NAMES.len() < 10);
    let twice: Vec<_> = places
        .iter()
        .filter(|(name, files)| files.len() > 1 && !SHARED_TYPE_NAMES.contains(&name.as_str()))
        .collect();
    assert!(twice.is_empty(), "{twice:#?}");
    for name in SHARED_TYPE_NAMES {
        assert!(
            places[*name].len() > 1,
            "{name} is defined once: take it off the list"
        );
    }
}

/// Names of the public types that a Rust file defines at its top level.
fn public_types(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| {
            let (keyword, rest) = line.strip_prefix("pub ")?.split_once(' ')?;
            let name = rest
                .split(|letter: char| !letter.is_alphanumeric())
                .next()?;
            ["struct", "enum", "trait", "type"]
                .contains(&keyword)
                .then(|| name.to_owned())
        })
        .collect()
}

/// Names of the types that src/MODULE/mod.rs exports: re-exported, or defined in the file itself.
fn exported_types(module: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src")
        .join(module);
    let text = std::fs::read_to_string(folder.join("mod.rs")).unwrap();
    let mut types = public_types(&text);
    for part in text.split("\npub use ").skip(1) {
        let export = part.split(';').next().unwrap().trim();
        if let Some(file) = export.strip_suffix("::*") {
            let paths = [format!("{file}.rs"), format!("{file}/mod.rs")];
            let mut texts = paths
                .iter()
                .filter_map(|path| std::fs::read_to_string(folder.join(path)).ok());
            types.extend(public_types(&texts.next().unwrap()));
            continue;
        }
        // CamelCase names are types; constants have no lower-case letter, functions no capital.
        types.extend(
            export
                .split(|letter: char| !letter.is_alphanumeric() && letter != '_')
                .filter(|word| word.starts_with(|first: char| first.is_ascii_uppercase()))
                .filter(|word| word.contains(|letter: char| letter.is_ascii_lowercase()))
                .map(str::to_owned),
        );
    }
    types
}

#[test]
fn glossary_lists_public_types() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/architecture.md")).unwrap();
    let (_, glossary) = page.split_once("\n### Types\n").unwrap();
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for module in LAYERS.iter().copied().flatten() {
        if ["cli", "lab"].contains(module) {
            continue;
        }
        let section = glossary
            .split("\n#### ")
            .find_map(|section| section.strip_prefix(&format!("`{module}`\n")))
            .unwrap_or_default();
        let listed: BTreeSet<String> = section
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
            .map(|(name, _)| name.to_owned())
            .collect();
        let exported = exported_types(module);
        checked += exported.len();
        for name in exported.difference(&listed) {
            wrong.push(format!("docs/architecture.md lacks {module}::{name}"));
        }
        for name in listed.difference(&exported) {
            wrong.push(format!("{module} does not export {name}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(checked > 200, "only {checked} types were found");
}
