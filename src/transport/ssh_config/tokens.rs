//! Tokens of `ssh_config(5)`: percent tokens such as `%h`, `~`, and `${NAME}`, which `ssh -G`
//! prints unreplaced.

use std::path::PathBuf;

use crate::base::{token_path_fault, token_value_fault};
use crate::inventory::{SshTarget, local_user};
use crate::transport::TransportError;

/// Reason why a token or variable of a setting cannot be replaced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// The text is invalid, or skep does not support the token.
    #[error("{0}")]
    Unsupported(String),
    /// The value would change the meaning of a command line or path.
    #[error("{token} would become `{value}`, and {fault}")]
    UnsafeValue {
        /// Token, such as `%h`.
        token: String,
        /// Value of the token.
        value: String,
        /// Reason.
        fault: String,
    },
}

impl TokenError {
    /// Returns the error of the setting whose token was to be replaced.
    pub(crate) fn at(self, setting: &str, place: String) -> TransportError {
        match self {
            Self::Unsupported(why) => TransportError::Settings {
                setting: setting.into(),
                place: place.into(),
                why,
            },
            Self::UnsafeValue {
                token,
                value,
                fault,
            } => TransportError::UnsafeValue {
                setting: setting.into(),
                place,
                token,
                value,
                fault,
            },
        }
    }
}

/// Checks a value that skep passes to a local program, whatever the source of the value.
///
/// # Errors
/// [`TokenError::UnsafeValue`] with the given token or description.
pub(crate) fn check_value(token: &str, value: &str) -> Result<(), TokenError> {
    match token_value_fault(value) {
        None => Ok(()),
        Some(fault) => Err(TokenError::UnsafeValue {
            token: token.into(),
            value: value.into(),
            fault,
        }),
    }
}

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
    /// [`TokenError`] names the token or variable that cannot be replaced.
    pub(crate) fn path(&self, text: &str) -> Result<PathBuf, TokenError> {
        Ok(in_home(&self.variables(&self.replace(text)?)?))
    }

    /// Returns a text with its percent tokens replaced. Each value is checked here, because a
    /// host's address, user and alias may come from a program or from another machine.
    ///
    /// # Errors
    /// [`TokenError`] names the token that is not supported, or whose value is not safe.
    pub(crate) fn replace(&self, text: &str) -> Result<String, TokenError> {
        let mut result = String::with_capacity(text.len());
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            if letter != '%' {
                result.push(letter);
                continue;
            }
            match letters.next() {
                Some('%') => result.push('%'),
                Some(token) => {
                    let value = self.value(token).ok_or_else(|| {
                        TokenError::Unsupported(format!("%{token} in `{text}` is not supported"))
                    })?;
                    self.check(token, &value)?;
                    result.push_str(&value);
                }
                None => return Err(TokenError::Unsupported(format!("`{text}` ends with a %"))),
            }
        }
        Ok(result)
    }

    fn value(&self, token: char) -> Option<String> {
        Some(match token {
            'h' => self.target.address.clone(),
            'n' => self.original.to_owned(),
            'p' => self.target.port.to_string(),
            'r' => self.target.user.clone(),
            'k' => match &self.target.ssh.host_key_alias {
                Some(alias) => alias.clone(),
                None => self.original.to_owned(),
            },
            'u' => local_user(),
            'd' => home(),
            'i' => own_number().to_string(),
            'L' => machine().split('.').next().unwrap_or_default().to_owned(),
            'l' => machine(),
            _ => return None,
        })
    }

    fn check(&self, token: char, value: &str) -> Result<(), TokenError> {
        let name = format!("%{token}");
        if token != 'd' {
            return check_value(&name, value);
        }
        match token_path_fault(value) {
            None => Ok(()),
            Some(fault) => Err(TokenError::UnsafeValue {
                token: name,
                value: value.into(),
                fault,
            }),
        }
    }

    fn variables(&self, text: &str) -> Result<String, TokenError> {
        let mut result = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, behind)) = after.split_once('}') else {
                return Err(TokenError::Unsupported(format!("`{text}` is missing a }}")));
            };
            result.push_str(before);
            let value = std::env::var(name).map_err(|_| {
                TokenError::Unsupported(format!("${{{name}}} of `{text}` is not set"))
            })?;
            result.push_str(&value);
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

fn home() -> String {
    let home = std::env::home_dir().unwrap_or_default();
    home.to_string_lossy().into_owned()
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
                .to_string()
                .contains("SKEP_NO_SUCH_NAME")
        );
        assert!(tokens.path("${HOME").is_err());
    }

    /// The inventory refuses such values. The check at the token is the second one, for values of
    /// the SSH configuration and of every later source.
    #[test]
    fn a_value_that_a_shell_would_run_replaces_no_token() {
        let hostile = [
            "fe80::1%$(touch X)",
            "-oProxyCommand=x",
            "a;b",
            "`x`",
            "a b",
            "a\nb",
            "",
        ];
        for value in hostile {
            let mut host = SshTarget::new(HostName::new("web"), value.into());
            let mut user = SshTarget::new(HostName::new("web"), "10.0.0.7".into());
            user.user = value.into();
            let mut alias = SshTarget::new(HostName::new("web"), "10.0.0.7".into());
            alias.ssh.host_key_alias = Some(value.into());
            host.user = "ann".into();
            for (target, original, token) in [
                (&host, "web", "%h"),
                (&user, "web", "%r"),
                (&alias, "web", "%k"),
                (&user, value, "%n"),
            ] {
                let tokens = TokenValues { target, original };
                for text in [format!("nc {token} 22"), format!("nc '{token}'")] {
                    let error = tokens.replace(&text).unwrap_err();
                    let TokenError::UnsafeValue {
                        token: named,
                        value: shown,
                        ..
                    } = &error
                    else {
                        panic!("{error}");
                    };
                    assert_eq!((named.as_str(), shown.as_str()), (token, value));
                }
                assert!(
                    tokens.path(&format!("~/{token}")).is_err(),
                    "{token} {value}"
                );
                assert_eq!(
                    tokens.replace("100%%").unwrap(),
                    "100%",
                    "unused values do no harm"
                );
            }
        }
    }
}
