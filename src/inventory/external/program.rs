//! Runs the programs that hold other inventories: `vagrant`, `terraform`, `ansible-inventory`, an executable that prints
//! JSON. Each only reads. It gets no standard input, a limit of time, and what it says is kept.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::ExternalInventoryError;

/// How long a program may take. Vagrant needs about a second; a machine under load, more.
const TIME_LIMIT: Duration = Duration::from_secs(180);
/// Most that is read of what a program prints, in bytes.
const OUTPUT_LIMIT: u64 = 8 * 1024 * 1024;

/// What a finished program printed.
#[derive(Debug)]
pub(super) struct ProgramOutput {
    pub(super) success: bool,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// Runs a program in a folder to its end.
///
/// `install` says how it is had, for when it is missing.
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
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
        .env("VAGRANT_CHECKPOINT_DISABLE", "1")
        .env("VAGRANT_NO_COLOR", "1")
        .env("TF_IN_AUTOMATION", "1");
    // Without it Ansible warns of a file that it cannot read, and goes on with no hosts.
    command
        .env("ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED", "True")
        .env("ANSIBLE_NOCOLOR", "1");
    // A group of its own: what it starts ends with it when it takes too long.
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
        ExternalInventoryError::new(format!(
            "`{line}` did not end within {limit} and was stopped"
        ))
        .hint("run it by hand, and look what it waits for")
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

/// The last line that says something, for an error's sentence.
pub(super) fn last_line(text: &str) -> &str {
    text.lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty())
        .unwrap_or("it says nothing")
}

fn reader(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.by_ref().take(OUTPUT_LIMIT).read_to_end(&mut bytes);
            // What is beyond the limit is read and dropped: a full pipe would hold the program up for ever.
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
                // Its children too; `kill` fails only when all have just ended.
                let group = format!("-{}", child.id());
                let _ = Command::new("kill")
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
    fn what_it_says_is_kept() {
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
    fn a_missing_program_and_a_missing_folder_are_told_apart() {
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
    fn what_takes_too_long_is_stopped() {
        let mut child = Command::new("sleep")
            .arg("60")
            .process_group(0)
            .spawn()
            .unwrap();
        assert_eq!(wait(&mut child, Duration::from_millis(20)), None);
    }
}
