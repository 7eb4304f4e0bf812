//! Cache of Vagrant's answers. Vagrant takes seconds to answer, and `plan`, `apply` and `check`
//! often follow each other. An answer is reused for a minute, unless the files that Vagrant and its
//! user write have changed.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::vagrant_output::{MachineSshConfig, MachineStatus};
use crate::base::write_whole_file;

/// Lifetime of a cached answer. It is short because halting a machine writes no file that would
/// invalidate the cache.
const LIFETIME: Duration = Duration::from_secs(60);

/// Vagrant's answers about an environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EnvironmentStatus {
    pub(super) machines: IndexMap<String, MachineStatus>,
    pub(super) ssh_configs: IndexMap<String, MachineSshConfig>,
}

#[derive(Serialize, Deserialize)]
struct CachedStatus {
    mark: u64,
    at: SystemTime,
    answer: EnvironmentStatus,
}

/// Returns the cached answer if it is still valid.
pub(super) fn load_cached(file: &Path, mark: u64) -> Option<EnvironmentStatus> {
    let kept: CachedStatus = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    // If the clock was set back, the answer lies in the future: it is not valid either.
    let age = SystemTime::now().duration_since(kept.at).ok()?;
    (kept.mark == mark && age < LIFETIME).then_some(kept.answer)
}

/// Stores an answer. If that is not possible, Vagrant is queried each time.
pub(super) fn store_cached(file: &Path, mark: u64, answer: &EnvironmentStatus) {
    let kept = CachedStatus {
        mark,
        at: SystemTime::now(),
        answer: answer.clone(),
    };
    let (Ok(text), Some(folder)) = (serde_json::to_vec(&kept), file.parent()) else {
        return;
    };
    if std::fs::create_dir_all(folder).is_ok() {
        let _ = write_whole_file(file, &text, 0o600);
    }
}

/// Returns a hash that changes with the Vagrantfile and the settings beside it, with the machines
/// that Vagrant created, and with Vagrant's environment variables.
pub(super) fn cache_key(root: &Path, machines: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    let mut variables: Vec<(String, String)> = std::env::vars_os()
        .map(|(name, value)| {
            (
                name.to_string_lossy().into_owned(),
                value.to_string_lossy().into_owned(),
            )
        })
        .filter(|(name, _)| name.starts_with("VAGRANT_") || name.starts_with("SKEP_"))
        .collect();
    variables.sort();
    variables.hash(&mut hasher);
    folder(root, 0, &mut hasher);
    // machines/NAME/PROVIDER/{id,private_key,...}
    folder(machines, 2, &mut hasher);
    hasher.finish()
}

fn folder(path: &Path, deeper: u32, hasher: &mut DefaultHasher) {
    let mut entries: Vec<_> = std::fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let Ok(data) = entry.metadata() else { continue };
        if data.is_dir() {
            // Empty folders do not count: Vagrant creates some even for read-only commands.
            if deeper > 0 {
                folder(&entry.path(), deeper - 1, hasher);
            }
        } else {
            (entry.path(), data.len(), data.modified().ok()).hash(hasher);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_answer_is_valid_until_a_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let machines = folder.path().join(".vagrant/machines");
        std::fs::create_dir_all(machines.join("a/docker")).unwrap();
        std::fs::write(folder.path().join("Vagrantfile"), "x").unwrap();
        let mark_now = || cache_key(folder.path(), &machines);
        let (first, file) = (mark_now(), folder.path().join(".vagrant/skep/answer.json"));
        let machine = MachineStatus {
            provider: "docker".into(),
            state: "running".into(),
        };
        let answer = EnvironmentStatus {
            machines: IndexMap::from([("a".into(), machine)]),
            ..EnvironmentStatus::default()
        };
        assert_eq!(load_cached(&file, first), None);
        store_cached(&file, first, &answer);
        assert_eq!(mark_now(), first, "the cache itself is not a change");
        std::fs::create_dir_all(machines.join("b/docker")).unwrap();
        assert_eq!(mark_now(), first, "an empty folder is not a change");
        assert_eq!(load_cached(&file, first), Some(answer));
        std::fs::write(machines.join("a/docker/id"), "1").unwrap();
        let second = mark_now();
        assert_ne!(second, first, "a machine was made");
        assert_eq!(load_cached(&file, second), None);
        std::fs::write(folder.path().join("cluster.toml"), "y").unwrap();
        assert_ne!(mark_now(), second, "a setting was changed");
    }

    #[test]
    fn an_expired_answer_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("answer.json");
        let kept = CachedStatus {
            mark: 7,
            at: SystemTime::now() - LIFETIME,
            answer: EnvironmentStatus::default(),
        };
        std::fs::write(&file, serde_json::to_vec(&kept).unwrap()).unwrap();
        assert_eq!(load_cached(&file, 7), None);
    }
}
