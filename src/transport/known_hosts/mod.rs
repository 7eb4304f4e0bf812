//! Known hosts: reads the files once per run, matches hosts itself (markers, hashes, wildcards,
//! several keys of one type), and stores each new key once, under a lock. A host that is known by a
//! key of another type counts as changed: otherwise a machine in the middle would only have to
//! offer another type.

mod authority;
mod entry;
mod forget;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;
mod learn;
mod learned;
mod pattern;
mod revoked;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey};

use self::entry::{KeyMarker, KnownHostEntry};
use super::TransportError;
use crate::inventory::HostKeyPolicy;

pub use self::forget::{ForgetResult, forget};
pub(super) use self::learned::HostKeyTrust;
pub use self::learned::{HostKeyListener, LearnedHostKey};
pub(super) use self::pattern::lookup_name;

/// Every known host key of a run. Cheap to clone; clones share newly learned keys.
#[derive(Debug, Clone)]
pub struct KnownHosts {
    files: Arc<[PathBuf]>,
    entries: Arc<Mutex<Vec<KnownHostEntry>>>,
}

/// Verdict of the files about a key that a host presents.
#[derive(Debug)]
enum KeyVerdict {
    Known,
    Unknown,
    Changed(KnownHostEntry),
    Revoked(KnownHostEntry),
}

impl KnownHosts {
    /// Reads the files; new keys are written to the first file. A file that does not exist counts
    /// as empty.
    ///
    /// # Errors
    /// [`TransportError::KnownHosts`] for a file that exists and cannot be read: if it counted as
    /// empty, every host would be new.
    pub fn load(files: &[PathBuf]) -> Result<Self, TransportError> {
        let mut entries = Vec::new();
        for file in files {
            entries.extend(read(file)?);
        }
        Ok(Self {
            files: files.into(),
            entries: Arc::new(Mutex::new(entries)),
        })
    }

    /// Adds the keys of `RevokedHostKeys`, which every host refuses.
    ///
    /// # Errors
    /// [`TransportError::Settings`] for a file that cannot be followed.
    pub(super) fn with_revoked(self, files: &[PathBuf]) -> Result<Self, TransportError> {
        for file in files {
            let revoked = revoked::read(file)?;
            self.entries
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(revoked);
        }
        Ok(self)
    }

    /// Returns the file that new keys are written to.
    pub(super) fn first_file(&self) -> Option<&PathBuf> {
        self.files.first()
    }

    /// Returns the key types under which a host is known; skep requests a key of these types from
    /// the server.
    pub(super) fn key_types(&self, address: &str, port: u16) -> Vec<Algorithm> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let types = |name: &str| -> Vec<Algorithm> {
            let own = entries.iter().filter(|entry| {
                entry.role == KeyMarker::HostKey && pattern::matches(&entry.patterns, name)
            });
            own.map(|entry| entry.key.algorithm()).collect()
        };
        let names = lookup_names(address, port);
        names
            .iter()
            .map(|name| types(name))
            .find(|types| !types.is_empty())
            .unwrap_or_default()
    }

    /// Returns true if a `@cert-authority` line applies to the host.
    pub(super) fn has_authority(&self, address: &str, port: u16) -> bool {
        let names = lookup_names(address, port);
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().any(|entry| {
            let is_named = |name: &String| pattern::matches(&entry.patterns, name);
            entry.role == KeyMarker::Authority && names.iter().any(is_named)
        })
    }

    /// Checks whether a known authority vouches for a host's certificate: the authority signed it,
    /// it is for this host, and it is valid now. The inner error is the reason if not.
    ///
    /// # Errors
    /// [`TransportError::HostKeyRevoked`] when the key or the authority is revoked.
    pub(super) fn vouches(
        &self,
        address: &str,
        port: u16,
        certificate: &Certificate,
    ) -> Result<Result<(), String>, TransportError> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut judged = Err("no known authority signed it".to_owned());
        for name in lookup_names(address, port) {
            judged = authority::vouches(&entries, address, &name, certificate)?;
            if judged.is_ok() {
                break;
            }
        }
        Ok(judged)
    }

    /// Decides about a presented key: accepts a known key, accepts and stores an unknown key under
    /// a policy that accepts new keys, and refuses all others.
    ///
    /// # Errors
    /// [`TransportError::HostKeyUnknown`], [`TransportError::HostKeyChanged`],
    /// [`TransportError::HostKeyRevoked`], or [`TransportError::KnownHosts`] when the new key
    /// cannot be stored.
    pub(super) async fn verify(
        &self,
        address: &str,
        port: u16,
        shown: &PublicKey,
        policy: HostKeyPolicy,
        hash: bool,
    ) -> Result<HostKeyTrust, TransportError> {
        let name = lookup_name(address, port);
        let fingerprint = shown.fingerprint(HashAlg::Sha256).to_string();
        let verdict = judge_host(
            &self.entries.lock().unwrap_or_else(PoisonError::into_inner),
            &lookup_names(address, port),
            shown,
        );
        let file = self.files.first();
        match verdict {
            KeyVerdict::Known if learned::is_learned(file, &name, &fingerprint) => {
                Ok(HostKeyTrust::Learned {
                    fingerprint,
                    first: false,
                })
            }
            KeyVerdict::Known => Ok(HostKeyTrust::Known),
            KeyVerdict::Unknown if policy.accepts_new() => {
                self.learn(name.clone(), shown.clone(), hash).await?;
                let first = learned::record(file, &name, &fingerprint);
                Ok(HostKeyTrust::Learned { fingerprint, first })
            }
            verdict => refuse(verdict, &name, shown).map(|()| HostKeyTrust::Known),
        }
    }

    /// Stores a key that a person has confirmed. Passwords may go to its host at once.
    ///
    /// # Errors
    /// As for [`Self::verify`].
    pub(super) async fn store_confirmed(
        &self,
        address: &str,
        port: u16,
        shown: &PublicKey,
        hash: bool,
    ) -> Result<(), TransportError> {
        self.learn(lookup_name(address, port), shown.clone(), hash)
            .await
    }

    /// Stores a new key. The file is read again under its lock, because another run may have been
    /// faster.
    async fn learn(
        &self,
        name: String,
        shown: PublicKey,
        hash: bool,
    ) -> Result<(), TransportError> {
        let Some(file) = self.files.first().cloned() else {
            return Ok(());
        };
        // A name that is a pattern, or several names, would be trusted for other hosts, too.
        if let Some(letter) = name.chars().find(|letter| !may_be_in_name(*letter)) {
            return Err(TransportError::UnsafeValue {
                setting: "known_hosts".into(),
                place: file.display().to_string(),
                token: "the name of a line".into(),
                fault: format!("it contains `{}`", letter.escape_debug()),
                value: name,
            });
        }
        let entries = Arc::clone(&self.entries);
        let work = move || {
            let mut locked = learn::open_locked(&file)?;
            let now = entry::parse(&learn::text(&mut locked, &file)?, &file);
            match judge(&now, &name, &shown) {
                KeyVerdict::Known => {}
                KeyVerdict::Unknown => {
                    let written = if hash {
                        pattern::hashed(&name)
                    } else {
                        name.clone()
                    };
                    learn::append(&mut locked, &file, &written, &shown)?;
                }
                verdict => return refuse(verdict, &name, &shown),
            }
            let fresh = entry::parse(&learn::text(&mut locked, &file)?, &file);
            let mut entries = entries.lock().unwrap_or_else(PoisonError::into_inner);
            entries.retain(|entry| *entry.file != file);
            entries.extend(fresh);
            Ok(())
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            Err(error) => Err(TransportError::Lost(error.to_string())),
        }
    }
}

/// Returns true for the characters of a plain name: it is no pattern, comment, marker or hash.
fn may_be_in_name(letter: char) -> bool {
    letter.is_alphanumeric() || "-_.:%[]+=@".contains(letter)
}

fn read(file: &Path) -> Result<Vec<KnownHostEntry>, TransportError> {
    match std::fs::read(file) {
        Ok(bytes) => Ok(entry::parse(&String::from_utf8_lossy(&bytes), file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(TransportError::KnownHosts {
            path: file.to_path_buf(),
            why: error.to_string(),
        }),
    }
}

/// Returns the names under which a host is looked up: at another port than 22, OpenSSH looks again
/// for the name without the port (`check_host_key` of OpenSSH's sshconnect.c).
fn lookup_names(address: &str, port: u16) -> Vec<String> {
    let mut names = vec![lookup_name(address, port), lookup_name(address, 22)];
    names.dedup();
    names
}

/// Decides about a key by the names of a host, in order. A name without the port only counts if it
/// is known by this key, or if this key is revoked: another service of the machine may have another
/// key.
fn judge_host(entries: &[KnownHostEntry], names: &[String], shown: &PublicKey) -> KeyVerdict {
    let Some((first, others)) = names.split_first() else {
        return KeyVerdict::Unknown;
    };
    let verdict = judge(entries, first, shown);
    if !matches!(verdict, KeyVerdict::Unknown) {
        return verdict;
    }
    others
        .iter()
        .map(|name| judge(entries, name, shown))
        .find(|verdict| matches!(verdict, KeyVerdict::Known | KeyVerdict::Revoked(_)))
        .unwrap_or(KeyVerdict::Unknown)
}

fn judge(entries: &[KnownHostEntry], name: &str, shown: &PublicKey) -> KeyVerdict {
    let own: Vec<&KnownHostEntry> = entries
        .iter()
        .filter(|entry| pattern::matches(&entry.patterns, name))
        .collect();
    let same_key = |entry: &&&KnownHostEntry| entry.key.key_data() == shown.key_data();
    if let Some(entry) = own
        .iter()
        .filter(|entry| entry.role == KeyMarker::Revoked)
        .find(same_key)
    {
        return KeyVerdict::Revoked((*entry).clone());
    }
    let keys: Vec<&KnownHostEntry> = own
        .into_iter()
        .filter(|entry| entry.role == KeyMarker::HostKey)
        .collect();
    if keys
        .iter()
        .any(|entry| entry.key.key_data() == shown.key_data())
    {
        return KeyVerdict::Known;
    }
    let same_type = keys
        .iter()
        .find(|entry| entry.key.algorithm() == shown.algorithm());
    match same_type.or(keys.first()) {
        Some(entry) => KeyVerdict::Changed((*entry).clone()),
        None => KeyVerdict::Unknown,
    }
}

fn refuse(verdict: KeyVerdict, name: &str, shown: &PublicKey) -> Result<(), TransportError> {
    let address = name.to_owned();
    let fingerprint = shown.fingerprint(HashAlg::Sha256).to_string();
    Err(match verdict {
        KeyVerdict::Known => return Ok(()),
        KeyVerdict::Unknown => TransportError::HostKeyUnknown {
            address,
            fingerprint,
        },
        KeyVerdict::Revoked(entry) => TransportError::HostKeyRevoked {
            address,
            place: entry.place(),
        },
        KeyVerdict::Changed(entry) => TransportError::HostKeyChanged {
            address,
            known: entry.key.fingerprint(HashAlg::Sha256).to_string(),
            place: entry.place(),
            shown: fingerprint,
        },
    })
}

#[cfg(test)]
mod tests;
