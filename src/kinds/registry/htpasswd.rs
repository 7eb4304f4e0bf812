//! The users' file of the registry: names and bcrypt hashes (the format of Apache's htpasswd).

use std::collections::BTreeMap;

use serde::Deserialize;

/// Cost of bcrypt: 2 to this power rounds, 32 times the default of htpasswd(1).
const COST: u32 = 10;

/// A password, which is never shown.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(super) struct UserPassword(String);

impl std::fmt::Debug for UserPassword {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Password")
    }
}

impl UserPassword {
    /// Returns true if bcrypt uses the whole password.
    pub(super) fn is_usable(&self) -> bool {
        (1..=72).contains(&self.0.len()) && !self.0.contains('\0')
    }
}

/// Returns the differences between the file and the declared users.
pub(super) fn differences(
    users: &BTreeMap<String, UserPassword>,
    file: &str,
) -> Vec<(String, &'static str, &'static str)> {
    let have: BTreeMap<&str, &str> = file
        .lines()
        .filter_map(|line| line.split_once(':'))
        .collect();
    let mut differences = Vec::new();
    for (user, password) in users {
        match have.get(user.as_str()) {
            None => differences.push((user.clone(), "(absent)", "may push and pull")),
            Some(hash) if !bcrypt::verify(&password.0, hash).unwrap_or(false) => {
                differences.push((user.clone(), "another password", "this password"));
            }
            Some(_) => {}
        }
    }
    for user in have.keys().filter(|user| !users.contains_key(**user)) {
        differences.push(((*user).to_owned(), "may push and pull", "(absent)"));
    }
    differences
}

/// Returns the content of the file for the declared users. Valid hashes stay, to avoid needless
/// changes.
///
/// # Errors
/// The error text of bcrypt, when the machine provides no random salt.
pub(super) fn file(users: &BTreeMap<String, UserPassword>, before: &str) -> Result<String, String> {
    let have: BTreeMap<&str, &str> = before
        .lines()
        .filter_map(|line| line.split_once(':'))
        .collect();
    let mut text = String::new();
    for (user, password) in users {
        let kept = have
            .get(user.as_str())
            .filter(|hash| bcrypt::verify(&password.0, hash).unwrap_or(false));
        let hash = match kept {
            Some(hash) => (*hash).to_owned(),
            // The registry (Go) accepts `2y`, which htpasswd writes.
            None => {
                let parts = bcrypt::hash_with_result(&password.0, COST)
                    .map_err(|error| error.to_string())?;
                parts.format_for_version(bcrypt::Version::TwoY)
            }
        };
        text.push_str(&format!("{user}:{hash}\n"));
    }
    Ok(text)
}
