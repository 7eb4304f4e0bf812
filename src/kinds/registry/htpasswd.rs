//! The users' file of the registry: names and bcrypt hashes (the format of Apache's htpasswd).

use std::collections::BTreeMap;

use serde::Deserialize;

/// Cost of bcrypt: 2 to this power rounds, 32 times the default of htpasswd(1).
const COST: u32 = 10;

/// Highest cost that skep computes: about a second. A file of a host may name a cost of 31, which
/// would take more than a day.
const HIGHEST_COST: u32 = 14;

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
            Some(hash) if !matches(password, hash) => {
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
            .filter(|hash| matches(password, hash));
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

/// Returns true if the hash is that of the password. A hash of a higher cost than skep computes
/// never matches, so that it is replaced by a new one.
fn matches(password: &UserPassword, hash: &str) -> bool {
    // `$2y$10$...`: the version, then the cost.
    let cost = hash.split('$').nth(2).and_then(|cost| cost.parse().ok());
    cost.is_some_and(|cost: u32| cost <= HIGHEST_COST)
        && bcrypt::verify(&password.0, hash).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn hash_of_a_high_cost_is_replaced_and_never_computed() {
        let password = || UserPassword("secret".into());
        let users: BTreeMap<String, UserPassword> = [("ann".to_owned(), password())].into();
        let hash = |cost| {
            let parts = bcrypt::hash_with_result("secret", cost).unwrap();
            format!("ann:{}\n", parts.format_for_version(bcrypt::Version::TwoY))
        };
        let cheap = hash(4);
        assert!(differences(&users, &cheap).is_empty());
        assert_eq!(file(&users, &cheap).unwrap(), cheap);
        for cost in ["31", "15", "99", "-1", ""] {
            let costly = cheap.replace("$04$", &format!("${cost}$"));
            let started = std::time::Instant::now();
            assert_eq!(differences(&users, &costly).len(), 1, "{cost}");
            let replaced = file(&users, &costly).unwrap();
            assert!(replaced.starts_with("ann:$2y$10$"), "{cost}: {replaced}");
            assert!(started.elapsed().as_secs() < 20, "{cost} was computed");
        }
    }
}
