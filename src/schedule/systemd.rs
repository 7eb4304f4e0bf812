//! Writes, shows and removes the two units of a schedule, and controls systemd. No other part of
//! `schedule` starts a process, and this one starts only `systemctl`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::{MARK, Schedule, UnitName, service, timer};
use crate::base::{child_command, write_whole_file};

/// Folder of an administrator's units.
pub const FOLDER: &str = "/etc/systemd/system";

/// Errors of installing, reading and removing a schedule.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// A file could not be read, written or removed.
    #[error("cannot {what} {}: {error}", path.display())]
    File {
        /// Verb of the operation.
        what: &'static str,
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        error: std::io::Error,
    },
    /// The file was not written by skep.
    #[error("{} was not written by `skep schedule`; choose another --name", .0.display())]
    Foreign(PathBuf),
    /// There is no such schedule.
    #[error("there is no schedule `{0}`; `skep schedule show` lists the existing ones")]
    Missing(String),
    /// `systemctl` cannot be started.
    #[error("cannot run systemctl ({0}); without systemd, `--print` gives a line for cron")]
    NoSystemd(std::io::Error),
    /// `systemctl` failed.
    #[error("`systemctl {command}` failed: {said}")]
    Refused {
        /// Arguments of `systemctl`.
        command: String,
        /// Output of `systemctl` on stderr.
        said: String,
    },
}

/// State of a schedule according to systemd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleStatus {
    /// Name of the unit.
    pub name: String,
    /// State of the timer: `active` if it is armed.
    pub timer: String,
    /// Time of the next check; empty if there is none.
    pub next: String,
    /// End of the last check; empty if there was none.
    pub last: String,
    /// Exit code of the last check; `None` if there was none, or while it runs.
    pub exit_code: Option<u8>,
    /// Command line of the service.
    pub command: String,
}

/// Writes both units and arms the timer.
///
/// # Errors
/// [`ScheduleError`]; files that are not skep's are left as they are.
pub fn install(schedule: &Schedule) -> Result<[PathBuf; 2], ScheduleError> {
    let paths = paths(&schedule.name);
    for path in &paths {
        own(path)?;
    }
    // Before any write: a machine without systemd is left as it is.
    systemctl(&["--version"])?;
    write(&paths[0], &service(schedule))?;
    write(&paths[1], &timer(schedule))?;
    systemctl(&["daemon-reload"])?;
    systemctl(&[
        "enable",
        "--quiet",
        &format!("{}.timer", schedule.name.as_str()),
    ])?;
    // A running timer keeps its old times until it is restarted.
    systemctl(&["restart", &format!("{}.timer", schedule.name.as_str())])?;
    Ok(paths)
}

/// Disarms the timer and removes both units. A running check may finish, and the state folder is
/// kept.
///
/// # Errors
/// [`ScheduleError`]; files that are not skep's are left as they are.
pub fn remove(name: &UnitName) -> Result<[PathBuf; 2], ScheduleError> {
    let paths = paths(name);
    if !paths.iter().any(|path| path.exists()) {
        return Err(ScheduleError::Missing(name.as_str().into()));
    }
    for path in &paths {
        own(path)?;
    }
    if paths[1].exists() {
        systemctl(&[
            "disable",
            "--quiet",
            "--now",
            &format!("{}.timer", name.as_str()),
        ])?;
    }
    for path in paths.iter().filter(|path| path.exists()) {
        fs::remove_file(path).map_err(|error| ScheduleError::File {
            what: "remove",
            path: path.clone(),
            error,
        })?;
    }
    systemctl(&["daemon-reload"])?;
    Ok(paths)
}

/// Returns the names of all schedules of this machine.
///
/// # Errors
/// If the folder of units cannot be read.
pub fn names() -> Result<Vec<UnitName>, ScheduleError> {
    let folder = Path::new(FOLDER);
    let entries = fs::read_dir(folder).map_err(|error| ScheduleError::File {
        what: "read",
        path: folder.into(),
        error,
    })?;
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "timer")
                && own(path).is_ok()
        })
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names
        .iter()
        .filter_map(|name| UnitName::new(name).ok())
        .collect())
}

/// Returns the state of a schedule.
///
/// # Errors
/// If there is no schedule of this name, or systemd does not answer.
pub fn status(name: &UnitName) -> Result<ScheduleStatus, ScheduleError> {
    if !paths(name)[1].exists() {
        return Err(ScheduleError::Missing(name.as_str().into()));
    }
    let unit = |kind: &str| format!("{}.{kind}", name.as_str());
    let of_timer = systemctl(&[
        "show",
        "--property=ActiveState,NextElapseUSecRealtime",
        &unit("timer"),
    ])?;
    let wanted = "--property=ExecMainStatus,ExecMainExitTimestamp,ActiveState,ExecMainCode";
    let of_service = systemctl(&["show", wanted, &unit("service")])?;
    let text = fs::read_to_string(&paths(name)[0]).unwrap_or_default();
    let last = property(&of_service, "ExecMainExitTimestamp");
    // 1 is CLD_EXITED of waitid(2): any other value is a signal or a check that has not ended.
    let ended = property(&of_service, "ExecMainCode") == "1" && !last.is_empty();
    Ok(ScheduleStatus {
        name: name.as_str().into(),
        timer: property(&of_timer, "ActiveState"),
        next: property(&of_timer, "NextElapseUSecRealtime"),
        exit_code: if ended {
            property(&of_service, "ExecMainStatus").parse().ok()
        } else {
            None
        },
        last,
        command: property(&text, "ExecStart"),
    })
}

/// Returns the value of `KEY=value` in the output of `systemctl show` or in a unit file.
fn property(text: &str, key: &str) -> String {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .filter(|value| *value != "n/a")
        .unwrap_or_default()
        .into()
}

/// Returns the paths of the service's file and of the timer's file.
#[must_use]
pub fn paths(name: &UnitName) -> [PathBuf; 2] {
    ["service", "timer"].map(|kind| Path::new(FOLDER).join(format!("{}.{kind}", name.as_str())))
}

/// Checks that the file was written by skep or does not exist.
fn own(path: &Path) -> Result<(), ScheduleError> {
    match fs::read_to_string(path) {
        Ok(text) if text.starts_with(MARK) => Ok(()),
        Ok(_) => Err(ScheduleError::Foreign(path.into())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(ScheduleError::File {
            what: "read",
            path: path.into(),
            error,
        }),
    }
}

fn write(path: &Path, text: &str) -> Result<(), ScheduleError> {
    write_whole_file(path, text.as_bytes(), 0o644).map_err(|error| ScheduleError::File {
        what: "write",
        path: path.into(),
        error,
    })
}

fn systemctl(arguments: &[&str]) -> Result<String, ScheduleError> {
    let output = child_command("systemctl")
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(ScheduleError::NoSystemd)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(ScheduleError::Refused {
        command: arguments.join(" "),
        said,
    })
}
