//! Runs `vagrant` commands that change machines: `halt`, `up`, `destroy`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::MachineError;
use crate::base::child_command;

/// Number of tries if another Vagrant process holds the lock, and the pause between two tries in
/// milliseconds.
const LOCK_TRIES: usize = 10;
const LOCK_PAUSE: u64 = 500;

/// Runs `vagrant` to its end without a time limit, since it may have to download a machine first.
pub(super) fn run(root: &Path, arguments: &[&str]) -> Result<(), MachineError> {
    let line = format!("vagrant {}", arguments.join(" "));
    let failed = |why: String| MachineError::Vagrant {
        line: line.clone(),
        why,
        folder: root.to_path_buf(),
    };
    for left in (0..LOCK_TRIES).rev() {
        let output = child_command("vagrant")
            .args(arguments)
            .current_dir(root)
            .env("VAGRANT_CHECKPOINT_DISABLE", "1")
            // The caller applies the playbook itself, at the right time.
            .env("SKEP_APPLY", "no")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        if left == 0 || !said.contains("because it is locked") {
            let mut lines: Vec<&str> = said
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .collect();
            lines.drain(..lines.len().saturating_sub(4));
            return Err(failed(lines.join(" ")));
        }
        std::thread::sleep(std::time::Duration::from_millis(LOCK_PAUSE));
    }
    Ok(())
}

/// Returns the provider that a machine was created with, so that a rebuild uses the same one. For a
/// machine that was destroyed and could not be created again, it is the provider of another machine
/// of the environment.
pub(super) fn provider(root: &Path, machine: &str) -> Option<String> {
    let dotfiles = std::env::var_os("VAGRANT_DOTFILE_PATH").unwrap_or_else(|| ".vagrant".into());
    let machines = root.join(dotfiles).join("machines");
    let others = || {
        std::fs::read_dir(&machines)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
    };
    let made_with = |folder: PathBuf| {
        let mut providers = std::fs::read_dir(folder)
            .ok()?
            .flatten()
            .filter(|entry| entry.path().join("id").is_file());
        providers.next()?.file_name().into_string().ok()
    };
    made_with(machines.join(machine)).or_else(|| others().find_map(made_with))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_machine_is_made_with_the_provider_that_it_had_or_that_the_others_have() {
        let root = tempfile::tempdir().unwrap();
        let folder = |machine: &str, provider: &str| {
            root.path()
                .join(".vagrant/machines")
                .join(machine)
                .join(provider)
        };
        for (machine, provider) in [
            ("a", "docker"),
            ("a", "libvirt"),
            ("b", "docker"),
            ("b", "libvirt"),
        ] {
            std::fs::create_dir_all(folder(machine, provider)).unwrap();
        }
        assert_eq!(provider(root.path(), "a"), None);
        std::fs::write(folder("b", "docker").join("id"), "1").unwrap();
        assert_eq!(
            provider(root.path(), "a").as_deref(),
            Some("docker"),
            "it is gone: as the others"
        );
        std::fs::write(folder("a", "libvirt").join("id"), "2").unwrap();
        assert_eq!(
            provider(root.path(), "a").as_deref(),
            Some("libvirt"),
            "its own"
        );
    }
}
