//! `skep schedule`: installs a systemd service and timer that run `check`, or prints their text for
//! other installers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

use super::GlobalArgs;
use super::check::CheckArgs;
use super::exit_code::ExitStatus;
use super::selection::{RunSelection, reject};
use crate::diagnostic::{is_secret_key, touches_secret};
use crate::inventory::is_asked_of_a_program;
use crate::report::Screen;
use crate::schedule::systemd::{self, ScheduleStatus};
use crate::schedule::{Interval, Schedule, UnitName, cron, service, timer};

/// Run `check` by a timer of this machine.
#[derive(Args)]
pub(super) struct ScheduleArgs {
    #[command(subcommand)]
    verb: ScheduleCommand,
}

#[derive(Subcommand)]
enum ScheduleCommand {
    /// Write a hardened service and its timer, and start the timer
    Install(Box<InstallArgs>),
    /// Show the last and the next check
    Show {
        /// Show only this schedule
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// Stop the timer and remove both units
    Remove {
        /// Name of the schedule
        #[arg(long, default_value = DEFAULT_NAME, value_name = "NAME")]
        name: String,
    },
}

const DEFAULT_NAME: &str = "skep-check";

/// Longest delay over which checks are spread by default.
const DEFAULT_DELAY: Duration = Duration::from_secs(120);

#[derive(Args)]
struct InstallArgs {
    #[command(flatten)]
    selection: RunSelection,
    /// Time between two checks: 15m, 1h, 1day
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    every: Duration,
    /// Spread the checks of many machines over this time [default: 2m, at most a fifth of --every]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    randomized_delay: Option<Duration>,
    /// Abort a check that takes longer
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Account that runs the check, with its keys [default: the account that called sudo, or the
    /// caller]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Name of the units
    #[arg(long, default_value = DEFAULT_NAME, value_name = "NAME")]
    name: String,
    /// Folder that the check may write to, for reports and metrics; may be repeated
    #[arg(long, value_name = "FOLDER")]
    writable: Vec<PathBuf>,
    /// Report drift (exit code 3) as success of the unit; without this, drift fails the unit
    #[arg(long)]
    drift_is_success: bool,
    /// Only print the units and a line for cron
    #[arg(long)]
    print: bool,
    /// More flags for `check`, after `--`
    #[arg(last = true, value_name = "CHECK FLAGS")]
    more: Vec<String>,
}

/// Runs the verb.
///
/// # Errors
/// Fails on configuration errors, and if the machine or systemd refuses.
pub(super) fn run(common: &GlobalArgs, args: &ScheduleArgs) -> anyhow::Result<ExitStatus> {
    let screen = common.screen();
    match &args.verb {
        ScheduleCommand::Install(args) => install(&screen, args)?,
        ScheduleCommand::Show { name } => {
            let names = match name {
                Some(name) => vec![UnitName::new(name)?],
                None => systemd::names()?,
            };
            if names.is_empty() {
                screen.note(
                    "no schedule is installed; install one with `skep schedule install --every 15m ...`",
                );
            }
            for name in names {
                screen.result(&status_text(&systemd::status(&name)?));
            }
        }
        ScheduleCommand::Remove { name } => {
            need_root()?;
            for path in systemd::remove(&UnitName::new(name)?)? {
                screen.result(&format!("removed {}\n", path.display()));
            }
        }
    }
    Ok(ExitStatus::Fine)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn need_root() -> anyhow::Result<()> {
    anyhow::ensure!(
        is_root(),
        "only root can write and remove units; run with sudo, or use `--print` to show them"
    );
    Ok(())
}

fn install(screen: &Screen, args: &InstallArgs) -> anyhow::Result<()> {
    let schedule = schedule(screen, args)?;
    // Files that cannot be loaded now would fail every scheduled check, too.
    args.selection.prepare(screen)?;
    if args.print {
        let [service_path, timer_path] = systemd::paths(&schedule.name);
        screen.result(&format!(
            "# {}\n{}\n# {}\n{}\n# or, without systemd: /etc/cron.d/{}\n# {}",
            service_path.display(),
            service(&schedule),
            timer_path.display(),
            timer(&schedule),
            schedule.name.as_str(),
            cron(&schedule)
        ));
        return Ok(());
    }
    need_root()?;
    for path in systemd::install(&schedule)? {
        screen.result(&format!("wrote {}\n", path.display()));
    }
    screen.result(&status_text(&systemd::status(&schedule.name)?));
    Ok(())
}

fn schedule(screen: &Screen, args: &InstallArgs) -> anyhow::Result<Schedule> {
    let every = Interval::new(args.every).context("--every")?;
    let delay = args
        .randomized_delay
        .unwrap_or_else(|| DEFAULT_DELAY.min(every.duration() / 5));
    anyhow::ensure!(
        delay < every.duration(),
        "--randomized-delay must be shorter than --every"
    );
    anyhow::ensure!(
        args.timeout >= Duration::from_secs(1),
        "--timeout must be at least one second"
    );
    let user = match &args.user {
        Some(user) => user.clone(),
        None => ["SUDO_USER", "USER", "LOGNAME"]
            .iter()
            .find_map(|name| std::env::var(name).ok())
            .or_else(|| is_root().then(|| "root".to_owned()))
            .context("the account that runs the check is unknown; name it with --user")?,
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    anyhow::ensure!(
        !user.is_empty() && user.bytes().all(allowed),
        "`{user}` is not the name of an account"
    );
    let writable = args
        .writable
        .iter()
        .map(|path| absolute(path))
        .collect::<anyhow::Result<Vec<_>>>()?;
    for folder in &writable {
        anyhow::ensure!(
            folder.is_dir(),
            "{} is not a folder, and systemd would not start the check",
            folder.display()
        );
    }
    Ok(Schedule {
        name: UnitName::new(&args.name)?,
        every,
        randomized_delay: delay,
        user,
        timeout: args.timeout,
        drift_is_success: args.drift_is_success,
        writable,
        program: std::env::current_exe().context("cannot determine the path of skep")?,
        folder: std::env::current_dir().context("cannot determine the current folder")?,
        arguments: arguments(screen, args)?,
    })
}

/// Returns the check's whole command line: with absolute paths, and otherwise unchanged.
fn arguments(screen: &Screen, args: &InstallArgs) -> anyhow::Result<Vec<String>> {
    let selection = &args.selection;
    let request = selection
        .inventory
        .request()
        .map_err(|errors| reject(&errors, screen))?;
    let mut words: Vec<String> = vec!["check".into(), "--single".into()];
    let mut pair = |flag: &str, value: String| words.extend([flag.to_owned(), value]);
    for path in &request.paths {
        pair("--inventory", text(&readable(path)?)?);
    }
    for pattern in &selection.inventory.limit {
        pair("--limit", pattern.clone());
    }
    for extra in &selection.inventory.extra_vars {
        let value = match extra.strip_prefix('@') {
            Some(path) => format!("@{}", text(&readable(Path::new(path))?)?),
            None => extra.clone(),
        };
        pair("--extra-vars", value);
    }
    if let Some(forks) = selection.inventory.forks {
        pair("--forks", forks.to_string());
    }
    for (flag, tags) in [
        ("--tags", &selection.tags),
        ("--skip-tags", &selection.skip_tags),
    ] {
        if !tags.is_empty() {
            pair(flag, tags.join(","));
        }
    }
    words.extend(args.more.iter().cloned());
    for playbook in &selection.playbooks {
        words.push(text(&readable(playbook)?)?);
    }
    // An unknown flag would fail every scheduled check.
    let line = CheckLine::try_parse_from(&words).context("the flags for `check`, after `--`")?;
    for extra in &line.check.selection.inventory.extra_vars {
        refuse_secret(extra)?;
    }
    Ok(words)
}

/// Refuses a secret in the command line of a unit: every account of this machine can read the unit
/// and the list of processes.
fn refuse_secret(extra: &str) -> anyhow::Result<()> {
    let key = extra.split('=').next().unwrap_or_default();
    anyhow::ensure!(
        extra.starts_with('@') || !holds_secret(extra),
        "the value of `-e {key}` is a secret, and every account of this machine could read it in the unit and in the list of processes; \
         write it to a TOML file that only the account of --user can read (chmod 600), and give `-e @FILE`"
    );
    Ok(())
}

/// Returns true if a variable of the command line is named like a secret, contains such a name, or
/// is an address with a password.
fn holds_secret(extra: &str) -> bool {
    let with_password = |address: &str| {
        let authority = address.split(['/', '?', '#']).next().unwrap_or_default();
        authority
            .rsplit_once('@')
            .is_some_and(|(account, _)| account.contains(':'))
    };
    let key = extra.split('=').next().unwrap_or_default();
    is_secret_key(key)
        || touches_secret(extra, &(0..extra.len()))
        || extra.split("://").skip(1).any(with_password)
}

#[derive(Parser)]
#[command(name = "check", no_binary_name = false)]
struct CheckLine {
    #[command(flatten)]
    _common: GlobalArgs,
    #[command(flatten)]
    check: CheckArgs,
}

/// Returns an absolute path that is visible to the service, which has a /tmp of its own.
fn readable(path: &Path) -> anyhow::Result<PathBuf> {
    anyhow::ensure!(
        !is_asked_of_a_program(path),
        "{0} is read from a program each time, and a timer cannot rely on it; save it with `skep inventory -i {0} --toml` and name that file",
        path.display()
    );
    let path = absolute(path)?;
    let hidden = ["/tmp", "/var/tmp", "/dev"]
        .iter()
        .any(|folder| path.starts_with(folder));
    anyhow::ensure!(
        !hidden,
        "{} is not visible to the service, which has a /tmp of its own; move it",
        path.display()
    );
    Ok(path)
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    path.canonicalize()
        .with_context(|| path.display().to_string())
}

fn text(path: &Path) -> anyhow::Result<String> {
    path.to_str()
        .map(str::to_owned)
        .with_context(|| format!("{} is not UTF-8", path.display()))
}

fn status_text(standing: &ScheduleStatus) -> String {
    let or = |text: &str, other: &str| {
        if text.is_empty() {
            other.to_owned()
        } else {
            text.to_owned()
        }
    };
    let last = match standing.exit_code {
        Some(code) => format!("{}: exit code {code}, {}", standing.last, meaning(code)),
        None => or(&standing.last, "none yet"),
    };
    format!(
        "{}\n  timer  {}\n  next   {}\n  last   {last}\n  runs   {}\n",
        standing.name,
        standing.timer,
        or(&standing.next, "never"),
        standing.command
    )
}

fn meaning(code: u8) -> &'static str {
    match code {
        0 => "in sync",
        1 => "a host or a resource failed or could not be read",
        2 => "the configuration is invalid",
        3 => "drift",
        4 => "a host is unreachable",
        130 => "interrupted",
        _ => "not an exit code of skep",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_secret_is_refused_in_a_unit() {
        for secret in [
            "db_password=hunter2",
            "DB_PASSWORD=",
            "api-token=x",
            "db={ password = \"x\" }",
            "db={ user = \"u\", api_key = 'x' }",
            "proxy=http://user:hunter2@proxy:3128/",
            "list=[\"a\", \"https://u:p@h\"]",
        ] {
            let error = refuse_secret(secret).unwrap_err().to_string();
            assert!(
                error.contains("chmod 600") && !error.contains("hunter2"),
                "{error}"
            );
        }
        for plain in [
            "version=1.2",
            "registry=docker01:5000",
            "url=https://example.org/a@b:c",
            "mail=ann@example.org",
            "@secrets.toml",
            "@password.toml",
        ] {
            assert!(refuse_secret(plain).is_ok(), "{plain}");
        }
    }
}
