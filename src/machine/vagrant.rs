//! Runs `vagrant` where it changes machines: `halt`, `up`, `destroy`.

use std::path::Path;
use std::process::{Command, Stdio};

use super::MachineError;

/// Times a command is run again that met the lock of another Vagrant, and the pause between, in milliseconds.
const LOCK_TRIES: usize = 10;
const LOCK_PAUSE: u64 = 500;

/// Runs it to its end, however long that takes: a machine may be fetched first.
pub(super) fn run(root: &Path, arguments: &[&str]) -> Result<(), MachineError> {
    let line = format!("vagrant {}", arguments.join(" "));
    let failed = |why: String| MachineError::Vagrant { line: line.clone(), why, folder: root.to_path_buf() };
    for left in (0..LOCK_TRIES).rev() {
        let output = Command::new("vagrant")
            .args(arguments)
            .current_dir(root)
            .env("VAGRANT_CHECKPOINT_DISABLE", "1")
            // Whoever calls here applies what is to be applied, when it is time.
            .env("SKEP_APPLY", "no")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        if left == 0 || !said.contains("because it is locked") {
            let mut lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            lines.drain(..lines.len().saturating_sub(4));
            return Err(failed(lines.join(" ")));
        }
        std::thread::sleep(std::time::Duration::from_millis(LOCK_PAUSE));
    }
    Ok(())
}

/// The provider that a machine was made with, so that it is made with the same again.
pub(super) fn provider(root: &Path, machine: &str) -> Option<String> {
    let dotfiles = std::env::var_os("VAGRANT_DOTFILE_PATH").unwrap_or_else(|| ".vagrant".into());
    let folder = root.join(dotfiles).join("machines").join(machine);
    let mut providers = std::fs::read_dir(folder).ok()?.flatten().filter(|entry| entry.path().join("id").is_file());
    providers.next()?.file_name().into_string().ok()
}
