//! Runs the programs that provide inventories: `vagrant`, `terraform`, `ansible-inventory`, or an
//! executable that prints JSON. Each program only reads. It gets no standard input and a time
//! limit, and its output is captured.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::ExternalInventoryError;
use crate::base::child_command;

/// Time limit for a program. Vagrant needs about a second, and longer on a machine under load.
const TIME_LIMIT: Duration = Duration::from_secs(180);
/// Most bytes of output that are kept, per stream (8 MiB).
const OUTPUT_LIMIT: u64 = 8 * 1024 * 1024;

/// Result and output of a finished program.
#[derive(Debug)]
pub(super) struct ProgramOutput {
    pub(super) success: bool,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// Runs a program in a folder and waits until it ends.
///
/// `install` is the hint for the case that the program is not installed.
pub(super) fn run(
    program: &OsStr,
    arguments: &[&str],
    folder: &Path,
    install: &str,
) -> Result<ProgramOutput, ExternalInventoryError> {
    let name = Path::new(program)
        .file_name()
        .unwrap_or(program)
        .to_string_lossy()
        .into_owned();
    let line = [&[name.as_str()], arguments].concat().join(" ");
    let mut command = child_command(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
        .env("VAGRANT_CHECKPOINT_DISABLE", "1")
        .env("VAGRANT_NO_COLOR", "1")
        .env("TF_IN_AUTOMATION", "1");
    // Without this variable, Ansible only warns about a file that it cannot read and continues
    // without hosts.
    command
        .env("ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED", "True")
        .env("ANSIBLE_NOCOLOR", "1");
    // A process group of its own, so that its children can be terminated with it on a timeout.
    command.process_group(0);
    if !folder.as_os_str().is_empty() {
        command.current_dir(folder);
    }
    let mut child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            ExternalInventoryError::new(format!("there is no folder {}", folder.display()))
        }
        std::io::ErrorKind::NotFound => {
            ExternalInventoryError::not_installed(&line, &name).hint(install)
        }
        _ => ExternalInventoryError::new(format!("`{line}` cannot be run: {error}")),
    })?;
    let readers = (reader(child.stdout.take()), reader(child.stderr.take()));
    let success = wait(&mut child, TIME_LIMIT).ok_or_else(|| {
        let limit = humantime::format_duration(TIME_LIMIT);
        ExternalInventoryError::new(format!("`{line}` timed out after {limit}"))
            .hint("run it by hand to see what it waits for")
    })?;
    let text = |reader: std::thread::JoinHandle<Vec<u8>>| {
        String::from_utf8_lossy(&reader.join().unwrap_or_default()).into_owned()
    };
    Ok(ProgramOutput {
        success,
        stdout: text(readers.0),
        stderr: text(readers.1),
    })
}

/// Returns the last line that is not empty, for an error message.
pub(super) fn last_line(text: &str) -> &str {
    text.lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty())
        .unwrap_or("no error message")
}

fn reader(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.by_ref().take(OUTPUT_LIMIT).read_to_end(&mut bytes);
            // Output beyond the limit is read and discarded: a full pipe would block the program
            // forever.
            let _ = std::io::copy(&mut pipe, &mut std::io::sink());
        }
        bytes
    })
}

fn wait(child: &mut Child, limit: Duration) -> Option<bool> {
    let started = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status.success()),
            Ok(None) if started.elapsed() < limit => std::thread::sleep(Duration::from_millis(10)),
            _ => {
                // Kills the children too. `kill` fails only if all processes have just ended.
                let group = format!("-{}", child.id());
                let _ = child_command("kill")
                    .args(["-KILL", "--", &group])
                    .stderr(Stdio::null())
                    .status();
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn status_and_output_are_captured() {
        let said = run(
            OsStr::new("sh"),
            &["-c", "echo out; echo err >&2; exit 3"],
            Path::new("/"),
            "",
        )
        .unwrap();
        assert_eq!(
            (said.success, said.stdout.as_str(), said.stderr.as_str()),
            (false, "out\n", "err\n")
        );
        assert_eq!(last_line("a\n b \n\n"), "b");
    }

    #[test]
    fn a_missing_program_and_a_missing_folder_have_different_errors() {
        let error = run(
            OsStr::new("skep-no-such"),
            &["x"],
            Path::new("/"),
            "install it",
        )
        .unwrap_err();
        assert_eq!(
            error.why,
            "`skep-no-such x` cannot be run: skep-no-such is not installed"
        );
        assert_eq!(error.hint.as_deref(), Some("install it"));
        assert!(error.not_installed);
        let error = run(OsStr::new("sh"), &[], Path::new("/no/such"), "").unwrap_err();
        assert_eq!(error.why, "there is no folder /no/such");
        assert!(!error.not_installed);
    }

    #[test]
    fn a_program_is_killed_after_its_time_limit() {
        let mut child = child_command("sleep")
            .arg("60")
            .process_group(0)
            .spawn()
            .unwrap();
        assert_eq!(wait(&mut child, Duration::from_millis(20)), None);
    }
}
