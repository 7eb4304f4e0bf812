//! Logging in, in OpenSSH's order of methods: keys, the server's questions, a password. Keys: configured files, then
//! the agent, then default files. Servers count refused keys (6 by default), so five are tried at most and none twice.

use std::path::Path;
use std::sync::Arc;

use russh::client::{AuthResult, Handle};
use russh::keys::{Algorithm, Certificate, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use russh::{MethodKind, MethodSet};

use super::agent::{self, Agent};
use super::certificate;
use super::handler::{Handler, LostCause};
use super::key_file::{self, KeyFile};
use super::options::ConnectOptions;
use super::patience::Patience;
use crate::inventory::Target;
use crate::transport::TransportError;

const MOST_KEYS: usize = 5;

/// Methods by their names, in OpenSSH's order.
const METHODS: &[(&str, MethodKind)] = &[
    ("publickey", MethodKind::PublicKey),
    ("keyboard-interactive", MethodKind::KeyboardInteractive),
    ("password", MethodKind::Password),
];

/// How far one step brought us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Logged in.
    In,
    /// Taken, and the server wants a further method.
    Half,
    /// Not taken.
    Refused,
}

/// One login: what was tried, and what could not be used.
pub(super) struct Login<'a> {
    pub(super) handle: &'a mut Handle<Handler>,
    pub(super) target: &'a Target,
    pub(super) options: &'a ConnectOptions,
    pub(super) patience: &'a Patience,
    pub(super) tried: Vec<String>,
    pub(super) half_in: bool,
    pub(super) password_sent: bool,
    pub(super) questions_answered: bool,
    cause: &'a LostCause,
    offered: Vec<PublicKey>,
    count: usize,
    unusable: Option<TransportError>,
    agent: Option<Agent>,
    no_agent: Option<String>,
    rsa_hash: Option<Option<HashAlg>>,
    // What the server still takes, once it said so.
    remaining: Option<MethodSet>,
}

/// Logs in, or says what was refused.
///
/// # Errors
/// [`TransportError::Authentication`] when everything is refused, [`TransportError::Key`] when no key could be offered
/// because a file is not usable, [`TransportError::Lost`] when the host hangs up.
pub async fn log_in(
    handle: &mut Handle<Handler>,
    target: &Target,
    options: &ConnectOptions,
    cause: &LostCause,
    patience: &Patience,
) -> Result<(), TransportError> {
    let (agent, no_agent) = agent::reach(target, options).await;
    let mut login = Login {
        handle,
        target,
        options,
        patience,
        tried: Vec::new(),
        half_in: false,
        password_sent: false,
        questions_answered: false,
        cause,
        offered: Vec::new(),
        count: 0,
        unusable: None,
        agent,
        no_agent,
        rsa_hash: None,
        remaining: None,
    };
    if login.run().await? { Ok(()) } else { Err(login.refused()) }
}

impl Login<'_> {
    async fn run(&mut self) -> Result<bool, TransportError> {
        let wanted: Vec<MethodKind> = match &self.target.ssh.methods {
            None => METHODS.iter().map(|(_, kind)| *kind).collect(),
            Some(names) => {
                let kind = |name: &String| METHODS.iter().find(|(known, _)| known == name).map(|(_, kind)| *kind);
                names.iter().filter_map(kind).collect()
            }
        };
        if wanted.is_empty() {
            return Err(TransportError::Settings {
                setting: "PreferredAuthentications".into(),
                place: format!("the SSH configuration of {}", self.target.name),
                why: "skep supports none of the methods that are left".into(),
            });
        }
        // Each method that is taken opens the next; there are three.
        for _ in 0..METHODS.len() {
            match self.once(&wanted).await? {
                Progress::In => return Ok(true),
                Progress::Half => self.half_in = true,
                Progress::Refused => break,
            }
        }
        if !self.tried.is_empty() {
            return Ok(false);
        }
        // Nothing to offer: the server may want nothing.
        let result = self.handle.authenticate_none(self.target.user.as_str()).await;
        Ok(self.judge(MethodKind::None, result.map_err(|error| error.to_string())).await? == Progress::In)
    }

    async fn once(&mut self, wanted: &[MethodKind]) -> Result<Progress, TransportError> {
        for method in wanted {
            if !self.takes(*method) {
                continue;
            }
            let progress = match method {
                MethodKind::PublicKey => self.keys().await?,
                MethodKind::KeyboardInteractive => self.keyboard_interactive().await?,
                _ => self.password().await?,
            };
            if progress != Progress::Refused {
                return Ok(progress);
            }
        }
        Ok(Progress::Refused)
    }

    fn takes(&self, method: MethodKind) -> bool {
        self.remaining.as_ref().is_none_or(|remaining| remaining.contains(&method))
    }

    async fn keys(&mut self) -> Result<Progress, TransportError> {
        let configured = self.target.identity_files.clone();
        for path in &configured {
            let progress = self.file(path, true).await?;
            if progress != Progress::Refused {
                return Ok(progress);
            }
        }
        if !self.target.ssh.identities_only {
            let progress = self.whole_agent().await?;
            if progress != Progress::Refused {
                return Ok(progress);
            }
        }
        if configured.is_empty() {
            for path in &self.options.default_identities {
                let progress = self.file(path, false).await?;
                if progress != Progress::Refused {
                    return Ok(progress);
                }
            }
        }
        Ok(Progress::Refused)
    }

    /// Offers the key of a file, its certificates first; through the agent when that holds it.
    async fn file(&mut self, path: &Path, configured: bool) -> Result<Progress, TransportError> {
        if self.count >= MOST_KEYS || !self.takes(MethodKind::PublicKey) {
            return Ok(Progress::Refused);
        }
        let found = match key_file::read(path) {
            Ok(Some(found)) => found,
            Ok(None) if !configured => return Ok(Progress::Refused),
            Ok(None) => {
                let why = "there is no such file".to_owned();
                self.unusable.get_or_insert(TransportError::Key { path: path.to_path_buf(), why });
                return Ok(Progress::Refused);
            }
            Err(error) => {
                self.unusable.get_or_insert(error);
                return Ok(Progress::Refused);
            }
        };
        let public = found.public().clone();
        let name = path.display().to_string();
        let mut certificates = certificate::of_key(&public, path, &self.target.ssh.certificate_files);
        let held = self.agent_holds(&public);
        if let Some(agent) = &self.agent {
            let of_agent = agent.certificates.iter().map(|(certificate, _)| certificate);
            certificates.extend(of_agent.filter(|one| one.public_key() == public.key_data()).cloned());
        }
        let key = match found {
            KeyFile::Ready(key) => Some(Arc::new(*key)),
            _ if held => None,
            KeyFile::Locked(key) => match self.unlock(path, *key).await {
                Some(key) => Some(key),
                None => return Ok(Progress::Refused),
            },
            KeyFile::Public(_) => {
                let why = "it is a public key, and no agent holds its private half".to_owned();
                self.unusable.get_or_insert(TransportError::Key { path: path.to_path_buf(), why });
                return Ok(Progress::Refused);
            }
        };
        for certificate in certificates {
            let progress = self.certificate(certificate, key.clone(), &name).await?;
            if progress != Progress::Refused {
                return Ok(progress);
            }
        }
        match key {
            Some(key) => self.key(key, &name).await,
            None => self.through_agent(public, &name).await,
        }
    }

    /// The key without its passphrase, or why it stays locked.
    async fn unlock(&mut self, path: &Path, key: PrivateKey) -> Option<Arc<PrivateKey>> {
        let secrets = &self.options.secrets;
        if secrets.can_unlock() && secrets.passphrases().unlocked(path).is_none() {
            self.patience.while_asking(secrets.unlock(path, key)).await;
        }
        let unlocked = secrets.passphrases().unlocked(path);
        if let Some(Some(key)) = unlocked {
            return Some(key);
        }
        let why = match unlocked {
            Some(_) => "it is encrypted and the passphrase does not fit",
            None => "it is encrypted, the agent does not hold it, and nobody can be asked for its passphrase",
        };
        self.unusable.get_or_insert(TransportError::Key { path: path.to_path_buf(), why: why.into() });
        None
    }

    async fn key(&mut self, key: Arc<PrivateKey>, name: &str) -> Result<Progress, TransportError> {
        let public = key.public_key().clone();
        if !self.note(&public, name) {
            return Ok(Progress::Refused);
        }
        let hash = self.hash_for(&public.algorithm()).await?;
        let key = PrivateKeyWithHashAlg::new(key, hash);
        let result = self.handle.authenticate_publickey(self.target.user.as_str(), key).await;
        self.judge(MethodKind::PublicKey, result.map_err(|error| error.to_string())).await
    }

    /// Offers a certificate, signed with the key when it is here, else by the agent.
    async fn certificate(
        &mut self,
        certificate: Certificate,
        key: Option<Arc<PrivateKey>>,
        name: &str,
    ) -> Result<Progress, TransportError> {
        if self.count >= MOST_KEYS || !self.takes(MethodKind::PublicKey) {
            return Ok(Progress::Refused);
        }
        let hash = self.hash_for(&certificate.algorithm()).await?;
        let user = self.target.user.clone();
        let result = match (key, self.agent.as_mut()) {
            // russh signs an RSA certificate with SHA-1 only, which every server refuses; the agent does better.
            (Some(_), None) if hash.is_some() => return Ok(Progress::Refused),
            (Some(key), _) if hash.is_none() => {
                self.handle.authenticate_openssh_cert(user, key, certificate).await.map_err(|error| error.to_string())
            }
            (_, Some(agent)) => {
                let result =
                    self.handle.authenticate_certificate_with(user, certificate, hash, &mut agent.client).await;
                match result {
                    Err(error) if !self.handle.is_closed() => {
                        tracing::debug!(%error, name, "the agent did not sign");
                        return Ok(Progress::Refused);
                    }
                    result => result.map_err(|error| error.to_string()),
                }
            }
            (_, None) => return Ok(Progress::Refused),
        };
        self.count += 1;
        self.tried.push(format!("certificate of {name}"));
        self.judge(MethodKind::PublicKey, result).await
    }

    /// Offers everything the agent holds.
    async fn whole_agent(&mut self) -> Result<Progress, TransportError> {
        let Some(agent) = &self.agent else { return Ok(Progress::Refused) };
        let (certificates, keys) = (agent.certificates.clone(), agent.keys.clone());
        for (certificate, comment) in certificates {
            if self.offered.iter().any(|one| one.key_data() == certificate.public_key()) {
                continue;
            }
            let progress = self.certificate(certificate, None, &format!("agent: {comment}")).await?;
            if progress != Progress::Refused {
                return Ok(progress);
            }
        }
        for (public, comment) in keys {
            let progress = self.through_agent(public, &format!("agent: {comment}")).await?;
            if progress != Progress::Refused {
                return Ok(progress);
            }
        }
        Ok(Progress::Refused)
    }

    fn agent_holds(&self, public: &PublicKey) -> bool {
        let identities = self.agent.iter().flat_map(|agent| &agent.keys);
        identities.into_iter().any(|(held, _)| held.key_data() == public.key_data())
    }

    async fn through_agent(&mut self, public: PublicKey, name: &str) -> Result<Progress, TransportError> {
        if !self.note(&public, name) {
            return Ok(Progress::Refused);
        }
        let hash = self.hash_for(&public.algorithm()).await?;
        let Some(agent) = self.agent.as_mut() else { return Ok(Progress::Refused) };
        let user = self.target.user.as_str();
        match self.handle.authenticate_publickey_with(user, public, hash, &mut agent.client).await {
            Ok(result) => self.judge(MethodKind::PublicKey, Ok(result)).await,
            // An agent that will not sign (a prompt was declined) leaves the session usable for the next key.
            Err(error) if !self.handle.is_closed() => {
                tracing::debug!(%error, name, "the agent did not sign");
                Ok(Progress::Refused)
            }
            Err(error) => self.judge(MethodKind::PublicKey, Err(error.to_string())).await,
        }
    }

    /// Counts a key; false when it was offered before or too many were.
    fn note(&mut self, public: &PublicKey, name: &str) -> bool {
        if self.count >= MOST_KEYS
            || !self.takes(MethodKind::PublicKey)
            || self.offered.iter().any(|one| one.key_data() == public.key_data())
        {
            return false;
        }
        self.count += 1;
        self.offered.push(public.clone());
        self.tried.push(name.to_owned());
        true
    }

    /// RSA needs the server's best hash: SHA-1, the protocol's default, is refused nowadays. Asking may wait a second,
    /// so other keys do not ask.
    async fn hash_for(&mut self, algorithm: &Algorithm) -> Result<Option<HashAlg>, TransportError> {
        if !matches!(algorithm, Algorithm::Rsa { .. }) {
            return Ok(None);
        }
        if self.rsa_hash.is_none() {
            let Ok(best) = self.handle.best_supported_rsa_hash().await else { return Err(self.cause.lost().await) };
            // A server that says nothing about signatures is old, but none is so old that it lacks SHA-256.
            self.rsa_hash = Some(best.unwrap_or(Some(HashAlg::Sha256)));
        }
        Ok(self.rsa_hash.flatten())
    }

    /// What the server's answer to a method means.
    pub(super) async fn judge(
        &mut self,
        method: MethodKind,
        result: Result<AuthResult, String>,
    ) -> Result<Progress, TransportError> {
        match result {
            Ok(AuthResult::Success) => Ok(Progress::In),
            // russh says "failure, nothing remains" for a connection that is gone.
            Ok(AuthResult::Failure { remaining_methods, partial_success }) if !remaining_methods.is_empty() => {
                tracing::debug!(?method, partial_success, "not logged in yet");
                self.remaining = Some(remaining_methods);
                Ok(if partial_success { Progress::Half } else { Progress::Refused })
            }
            Ok(AuthResult::Failure { .. }) | Err(_) => match self.cause.ending().await {
                Some(ending) if ending.too_many_keys => Err(self.refused()),
                Some(ending) => Err(TransportError::Lost(format!("during login: {}", ending.why))),
                None if self.handle.is_closed() => Err(TransportError::Lost("during login".into())),
                None => Ok(Progress::Refused),
            },
        }
    }

    fn refused(&mut self) -> TransportError {
        match self.unusable.take() {
            Some(error) if self.tried.is_empty() => error,
            unusable => {
                let mut tried = self.tried.join(", ");
                if tried.is_empty() {
                    tried.push_str("there is none to offer");
                }
                if let Some(TransportError::Key { path, why }) = unusable {
                    tried.push_str(&format!("; not usable: {}: {why}", path.display()));
                }
                if let Some(why) = &self.no_agent {
                    tried.push_str(&format!("; {why}"));
                }
                let (user, address) = (self.target.user.clone(), self.target.address.clone());
                TransportError::Authentication { user, address, tried }
            }
        }
    }
}
