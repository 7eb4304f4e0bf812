//! Becoming root, or whoever `become_user` names. A password goes over the channel's standard input and only after sudo
//! has asked for it; the script follows only after sudo has let us in: neither can be taken for the other.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::inventory::SshTarget;
use crate::transport::{Privilege, TransportError};

/// How a login becomes another account.
#[derive(Debug)]
pub struct Elevation {
    /// The login account.
    pub user: String,
    /// The host, for messages.
    pub address: String,
    /// Whom sudo makes us.
    become_user: String,
    /// Whether sudo may be used at all.
    allowed: bool,
    password: Option<SecretString>,
    // sudo wants a terminal (`requiretty`).
    terminal: AtomicBool,
    // sudo let us in before; what it wants is known.
    proven: AtomicBool,
    refused: AtomicBool,
}

impl Elevation {
    /// How this host's login becomes its `become_user`.
    pub fn new(target: &SshTarget, password: Option<SecretString>) -> Self {
        Self {
            user: target.user.clone(),
            address: target.address.clone(),
            become_user: target.become_user.clone(),
            allowed: target.become_root,
            password,
            terminal: AtomicBool::new(false),
            proven: AtomicBool::new(false),
            refused: AtomicBool::new(false),
        }
    }

    /// Whether a command of this privilege goes through sudo. A login as root needs none.
    pub fn is_needed(&self, privilege: &Privilege) -> bool {
        self.user != "root" && *privilege != Privilege::Login && self.user != self.become_user
    }

    /// Whether commands can run as root, or as whoever stands for it.
    pub fn is_possible(&self) -> bool {
        self.allowed || !self.is_needed(&Privilege::Root)
    }

    /// Refuses before anything is sent when it is known to be in vain.
    ///
    /// # Errors
    /// [`TransportError::Privilege`].
    pub fn check(&self, privilege: &Privilege) -> Result<(), TransportError> {
        if !self.is_needed(privilege) {
            return Ok(());
        }
        if !self.allowed {
            return Err(self.error("`become` is not set for this host"));
        }
        if self.refused.load(Ordering::Relaxed) {
            // Accounts are locked after a few wrong passwords.
            return Err(self.error(WRONG_PASSWORD));
        }
        Ok(())
    }

    /// An error that names login and host.
    pub fn error(&self, why: impl Into<String>) -> TransportError {
        TransportError::Privilege {
            user: self.user.clone(),
            address: self.address.clone(),
            why: why.into(),
        }
    }

    /// The command line for a privilege: `inner` runs as the wanted account, `ready` is printed there first when a
    /// password may be asked for. `inner` holds no single quotes but around its last word.
    pub fn command(
        &self,
        privilege: &Privilege,
        inner: &InnerCommand<'_>,
        mark: u128,
    ) -> Result<String, TransportError> {
        let as_user = account(&self.become_user)?;
        let InnerCommand { prefix, script } = inner;
        let plain = |prefix: &str| format!("{prefix}sh -c '{script}'");
        let run_as = match privilege {
            Privilege::User(name) => format!("{RUNUSER} -u {} -- ", account(name)?),
            Privilege::Login | Privilege::Root => String::new(),
        };
        if !self.is_needed(privilege) {
            let own = match privilege {
                Privilege::Root if as_user != "root" && self.user == "root" => {
                    format!("{RUNUSER} -u {as_user} -- ")
                }
                Privilege::Login | Privilege::Root | Privilege::User(_) => String::new(),
            };
            return Ok(plain(&format!("{own}{prefix}{run_as}")));
        }
        // Another account than root cannot use `runuser`: sudo goes to the wanted account itself.
        let (as_user, run_as) = match privilege {
            Privilege::User(name) if as_user != "root" => (account(name)?, String::new()),
            _ => (as_user, run_as),
        };
        let who = if as_user == "root" {
            String::new()
        } else {
            format!("-u {as_user} ")
        };
        let command = match &self.password {
            None => plain(&format!("env LC_ALL=C sudo -n {who}-- {prefix}{run_as}")),
            Some(_) => format!(
                "env LC_ALL=C sudo -S -p {} {who}-- {prefix}{run_as}sh -c 'echo {} >&2; {script}'",
                SudoDialogue::question(mark),
                SudoDialogue::ready(mark),
            ),
        };
        Ok(if self.terminal.load(Ordering::Relaxed) {
            with_terminal(&command)
        } else {
            command
        })
    }

    /// Follows what sudo says; `None` when it has nothing to ask.
    pub fn dialogue(&self, privilege: &Privilege, mark: u128) -> Option<SudoDialogue> {
        let password = self
            .password
            .clone()
            .filter(|_| self.is_needed(privilege))?;
        Some(SudoDialogue {
            question: SudoDialogue::question(mark),
            ready: SudoDialogue::ready(mark),
            password,
            tail: Vec::new(),
            asked: false,
        })
    }

    /// sudo let us in.
    pub fn prove(&self) {
        self.proven.store(true, Ordering::Relaxed);
    }

    /// Whether what sudo wants is known.
    pub fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    /// Learns from a refusal; true when another way is worth a try.
    pub fn learn(&self, error: &TransportError) -> bool {
        match error {
            TransportError::Privilege { why, .. } if why == WRONG_PASSWORD => {
                self.refused.store(true, Ordering::Relaxed);
                false
            }
            TransportError::Privilege { why, .. } if why.contains("must have a tty") => {
                !self.terminal.swap(true, Ordering::Relaxed)
            }
            _ => false,
        }
    }
}

/// Where util-linux has it: sudo's `secure_path` may leave out the folders of the administrator.
const RUNUSER: &str = "/sbin/runuser";

/// What is said of a wrong password.
const WRONG_PASSWORD: &str = "sudo does not take the password";

/// What runs as the wanted account: words, then `sh -c` with a script that has no single quotes.
pub struct InnerCommand<'a> {
    /// Before `sh`.
    pub prefix: &'a str,
    /// The script.
    pub script: &'a str,
}

/// `requiretty` wants a terminal to belong to the session, not that anybody speaks through it: `script` (of every Debian)
/// makes one, and the command keeps the channel's own streams.
fn with_terminal(command: &str) -> String {
    let quoted = command.replace('\'', r"'\''");
    format!(
        "sh -c 'exec 3<&0 4>&1 5>&2; SHELL=/bin/sh exec script -qec \"$1 <&3 >&4 2>&5\" /dev/null </dev/null >/dev/null' sh '{quoted}'"
    )
}

/// The exchange with sudo at the beginning of a command.
pub struct SudoDialogue {
    question: String,
    ready: String,
    password: SecretString,
    tail: Vec<u8>,
    asked: bool,
}

/// What sudo said.
#[derive(Debug, PartialEq, Eq)]
pub enum SudoReply {
    /// Nothing yet.
    Pending,
    /// It asks for the password.
    PasswordPrompt,
    /// It asks again: the password is wrong.
    WrongPassword,
    /// The command runs.
    Ready,
}

impl SudoDialogue {
    fn question(mark: u128) -> String {
        format!("skep-{mark:032x}-password")
    }

    fn ready(mark: u128) -> String {
        format!("skep-{mark:032x}-ready")
    }

    /// Takes the next bytes of stderr.
    pub fn read_reply(&mut self, bytes: &[u8]) -> SudoReply {
        self.tail.extend_from_slice(bytes);
        let find = |text: &[u8], wanted: &str| {
            text.windows(wanted.len())
                .position(|part| part == wanted.as_bytes())
        };
        if find(&self.tail, &self.ready).is_some() {
            return SudoReply::Ready;
        }
        if let Some(at) = find(&self.tail, &self.question) {
            self.tail.drain(..at + self.question.len());
            return if std::mem::replace(&mut self.asked, true) {
                SudoReply::WrongPassword
            } else {
                SudoReply::PasswordPrompt
            };
        }
        let excess = self
            .tail
            .len()
            .saturating_sub(self.question.len().max(self.ready.len()));
        self.tail.drain(..excess);
        SudoReply::Pending
    }

    /// What is to be done about what was heard.
    ///
    /// # Errors
    /// [`TransportError::Privilege`] for a wrong password.
    pub fn follow(
        &mut self,
        bytes: &[u8],
        elevation: &Elevation,
    ) -> Result<SudoAction, TransportError> {
        match self.read_reply(bytes) {
            SudoReply::Pending => Ok(SudoAction::Wait),
            SudoReply::Ready => Ok(SudoAction::Run),
            SudoReply::PasswordPrompt => {
                let mut line =
                    Zeroizing::new(Vec::with_capacity(self.password.expose_secret().len() + 1));
                line.extend_from_slice(self.password.expose_secret().as_bytes());
                line.push(b'\n');
                Ok(SudoAction::Send(Bytes::from_owner(line)))
            }
            SudoReply::WrongPassword => {
                let error = elevation.error(WRONG_PASSWORD);
                elevation.learn(&error);
                Err(error)
            }
        }
    }
}

/// What came behind sudo's last question, which a lecture may stand before: the reason when a command did not begin. sudo-rs
/// puts the question into its own: `[sudo: QUESTION] Password: `.
pub fn text_after_prompt(said: &[u8]) -> &[u8] {
    const MARK: &[u8] = b"-password";
    let before = said
        .windows(5 + 32 + MARK.len())
        .rposition(|part| part.starts_with(b"skep-") && part.ends_with(MARK));
    let rest = before.map_or(said, |at| &said[at + 5 + 32 + MARK.len()..]);
    match rest.strip_prefix(b"]").and_then(|rest| {
        rest.iter()
            .position(|byte| *byte == b':')
            .map(|at| &rest[at + 1..])
    }) {
        Some(rest) => rest.trim_ascii_start(),
        None => rest,
    }
}

/// What is to be done.
pub enum SudoAction {
    /// Listen on.
    Wait,
    /// Send this; it wipes itself.
    Send(Bytes),
    /// The command runs: send its input.
    Run,
}

impl std::fmt::Debug for SudoAction {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Wait => "Wait",
            Self::Send(_) => "Send(..)",
            Self::Run => "Run",
        })
    }
}

/// A name that no shell takes for anything but a word.
fn account(name: &str) -> Result<&str, TransportError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if name.is_empty() || name.starts_with('-') || !name.bytes().all(plain) {
        return Err(TransportError::Unsendable(format!(
            "`{}` is not the name of an account",
            name.escape_debug()
        )));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::HostName;
    use crate::transport::{ConnectOptions, KnownSecrets, SecretStore};

    #[test]
    fn what_is_printed_for_debugging_holds_no_password() {
        let secret = || Some(SecretString::from("hunter2"));
        let elevation = Elevation::new(
            &SshTarget::new(HostName::new("web"), "web".into()),
            secret(),
        );
        let known = KnownSecrets {
            password: secret(),
            become_password: secret(),
            passphrase: secret(),
        };
        let secrets = std::sync::Arc::new(SecretStore::new(known, None));
        let options = ConnectOptions {
            secrets,
            ..ConnectOptions::default()
        };
        let printed = format!(
            "{elevation:?} {options:?} {:?}",
            SudoAction::Send(Bytes::from_static(b"hunter2\n"))
        );
        assert!(
            printed.contains("REDACTED") && printed.contains("Secrets(..)"),
            "{printed}"
        );
        assert!(!printed.contains("hunter2"), "{printed}");
    }

    #[test]
    fn reasons_follow_the_prompt() {
        let question = SudoDialogue::question(7);
        let reason =
            |text: String| String::from_utf8_lossy(text_after_prompt(text.as_bytes())).into_owned();
        assert_eq!(
            reason(format!(
                "a lecture\n{question}\n{question}timeout: no such file\n"
            )),
            "timeout: no such file\n"
        );
        assert_eq!(
            reason(format!(
                "[sudo: {question}] Password: \nsudo: I'm sorry ann\n"
            )),
            "sudo: I'm sorry ann\n"
        );
        assert_eq!(
            reason("sudo: a-password: skep-".into()),
            "sudo: a-password: skep-"
        );
    }

    #[test]
    fn prompts_are_found_across_pieces_and_among_noise() {
        let mut dialogue = SudoDialogue {
            question: SudoDialogue::question(7),
            ready: SudoDialogue::ready(7),
            password: SecretString::from("x"),
            tail: Vec::new(),
            asked: false,
        };
        let question = SudoDialogue::question(7);
        assert_eq!(
            dialogue.read_reply(b"We trust you have received the usual lecture\n\n"),
            SudoReply::Pending
        );
        assert_eq!(
            dialogue.read_reply(&question.as_bytes()[..9]),
            SudoReply::Pending
        );
        assert_eq!(
            dialogue.read_reply(&question.as_bytes()[9..]),
            SudoReply::PasswordPrompt
        );
        assert_eq!(
            dialogue.read_reply(b"Sorry, try again.\n"),
            SudoReply::Pending
        );
        assert_eq!(
            dialogue.read_reply(question.as_bytes()),
            SudoReply::WrongPassword
        );
        assert_eq!(
            dialogue.read_reply(SudoDialogue::ready(7).as_bytes()),
            SudoReply::Ready
        );
        assert!(dialogue.tail.len() < 200);
    }
}
