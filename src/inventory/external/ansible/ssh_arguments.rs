//! Reads the arguments for `ssh` of `ansible_ssh_common_args` and its siblings: `-o Name=value`,
//! `-J`, `-F`, `-i`, `-l`, `-p` and flags (ssh(1)).

/// Flags that do not change how skep connects: compression, verbosity, and terminals.
const FLAGS_WITHOUT_EFFECT: &str = "CTakNnqtvx";
/// Flags of ssh(1) that have a value.
const FLAGS_WITH_VALUE: &str = "BbcDEeFIiJLlmOoPpQRSWw";
/// Options that do not change how skep connects: sharing of connections, messages, and forwarding
/// of displays.
const OPTIONS_WITHOUT_EFFECT: &[&str] = &[
    "addkeystoagent",
    "batchmode",
    "compression",
    "controlmaster",
    "controlpath",
    "controlpersist",
    "forwardx11",
    "forwardx11trusted",
    "loglevel",
    "requesttty",
    "updatehostkeys",
    "visualhostkey",
];

/// An argument that changes how `ssh` connects.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SshArgument {
    /// An option, by its keyword in lower case.
    Option(String, String),
    /// `-F FILE`.
    ConfigFile(String),
    /// An argument that skep has no setting for, as written.
    Other(String),
}

/// Splits and reads a line of arguments.
///
/// # Errors
/// If a quote is not closed or an option has no value.
pub(super) fn read(line: &str) -> Result<Vec<SshArgument>, String> {
    let words = shlex::split(line).ok_or("a quote is not closed")?;
    let mut arguments = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let Some(flags) = word.strip_prefix('-').filter(|flags| !flags.is_empty()) else {
            arguments.push(SshArgument::Other(word));
            continue;
        };
        for (at, flag) in flags.char_indices() {
            if !FLAGS_WITH_VALUE.contains(flag) {
                if !FLAGS_WITHOUT_EFFECT.contains(flag) {
                    arguments.push(match flag {
                        '4' => option("addressfamily", "inet"),
                        '6' => option("addressfamily", "inet6"),
                        'A' => option("forwardagent", "yes"),
                        _ => SshArgument::Other(format!("-{flag}")),
                    });
                }
                continue;
            }
            // The value is the rest of the word or the next word.
            let rest = &flags[at + flag.len_utf8()..];
            let value = if rest.is_empty() {
                words
                    .next()
                    .ok_or_else(|| format!("-{flag} has no value"))?
            } else {
                rest.to_owned()
            };
            arguments.extend(argument(flag, value)?);
            break;
        }
    }
    Ok(arguments)
}

fn option(keyword: &str, value: &str) -> SshArgument {
    SshArgument::Option(keyword.to_owned(), value.to_owned())
}

fn argument(flag: char, value: String) -> Result<Option<SshArgument>, String> {
    Ok(Some(match flag {
        'F' => SshArgument::ConfigFile(value),
        'J' => option("proxyjump", &value),
        'i' => option("identityfile", &value),
        'l' => option("user", &value),
        'p' => option("port", &value),
        'S' | 'O' | 'E' | 'e' => return Ok(None),
        'o' => {
            let text = value.trim();
            let end = text.find(|letter: char| letter.is_whitespace() || letter == '=');
            let (keyword, value) = text.split_at(end.unwrap_or(text.len()));
            let value = value.trim_start_matches(|letter: char| letter.is_whitespace());
            let value = value.strip_prefix('=').unwrap_or(value).trim();
            if value.is_empty() {
                return Err(format!("-o {text} has no value"));
            }
            let keyword = keyword.to_ascii_lowercase();
            if OPTIONS_WITHOUT_EFFECT.contains(&keyword.as_str()) {
                return Ok(None);
            }
            option(&keyword, value)
        }
        _ => SshArgument::Other(format!("-{flag} {value}")),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn all_forms_of_options_are_read() {
        for (line, wanted) in [
            (
                "-o ProxyCommand=\"ssh -W %h:%p a@b\"",
                vec![option("proxycommand", "ssh -W %h:%p a@b")],
            ),
            (
                "-oPort=22 -o 'User ann'",
                vec![option("port", "22"), option("user", "ann")],
            ),
            ("-o \"HostKeyAlias = x\"", vec![option("hostkeyalias", "x")]),
            (
                "-J a@b:2222 -F ./c",
                vec![
                    option("proxyjump", "a@b:2222"),
                    SshArgument::ConfigFile("./c".into()),
                ],
            ),
            (
                "-C -o ControlMaster=auto -o ControlPersist=60s -vvv",
                vec![],
            ),
            (
                "-4Ap2200",
                vec![
                    option("addressfamily", "inet"),
                    option("forwardagent", "yes"),
                    option("port", "2200"),
                ],
            ),
            (
                "-L 1:b:2 -K x",
                vec![
                    SshArgument::Other("-L 1:b:2".into()),
                    SshArgument::Other("-K".into()),
                    SshArgument::Other("x".into()),
                ],
            ),
        ] {
            assert_eq!(read(line).unwrap(), wanted, "{line}");
        }
        assert!(read("-o 'x").is_err());
        assert!(read("-o").is_err());
        assert!(read("-o Port").is_err());
    }
}
