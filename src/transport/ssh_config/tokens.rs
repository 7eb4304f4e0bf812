//! Tokens of `ssh_config(5)`: percent tokens such as `%h`, `~`, and `${NAME}`, which `ssh -G`
//! prints unreplaced.

use std::path::PathBuf;

use crate::inventory::{SshTarget, local_user};

/// Values that replace tokens.
pub(crate) struct TokenValues<'a> {
    /// The host, with its final address, port and user.
    pub target: &'a SshTarget,
    /// Original name of the host, as the user gave it.
    pub original: &'a str,
}

impl TokenValues<'_> {
    /// Returns a path of the configuration, with tokens, variables and `~` replaced.
    ///
    /// # Errors
    /// Names the token or variable that cannot be replaced.
    pub(crate) fn path(&self, text: &str) -> Result<PathBuf, String> {
        Ok(in_home(&self.variables(&self.replace(text)?)?))
    }

    /// Returns a text with its percent tokens replaced.
    ///
    /// # Errors
    /// Names the token that is not supported.
    pub(crate) fn replace(&self, text: &str) -> Result<String, String> {
        let mut result = String::with_capacity(text.len());
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            if letter != '%' {
                result.push(letter);
                continue;
            }
            match letters.next() {
                Some('%') => result.push('%'),
                Some('h') => result.push_str(&self.target.address),
                Some('n') => result.push_str(self.original),
                Some('p') => result.push_str(&self.target.port.to_string()),
                Some('r') => result.push_str(&self.target.user),
                Some('k') => {
                    result.push_str(
                        self.target
                            .ssh
                            .host_key_alias
                            .as_deref()
                            .unwrap_or(self.original),
                    );
                }
                Some('u') => result.push_str(&local_user()),
                Some('d') => {
                    result.push_str(&std::env::home_dir().unwrap_or_default().to_string_lossy());
                }
                Some('i') => result.push_str(&own_number().to_string()),
                Some('L') => result.push_str(machine().split('.').next().unwrap_or_default()),
                Some('l') => result.push_str(&machine()),
                Some(other) => return Err(format!("%{other} in `{text}` is not supported")),
                None => return Err(format!("`{text}` ends with a %")),
            }
        }
        Ok(result)
    }

    fn variables(&self, text: &str) -> Result<String, String> {
        let mut result = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, behind)) = after.split_once('}') else {
                return Err(format!("`{text}` is missing a }}"));
            };
            result.push_str(before);
            result.push_str(
                &std::env::var(name).map_err(|_| format!("${{{name}}} of `{text}` is not set"))?,
            );
            rest = behind;
        }
        result.push_str(rest);
        Ok(result)
    }
}

/// Returns a path, with a leading `~` replaced by the home directory.
pub(super) fn in_home(text: &str) -> PathBuf {
    let home = std::env::home_dir().unwrap_or_default();
    match text.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None if text == "~" => home,
        None => PathBuf::from(text),
    }
}

fn machine() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// Returns the user ID of this process. The owner of `/proc/self` is not usable: it is root for a
/// process that writes no core file.
pub(crate) fn own_number() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::names::HostName;

    #[test]
    fn tokens_and_home_and_variables() {
        let mut target = SshTarget::new(HostName::new("web"), "10.0.0.7".into());
        (target.user, target.port) = ("ann".into(), 2222);
        let tokens = TokenValues {
            target: &target,
            original: "web",
        };
        assert_eq!(
            tokens.replace("nc %h %p as %r for %n 100%%").unwrap(),
            "nc 10.0.0.7 2222 as ann for web 100%"
        );
        assert_eq!(
            tokens.replace("%d/x").unwrap(),
            format!("{}/x", std::env::home_dir().unwrap().display())
        );
        assert_eq!(
            tokens.replace("%u@%i").unwrap(),
            format!("{}@{}", local_user(), own_number())
        );
        assert_eq!(
            tokens.path("~/k-%h").unwrap(),
            std::env::home_dir().unwrap().join("k-10.0.0.7")
        );
        assert_eq!(
            tokens.path("${HOME}/k").unwrap(),
            std::env::home_dir().unwrap().join("k")
        );
        for wrong in ["%", "%Z", "a%"] {
            assert!(tokens.replace(wrong).is_err(), "{wrong}");
        }
        assert!(
            tokens
                .path("${SKEP_NO_SUCH_NAME}")
                .unwrap_err()
                .contains("SKEP_NO_SUCH_NAME")
        );
        assert!(tokens.path("${HOME").is_err());
    }
}
