//! Becomes root, or the account that `become_user` names. A password goes over the channel's
//! standard input, and only after sudo has asked for it; the script follows only after sudo has
//! accepted. Neither can therefore be taken for the other.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::base::sh_quote;
use crate::inventory::SshTarget;
use crate::transport::{Privilege, PrivilegeReason, TransportError};

/// Rules by which a login becomes another account.
#[derive(Debug)]
pub(super) struct Elevation {
    /// The login account.
    pub user: String,
    /// Address of the host, for messages.
    pub address: String,
    /// Account that sudo switches to.
    become_user: String,
    /// True if sudo may be used at all.
    allowed: bool,
    password: Option<SecretString>,
    // Fingerprint of the host's key, if a password was withheld because the key is too new.
    withheld: Option<String>,
    // sudo requires a terminal (`requiretty`).
    terminal: AtomicBool,
    // sudo accepted a command before, so its requirements are known.
    proven: AtomicBool,
    refused: AtomicBool,
}

impl Elevation {
    /// Returns the rules by which this host's login becomes its `become_user`. `untrusted` is the
    /// fingerprint of a host key that is too new for a password: sudo must then work without one.
    pub(super) fn new(
        target: &SshTarget,
        password: Option<SecretString>,
        untrusted: Option<String>,
    ) -> Self {
        let withheld = untrusted.filter(|_| password.is_some());
        let password = password.filter(|_| withheld.is_none());
        Self {
            user: target.user.clone(),
            address: target.address.clone(),
            become_user: target.become_user.clone(),
            allowed: target.become_root,
            password,
            withheld,
            terminal: AtomicBool::new(false),
            proven: AtomicBool::new(false),
            refused: AtomicBool::new(false),
        }
    }

    /// Returns true if a command with this privilege goes through sudo. A login as root needs no
    /// sudo.
    pub(super) fn is_needed(&self, privilege: &Privilege) -> bool {
        self.user != "root" && *privilege != Privilege::Login && self.user != self.become_user
    }

    /// Returns true if commands can run as root, or as the `become_user` in its place.
    pub(super) fn is_possible(&self) -> bool {
        self.allowed || !self.is_needed(&Privilege::Root)
    }

    /// Refuses a command that is known to fail, before anything is sent.
    ///
    /// # Errors
    /// [`TransportError::Privilege`].
    pub(super) fn check(&self, privilege: &Privilege) -> Result<(), TransportError> {
        if !self.is_needed(privilege) {
            return Ok(());
        }
        if !self.allowed {
            return Err(self.error(PrivilegeReason::NotAllowed));
        }
        if self.refused.load(Ordering::Relaxed) {
            // The password is not sent again: accounts are locked after a few wrong passwords.
            return Err(self.error(PrivilegeReason::WrongPassword));
        }
        Ok(())
    }

    /// Returns an error that names login and host.
    pub(super) fn error(&self, why: PrivilegeReason) -> TransportError {
        if let (PrivilegeReason::PasswordNeeded(_), Some(fingerprint)) = (&why, &self.withheld) {
            return TransportError::PasswordWithheld {
                password: "the password for sudo",
                address: self.address.clone(),
                fingerprint: fingerprint.clone(),
            };
        }
        TransportError::Privilege {
            user: self.user.clone(),
            address: self.address.clone(),
            why,
        }
    }

    /// Returns the command line for a privilege: `inner` runs as the wanted account, and the ready
    /// mark is printed before it if sudo may ask for a password. `inner` contains no single quotes
    /// except around its last word.
    pub(super) fn command(
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
        // Only root can use `runuser`: for another `become_user`, sudo switches to the wanted
        // account itself.
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

    /// Returns the dialogue with sudo; `None` if sudo is not needed or no password is known.
    pub(super) fn dialogue(&self, privilege: &Privilege, mark: u128) -> Option<SudoDialogue> {
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

    /// Records that sudo accepted a command.
    pub(super) fn prove(&self) {
        self.proven.store(true, Ordering::Relaxed);
    }

    /// Returns true if sudo's requirements are known.
    pub(super) fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    /// Learns from a refusal; returns true if an attempt with a terminal may succeed.
    pub(super) fn learn(&self, error: &TransportError) -> bool {
        let TransportError::Privilege { why, .. } = error else {
            return false;
        };
        match why {
            PrivilegeReason::WrongPassword => {
                self.refused.store(true, Ordering::Relaxed);
                false
            }
            PrivilegeReason::NeedsTty(_) => !self.terminal.swap(true, Ordering::Relaxed),
            PrivilegeReason::NotAllowed
            | PrivilegeReason::PasswordNeeded(_)
            | PrivilegeReason::NotInstalled(_)
            | PrivilegeReason::Other(_) => false,
        }
    }
}

/// Path of `runuser` in util-linux: sudo's `secure_path` may leave out the folders of the
/// administrator.
const RUNUSER: &str = "/sbin/runuser";

/// Command that runs as the wanted account: words, then `sh -c` with a script that has no single
/// quotes.
pub(super) struct InnerCommand<'a> {
    /// Words before `sh`.
    pub prefix: &'a str,
    /// The script.
    pub script: &'a str,
}

/// Wraps a command for `requiretty`, which requires that the session has a terminal, not that the
/// command uses it: `script` (part of every Debian) creates a terminal, and the command keeps the
/// channel's own streams.
fn with_terminal(command: &str) -> String {
    let quoted = sh_quote(command);
    format!(
        "sh -c 'exec 3<&0 4>&1 5>&2; SHELL=/bin/sh exec script -qec \"$1 <&3 >&4 2>&5\" /dev/null </dev/null >/dev/null' sh {quoted}"
    )
}

/// Dialogue with sudo at the beginning of a command.
pub(super) struct SudoDialogue {
    question: String,
    ready: String,
    password: SecretString,
    tail: Vec<u8>,
    asked: bool,
}

/// Message of sudo.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SudoReply {
    /// No message yet.
    Pending,
    /// sudo asks for the password.
    PasswordPrompt,
    /// sudo asks again: the password is wrong.
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

    /// Reads the next bytes of stderr.
    pub(super) fn read_reply(&mut self, bytes: &[u8]) -> SudoReply {
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

    /// Reads the next bytes of stderr and returns the action that they require.
    ///
    /// # Errors
    /// [`TransportError::Privilege`] for a wrong password.
    pub(super) fn follow(
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
                let error = elevation.error(PrivilegeReason::WrongPassword);
                elevation.learn(&error);
                Err(error)
            }
        }
    }
}

/// Returns the text after sudo's last question, which a lecture may precede: the reason if a
/// command did not start. sudo-rs puts the question into its own prompt: `[sudo: QUESTION]
/// Password: `.
pub(super) fn text_after_prompt(said: &[u8]) -> &[u8] {
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

/// Reads the messages of a command that sudo did not start. Returns `None` if neither sudo nor a
/// shell that cannot find sudo wrote them.
pub(super) fn read_refusal(said: &str) -> Option<PrivilegeReason> {
    let contains = |part: &str| said.contains(part);
    if !contains("sudo") && !contains("Sorry, user") {
        return None;
    }
    // sudo-rs says "authentication is required" if it needs a password.
    let reason = if contains("must have a tty") {
        PrivilegeReason::NeedsTty
    } else if contains("password") || contains("authentication is required") {
        PrivilegeReason::PasswordNeeded
    } else if contains("No such file") || contains("not found") {
        PrivilegeReason::NotInstalled
    } else {
        PrivilegeReason::Other
    };
    Some(reason(said.to_owned()))
}

/// Next action in the dialogue with sudo.
pub(super) enum SudoAction {
    /// Wait for further output.
    Wait,
    /// Send these bytes, which are wiped from memory afterwards.
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

/// Returns the name if every shell reads it as a plain word.
fn account(name: &str) -> Result<&str, TransportError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if name.is_empty() || name.starts_with('-') || !name.bytes().all(plain) {
        return Err(TransportError::Unsendable(format!(
            "`{}` is not a valid account name",
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
    fn debug_output_contains_no_password() {
        let secret = || Some(SecretString::from("hunter2"));
        let elevation = Elevation::new(
            &SshTarget::new(HostName::new("web"), "web".into()),
            secret(),
            None,
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
    fn the_reason_is_the_text_after_the_prompt() {
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
    fn each_refusal_of_sudo_has_its_reason_and_keeps_its_text() {
        use PrivilegeReason::{NeedsTty, NotInstalled, Other, PasswordNeeded};
        type Reason = fn(String) -> PrivilegeReason;
        let cases: [(&str, Reason); 7] = [
            ("sudo: sorry, you must have a tty to run sudo", NeedsTty),
            ("sudo: a password is required", PasswordNeeded),
            (
                "sudo: interactive authentication is required",
                PasswordNeeded,
            ),
            ("env: 'sudo': No such file or directory", NotInstalled),
            ("sh: 1: sudo: not found", NotInstalled),
            ("ann is not in the sudoers file.", Other),
            ("Sorry, user ann is not allowed to execute '/bin/sh'", Other),
        ];
        for (said, reason) in cases {
            let expected = reason(said.to_owned());
            assert_eq!(expected.to_string(), said);
            assert_eq!(read_refusal(said), Some(expected), "{said}");
        }
        assert_eq!(read_refusal("timeout: no such file"), None);
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
