//! The content of a backup: a tar archive of the manifest and of the state of the swarm.

use std::collections::BTreeMap;
use std::io::Read as _;

use serde::{Deserialize, Serialize};

use crate::model::sha256;

/// Version of the form.
const VERSION: u32 = 1;
/// Name of the manifest in the archive.
const MANIFEST: &str = "manifest.json";
/// Name of the state of the swarm in the archive.
const RAFT: &str = "raft.tar.gz";
/// Largest archive that is read, in bytes (1 GiB).
const LARGEST: u64 = 1 << 30;

/// A node as the managers listed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestNode {
    /// ID of the node.
    pub id: String,
    /// Host name.
    pub hostname: String,
    /// `manager` or `worker`.
    pub role: String,
    /// `active`, `pause` or `drain`.
    pub availability: String,
    /// Labels of the node.
    pub labels: BTreeMap<String, String>,
}

/// Description of a backup. It has no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupManifest {
    /// Version of the form.
    pub version: u32,
    /// Time of the backup, RFC 3339.
    pub created: String,
    /// Host of the manager.
    pub host: String,
    /// Address that its node advertises.
    pub address: String,
    /// ID of its node.
    pub node_id: String,
    /// ID of the cluster.
    pub cluster_id: String,
    /// Version of its Engine.
    pub engine_version: String,
    /// SHA-256 digest of the certificate of the swarm's authority.
    pub ca_digest: String,
    /// SHA-256 digest of the state of the swarm.
    pub raft_digest: String,
    /// The nodes.
    pub nodes: Vec<ManifestNode>,
    /// Names of the services.
    pub services: Vec<String>,
    /// Names of the local volumes, by host. Their data is not in the backup.
    pub volumes: BTreeMap<String, Vec<String>>,
}

/// A whole backup.
pub struct SwarmBackup {
    /// The manifest.
    pub manifest: BackupManifest,
    /// State of the swarm: a gzipped tar archive with the folder `swarm`.
    pub(super) raft: Vec<u8>,
}

impl SwarmBackup {
    /// Makes a backup; the manifest gets version and digest.
    pub(super) fn new(manifest: BackupManifest, raft: Vec<u8>) -> Self {
        let manifest = BackupManifest {
            version: VERSION,
            raft_digest: sha256(&raft),
            ..manifest
        };
        Self { manifest, raft }
    }

    /// Returns the tar archive.
    ///
    /// # Errors
    /// If the archive cannot be written.
    pub fn pack(&self) -> Result<Vec<u8>, String> {
        let manifest =
            serde_json::to_vec_pretty(&self.manifest).map_err(|error| error.to_string())?;
        let mut builder = tar::Builder::new(Vec::new());
        let mut add = |name: &str, content: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o600);
            builder.append_data(&mut header, name, content)
        };
        let packed = add(MANIFEST, &manifest).and_then(|()| add(RAFT, &self.raft));
        packed
            .and_then(|()| builder.into_inner())
            .map_err(|error| error.to_string())
    }

    /// Reads a tar archive.
    ///
    /// # Errors
    /// A sentence about the first error.
    pub fn unpack(archive: &[u8]) -> Result<Self, String> {
        let bad = |error: std::io::Error| format!("the file is no backup of a swarm: {error}");
        let (mut manifest, mut raft) = (None, None);
        for entry in tar::Archive::new(archive).entries().map_err(bad)? {
            let entry = entry.map_err(bad)?;
            let name = entry.path().map_err(bad)?.to_string_lossy().into_owned();
            let mut content = Vec::new();
            entry.take(LARGEST).read_to_end(&mut content).map_err(bad)?;
            match name.as_str() {
                MANIFEST => manifest = Some(content),
                RAFT => raft = Some(content),
                _ => {}
            }
        }
        let (Some(manifest), Some(raft)) = (manifest, raft) else {
            return Err(format!(
                "the file is no backup of a swarm: it lacks {MANIFEST} or {RAFT}"
            ));
        };
        let manifest: BackupManifest = serde_json::from_slice(&manifest)
            .map_err(|error| format!("the manifest of the backup cannot be read: {error}"))?;
        if manifest.version != VERSION {
            return Err(format!(
                "the backup has version {}, and this skep reads version {VERSION}; use a newer skep",
                manifest.version
            ));
        }
        if sha256(&raft) != manifest.raft_digest {
            return Err("the backup is damaged: the digest of its state does not match".into());
        }
        Ok(Self { manifest, raft })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn backup() -> SwarmBackup {
        let manifest = BackupManifest {
            version: 0,
            created: "2026-11-30T19:00:00Z".into(),
            host: "a".into(),
            address: "192.0.2.1".into(),
            node_id: "n".into(),
            cluster_id: "c".into(),
            engine_version: "26.1.5".into(),
            ca_digest: "d".into(),
            raft_digest: String::new(),
            nodes: Vec::new(),
            services: vec!["web".into()],
            volumes: BTreeMap::new(),
        };
        SwarmBackup::new(manifest, b"state".to_vec())
    }

    #[test]
    fn a_backup_is_packed_and_read() {
        let read = SwarmBackup::unpack(&backup().pack().unwrap()).unwrap();
        assert_eq!(read.raft, b"state");
        assert_eq!(read.manifest, backup().manifest);
    }

    #[test]
    fn damaged_and_foreign_files_are_refused() {
        let refused = |archive: &[u8]| SwarmBackup::unpack(archive).err().unwrap();
        assert!(refused(b"text").contains("no backup of a swarm"));
        assert!(refused(&[]).contains("it lacks manifest.json"));
        let mut other = backup();
        other.raft = b"other".to_vec();
        assert!(refused(&other.pack().unwrap()).contains("damaged"));
        let mut newer = backup();
        newer.manifest.version = 2;
        assert!(refused(&newer.pack().unwrap()).contains("use a newer skep"));
    }
}
