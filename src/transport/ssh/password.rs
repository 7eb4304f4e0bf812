//! Passwords and questions of the server (`keyboard-interactive`). A password is sent once, because
//! accounts are locked after a few wrong passwords.

use russh::MethodKind;
use russh::client::{AuthResult, KeyboardInteractiveAuthResponse};
use secrecy::{ExposeSecret as _, SecretString};

use super::authenticate::{AuthOutcome, LoginAttempt};
use crate::transport::TransportError;

/// Maximum number of rounds of questions; each PAM module asks one.
const MOST_ROUNDS: usize = 8;

impl LoginAttempt<'_> {
    /// Sends the password, if there is one.
    pub(super) async fn password(&mut self) -> Result<AuthOutcome, TransportError> {
        let Some(password) = self.options.secrets.password(self.target).await? else {
            return Ok(AuthOutcome::Refused);
        };
        self.check_trust()?;
        if std::mem::replace(&mut self.password_sent, true) {
            return Ok(AuthOutcome::Refused);
        }
        self.tried.push("password".into());
        let result = self
            .handle
            .authenticate_password(self.target.user.as_str(), password.expose_secret())
            .await;
        self.judge(
            MethodKind::Password,
            result.map_err(|error| error.to_string()),
        )
        .await
    }

    /// Answers the server's questions: a hidden question with the password, other questions by
    /// prompting the user. skep does not prompt before a password was given or another method
    /// succeeded: refused keys are no reason to prompt.
    pub(super) async fn keyboard_interactive(&mut self) -> Result<AuthOutcome, TransportError> {
        let password = self.options.secrets.password(self.target).await?;
        if password.is_none() && !self.partial_success {
            return Ok(AuthOutcome::Refused);
        }
        self.check_trust()?;
        if std::mem::replace(&mut self.questions_answered, true) {
            return Ok(AuthOutcome::Refused);
        }
        self.tried.push("keyboard-interactive".into());
        let user = self.target.user.clone();
        let mut response = self
            .handle
            .authenticate_keyboard_interactive_start(user, None)
            .await;
        let mut password = password.filter(|_| !self.password_sent);
        for _ in 0..MOST_ROUNDS {
            let prompts = match response {
                Ok(KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. }) => prompts,
                Ok(KeyboardInteractiveAuthResponse::Success) => return Ok(AuthOutcome::LoggedIn),
                Ok(KeyboardInteractiveAuthResponse::Failure {
                    remaining_methods,
                    partial_success,
                }) => {
                    let failure = AuthResult::Failure {
                        remaining_methods,
                        partial_success,
                    };
                    return self
                        .judge(MethodKind::KeyboardInteractive, Ok(failure))
                        .await;
                }
                Err(error) => {
                    return self
                        .judge(MethodKind::KeyboardInteractive, Err(error.to_string()))
                        .await;
                }
            };
            let mut answers = Vec::with_capacity(prompts.len());
            for prompt in prompts {
                let known = if prompt.echo { None } else { password.take() };
                self.password_sent |= known.is_some();
                let answer = match known {
                    Some(password) => Some(password),
                    None => self.ask(&prompt.prompt).await,
                };
                let Some(answer) = answer else {
                    return Ok(AuthOutcome::Refused);
                };
                answers.push(answer.expose_secret().to_owned());
            }
            response = self
                .handle
                .authenticate_keyboard_interactive_respond(answers)
                .await;
        }
        Ok(AuthOutcome::Refused)
    }

    /// Refuses to send a password or an answer to a host whose key this run has learned: somebody
    /// in between could have presented the key.
    fn check_trust(&self) -> Result<(), TransportError> {
        match self.untrusted {
            None => Ok(()),
            Some(fingerprint) => Err(TransportError::PasswordWithheld {
                password: "the login password",
                address: self.target.address.clone(),
                fingerprint: fingerprint.to_owned(),
            }),
        }
    }

    /// Prompts the user with a question of the server, without the control characters that it may
    /// contain.
    async fn ask(&self, question: &str) -> Option<SecretString> {
        let question: String = question
            .chars()
            .filter(|letter| !letter.is_control())
            .take(200)
            .collect();
        let question = format!("{}@{}: {}", self.target.user, self.target.address, question);
        self.login_deadline
            .while_prompting(self.options.secrets.answer(&question))
            .await
    }
}
