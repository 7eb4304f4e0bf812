//! Known-hosts files with arbitrary text: each line is either parsed or skipped, and no text causes
//! a panic.

use std::path::Path;

use proptest::prelude::*;

use super::super::{entry, forget, pattern};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn valid_lines_are_found_among_arbitrary_text(
        noise in prop::collection::vec("[^\n\r]{0,60}|@[a-z-]{0,16} [|*!?,a-z0-9=+/]{0,30} ssh-[a-z0-9]{1,10} [A-Za-z0-9+/=]{0,60}", 0..8)
    ) {
        let text = format!("{}\nweb {KEY}\n", noise.join("\n"));
        let entries = entry::parse(&text, Path::new("/k"));
        for entry in &entries {
            let _ = pattern::matches(&entry.patterns, "web");
        }
        prop_assert_eq!(entries.last().unwrap().line, noise.len().max(1) + 1);
    }

    #[test]
    fn forget_removes_only_lines_that_name_the_host(
        noise in prop::collection::vec("[^\n\r]{0,40}", 0..6)
    ) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("k");
        let others: Vec<String> = noise.into_iter().filter(|line| !line.contains("w3b")).collect();
        let rest: String = others.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(&file, format!("{rest}w3b {KEY}\n")).unwrap();
        let forgotten = forget(&file, "w3b", 22).unwrap();
        prop_assert_eq!(forgotten.lines, [others.len() + 1]);
        prop_assert_eq!(std::fs::read_to_string(&file).unwrap(), rest);
    }
}
