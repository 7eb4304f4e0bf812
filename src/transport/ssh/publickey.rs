//! Offers keys: files, certificates and the agent. Servers count refused keys (6 by default), so at
//! most five are tried, and none twice. Agents must sign within the login's time limit; an agent
//! that does not answer is named in the error.

use std::path::Path;
use std::sync::Arc;

use russh::MethodKind;
use russh::keys::{Algorithm, Certificate, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};

use super::authenticate::{AuthOutcome, LoginAttempt};
use super::key_file::{self, KeyFile};
use super::{certificate, key_agent};
use crate::inventory::SettingOrigin;
use crate::transport::TransportError;

/// Maximum number of keys that are offered: servers close the connection after 6 by default.
const MOST_KEYS: usize = 5;

/// Keys that were offered, and the first key that could not be.
#[derive(Default)]
pub(super) struct OfferedKeys {
    keys: Vec<PublicKey>,
    count: usize,
    /// Error of the first file that could not be used.
    pub(super) unusable: Option<TransportError>,
    rsa_hash: Option<Option<HashAlg>>,
}

impl LoginAttempt<'_> {
    /// Offers keys in this order: configured files, the agent, default files.
    pub(super) async fn keys(&mut self) -> Result<AuthOutcome, TransportError> {
        let configured = self.target.identity_files.clone();
        for path in &configured {
            let progress = self.file(path, true).await?;
            if progress != AuthOutcome::Refused {
                return Ok(progress);
            }
        }
        if !self.target.ssh.identities_only {
            let progress = self.whole_agent().await?;
            if progress != AuthOutcome::Refused {
                return Ok(progress);
            }
        }
        if configured.is_empty() {
            for path in &self.options.default_identities {
                let progress = self.file(path, false).await?;
                if progress != AuthOutcome::Refused {
                    return Ok(progress);
                }
            }
        }
        Ok(AuthOutcome::Refused)
    }

    /// Offers the key of a file, its certificates first; through the agent if the agent holds the
    /// key.
    async fn file(&mut self, path: &Path, configured: bool) -> Result<AuthOutcome, TransportError> {
        if self.offered.count >= MOST_KEYS || !self.takes(MethodKind::PublicKey) {
            return Ok(AuthOutcome::Refused);
        }
        let found = match key_file::read(path) {
            Ok(Some(found)) => found,
            Ok(None) if !configured => return Ok(AuthOutcome::Refused),
            Ok(None) => {
                self.unusable(path, configured, "there is no such file");
                return Ok(AuthOutcome::Refused);
            }
            Err(why) => {
                self.unusable(path, configured, &why);
                return Ok(AuthOutcome::Refused);
            }
        };
        let public = found.public().clone();
        let name = path.display().to_string();
        let mut certificates =
            certificate::of_key(&public, path, &self.target.ssh.certificate_files);
        let held = self.agent_holds(&public);
        if let Some(agent) = &self.agent {
            let of_agent = agent
                .certificates
                .iter()
                .map(|(certificate, _)| certificate);
            certificates.extend(
                of_agent
                    .filter(|one| one.public_key() == public.key_data())
                    .cloned(),
            );
        }
        let key = match found {
            KeyFile::Ready(key) => Some(Arc::new(*key)),
            _ if held => None,
            KeyFile::Locked(key) => match self.unlock(path, configured, *key).await {
                Some(key) => Some(key),
                None => return Ok(AuthOutcome::Refused),
            },
            KeyFile::Public(_) => {
                self.unusable(
                    path,
                    configured,
                    "it is a public key, and no agent holds its private half",
                );
                return Ok(AuthOutcome::Refused);
            }
        };
        for certificate in certificates {
            let progress = self.certificate(certificate, key.clone(), &name).await?;
            if progress != AuthOutcome::Refused {
                return Ok(progress);
            }
        }
        match key {
            Some(key) => self.key(key, &name).await,
            None => self.through_agent(public, &name).await,
        }
    }

    /// Returns the decrypted key; if the key stays locked, records the reason.
    async fn unlock(
        &mut self,
        path: &Path,
        configured: bool,
        key: PrivateKey,
    ) -> Option<Arc<PrivateKey>> {
        let secrets = &self.options.secrets;
        if secrets.can_unlock() && secrets.passphrases().unlocked(path).is_none() {
            self.login_deadline
                .while_prompting(secrets.unlock(path, key))
                .await;
        }
        let unlocked = secrets.passphrases().unlocked(path);
        if let Some(Some(key)) = unlocked {
            return Some(key);
        }
        let why = match unlocked {
            Some(_) => "it is encrypted and the passphrase is wrong",
            None => {
                "it is encrypted, the agent does not hold it, and there is no terminal to ask for its passphrase"
            }
        };
        self.unusable(path, configured, why);
        None
    }

    /// Records the first file that could not be used, with the setting that names it.
    fn unusable(&mut self, path: &Path, configured: bool, why: &str) {
        let place = match self.target.origins.get("identity_file") {
            Some(SettingOrigin::SshConfig) => "IdentityFile of the SSH configuration",
            _ if configured => "identity_file of the inventory",
            _ => "a default path",
        };
        let (path, place, why) = (path.to_path_buf(), place.to_owned(), why.to_owned());
        self.offered
            .unusable
            .get_or_insert(TransportError::Key { path, place, why });
    }

    async fn key(
        &mut self,
        key: Arc<PrivateKey>,
        name: &str,
    ) -> Result<AuthOutcome, TransportError> {
        let public = key.public_key().clone();
        if !self.note(&public, name) {
            return Ok(AuthOutcome::Refused);
        }
        let hash = self.hash_for(&public.algorithm()).await?;
        let key = PrivateKeyWithHashAlg::new(key, hash);
        let result = self
            .handle
            .authenticate_publickey(self.target.user.as_str(), key)
            .await;
        self.judge(
            MethodKind::PublicKey,
            result.map_err(|error| error.to_string()),
        )
        .await
    }

    /// Offers a certificate, signed with the key if it is on this machine, otherwise by the agent.
    async fn certificate(
        &mut self,
        certificate: Certificate,
        key: Option<Arc<PrivateKey>>,
        name: &str,
    ) -> Result<AuthOutcome, TransportError> {
        if self.offered.count >= MOST_KEYS || !self.takes(MethodKind::PublicKey) {
            return Ok(AuthOutcome::Refused);
        }
        let hash = self.hash_for(&certificate.algorithm()).await?;
        let user = self.target.user.clone();
        let result = match (key, self.agent.as_mut()) {
            // Without an agent, russh signs an RSA certificate with SHA-1 only, which every server
            // refuses.
            (Some(key), _) if hash.is_some() => {
                let mut signer = key_agent::start(key);
                let signed =
                    self.handle
                        .authenticate_certificate_with(user, certificate, hash, &mut signer);
                signed.await.map_err(|error| error.to_string())
            }
            (Some(key), _) => self
                .handle
                .authenticate_openssh_cert(user, key, certificate)
                .await
                .map_err(|error| error.to_string()),
            (None, Some(agent)) => {
                let helper = format!("{} to sign with {name}", agent.name);
                let signed = self.handle.authenticate_certificate_with(
                    user,
                    certificate,
                    hash,
                    &mut agent.client,
                );
                let result = self.login_deadline.while_waiting_for(helper, signed).await;
                match result {
                    Err(error) if !self.handle.is_closed() => {
                        tracing::debug!(%error, name, "the agent did not sign");
                        return Ok(AuthOutcome::Refused);
                    }
                    result => result.map_err(|error| error.to_string()),
                }
            }
            (None, None) => return Ok(AuthOutcome::Refused),
        };
        self.offered.count += 1;
        self.tried.push(format!("certificate of {name}"));
        self.judge(MethodKind::PublicKey, result).await
    }

    /// Offers all certificates and keys of the agent.
    async fn whole_agent(&mut self) -> Result<AuthOutcome, TransportError> {
        let Some(agent) = &self.agent else {
            return Ok(AuthOutcome::Refused);
        };
        let (certificates, keys) = (agent.certificates.clone(), agent.keys.clone());
        for (certificate, comment) in certificates {
            if self
                .offered
                .keys
                .iter()
                .any(|one| one.key_data() == certificate.public_key())
            {
                continue;
            }
            let progress = self
                .certificate(certificate, None, &format!("agent: {comment}"))
                .await?;
            if progress != AuthOutcome::Refused {
                return Ok(progress);
            }
        }
        for (public, comment) in keys {
            let progress = self
                .through_agent(public, &format!("agent: {comment}"))
                .await?;
            if progress != AuthOutcome::Refused {
                return Ok(progress);
            }
        }
        Ok(AuthOutcome::Refused)
    }

    fn agent_holds(&self, public: &PublicKey) -> bool {
        let identities = self.agent.iter().flat_map(|agent| &agent.keys);
        identities
            .into_iter()
            .any(|(held, _)| held.key_data() == public.key_data())
    }

    async fn through_agent(
        &mut self,
        public: PublicKey,
        name: &str,
    ) -> Result<AuthOutcome, TransportError> {
        if !self.note(&public, name) {
            return Ok(AuthOutcome::Refused);
        }
        let hash = self.hash_for(&public.algorithm()).await?;
        let Some(agent) = self.agent.as_mut() else {
            return Ok(AuthOutcome::Refused);
        };
        let user = self.target.user.as_str();
        let helper = format!("{} to sign with {name}", agent.name);
        let signed = self
            .handle
            .authenticate_publickey_with(user, public, hash, &mut agent.client);
        match self.login_deadline.while_waiting_for(helper, signed).await {
            Ok(result) => self.judge(MethodKind::PublicKey, Ok(result)).await,
            // After an agent refuses to sign (a prompt was declined), the session is still usable
            // for the next key.
            Err(error) if !self.handle.is_closed() => {
                tracing::debug!(%error, name, "the agent did not sign");
                Ok(AuthOutcome::Refused)
            }
            Err(error) => {
                self.judge(MethodKind::PublicKey, Err(error.to_string()))
                    .await
            }
        }
    }

    /// Counts a key; returns false if the key was offered before, or too many keys were offered.
    fn note(&mut self, public: &PublicKey, name: &str) -> bool {
        if self.offered.count >= MOST_KEYS
            || !self.takes(MethodKind::PublicKey)
            || self
                .offered
                .keys
                .iter()
                .any(|one| one.key_data() == public.key_data())
        {
            return false;
        }
        self.offered.count += 1;
        self.offered.keys.push(public.clone());
        self.tried.push(name.to_owned());
        true
    }

    /// Returns the hash for a signature. RSA needs the server's best hash: SHA-1, the protocol's
    /// default, is refused nowadays. The query may wait a second, so it is skipped for other keys.
    async fn hash_for(&mut self, algorithm: &Algorithm) -> Result<Option<HashAlg>, TransportError> {
        if !matches!(algorithm, Algorithm::Rsa { .. }) {
            return Ok(None);
        }
        if self.offered.rsa_hash.is_none() {
            let Ok(best) = self.handle.best_supported_rsa_hash().await else {
                return Err(self.cause.lost().await);
            };
            // A server that does not announce its signature algorithms is old, but no server is so
            // old that it lacks SHA-256.
            self.offered.rsa_hash = Some(best.unwrap_or(Some(HashAlg::Sha256)));
        }
        Ok(self.offered.rsa_hash.flatten())
    }
}
