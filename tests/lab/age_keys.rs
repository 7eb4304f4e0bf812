//! Keys of age(1) for the tests of encrypted files.

use std::process::Command;

use crate::test_lab::TestLab;

/// Makes an identity of age; returns its file and its public key.
pub fn age_identity(lab: &TestLab, name: &str) -> (String, String) {
    let file = lab.path(name);
    let made = Command::new("age-keygen")
        .args(["-o", &file])
        .output()
        .unwrap();
    assert!(made.status.success());
    let text = std::fs::read_to_string(&file).unwrap();
    let key = text
        .lines()
        .find_map(|line| line.strip_prefix("# public key: "))
        .unwrap();
    (file, key.to_owned())
}
