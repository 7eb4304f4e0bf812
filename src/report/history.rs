//! The last reports of a check, kept as numbered files in the state folder. Files there are not
//! trusted: a file that is not a report of this version is skipped.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::whole_file::{WriteError, write_whole};
use crate::drift::report::{ReportField, ReportValue};
use crate::drift::{CheckReport, REPORT_SCHEMA};
use crate::model::sha256;

/// Maximum length of a kept value in bytes: the history records when resources drifted, not every
/// line of the difference.
const LONGEST_VALUE: usize = 2048;

/// Reports of one check, i.e. of the same inventory, playbooks, hosts and tags.
#[derive(Debug, Clone)]
pub struct ReportHistory {
    folder: PathBuf,
}

/// Returns the state folder: `$XDG_STATE_HOME/skep`, or `~/.local/state/skep` if that variable is
/// not an absolute path; `None` if `$HOME` is not an absolute path either.
#[must_use]
pub fn state_folder() -> Option<PathBuf> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let state =
        absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join("skep"))
}

impl ReportHistory {
    /// Returns the history of the check that these words identify.
    #[must_use]
    pub fn of(state: &Path, check: &[String]) -> Self {
        // NUL separates the words unambiguously: no word contains it.
        let key: String = sha256(check.join("\0").as_bytes())
            .chars()
            .take(16)
            .collect();
        Self {
            folder: state.join("history").join(key),
        }
    }

    /// Folder of the reports.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns every readable report, newest first; each file is read only when the iterator
    /// reaches it.
    pub fn newest_first(&self) -> impl Iterator<Item = CheckReport> {
        let mut numbers = self.numbers();
        numbers.reverse();
        let folder = self.folder.clone();
        numbers
            .into_iter()
            .filter_map(move |number| read(&file(&folder, number)))
    }

    /// Keeps a report, and of all reports the newest `most`. Files are numbered, so a clock that
    /// jumps cannot change their order.
    ///
    /// # Errors
    /// [`WriteError`] when the report cannot be written.
    pub fn keep(&self, report: &CheckReport, most: usize) -> Result<(), WriteError> {
        let _lock = self.lock()?;
        let numbers = self.numbers();
        let next = numbers.last().map_or(1, |last| last + 1);
        let text = serde_json::to_vec(&shortened(report.clone())).unwrap_or_default();
        write_whole(&file(&self.folder, next), &text, 0o600)?;
        for number in numbers.iter().rev().skip(most.saturating_sub(1)) {
            // A file that no longer exists was pruned by another run.
            let _ = std::fs::remove_file(file(&self.folder, *number));
        }
        Ok(())
    }

    /// Removes reports older than `age` and returns their number. A report from the future is kept.
    pub fn prune(&self, age: Duration, now: SystemTime) -> usize {
        let old = |path: &PathBuf| {
            let started =
                read(path).and_then(|report| humantime::parse_rfc3339(&report.started).ok());
            started
                .is_some_and(|started| now.duration_since(started).is_ok_and(|since| since > age))
        };
        let files = self
            .numbers()
            .into_iter()
            .map(|number| file(&self.folder, number));
        files
            .filter(old)
            .filter(|path| std::fs::remove_file(path).is_ok())
            .count()
    }

    /// Returns true if the last `--notify` reported this state.
    #[must_use]
    pub fn was_notified(&self, fingerprint: &str) -> bool {
        self.last_notified()
            .is_some_and(|told| told.trim() == fingerprint)
    }

    /// Returns the fingerprint of the last `--notify`; `None` if there was none.
    #[must_use]
    pub fn last_notified(&self) -> Option<String> {
        std::fs::read_to_string(self.folder.join("told")).ok()
    }

    /// Records the fingerprint of a notification.
    ///
    /// # Errors
    /// [`WriteError`] when the file cannot be written: the next check notifies again.
    pub fn record_notified(&self, fingerprint: &str) -> Result<(), WriteError> {
        self.make_folder()?;
        write_whole(&self.folder.join("told"), fingerprint.as_bytes(), 0o600)
    }

    /// Takes the lock that is held while a number is chosen and its file written, so two checks at
    /// once do not overwrite each other. It is a lock of the kernel, which ends with the process.
    fn lock(&self) -> Result<std::fs::File, WriteError> {
        self.make_folder()?;
        let path = self.folder.join("lock");
        let take = || {
            let file = std::fs::OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)?;
            file.lock()?;
            Ok(file)
        };
        take().map_err(|why| WriteError {
            path: path.clone(),
            why,
        })
    }

    fn make_folder(&self) -> Result<(), WriteError> {
        use std::os::unix::fs::DirBuilderExt as _;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .map_err(|why| WriteError {
                path: self.folder.clone(),
                why,
            })
    }

    /// Returns the numbers of the kept reports, oldest first.
    fn numbers(&self) -> Vec<u64> {
        let entries = std::fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten();
        let mut numbers: Vec<u64> = entries
            .filter_map(|entry| {
                entry
                    .file_name()
                    .to_str()?
                    .strip_suffix(".json")?
                    .parse()
                    .ok()
            })
            .collect();
        numbers.sort_unstable();
        numbers
    }
}

fn file(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}.json"))
}

fn read(path: &Path) -> Option<CheckReport> {
    let report: CheckReport = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    (report.schema == REPORT_SCHEMA).then_some(report)
}

fn shortened(mut report: CheckReport) -> CheckReport {
    for host in &mut report.hosts {
        let ignored = host.ignored.iter_mut().map(|ignored| &mut ignored.drift);
        for ReportField { before, after, .. } in host
            .drift
            .iter_mut()
            .chain(ignored)
            .flat_map(|drift| &mut drift.fields)
        {
            for value in [before, after] {
                if let ReportValue::Lines(text) | ReportValue::Text(text) = value {
                    shorten(text);
                }
            }
        }
    }
    report
}

fn shorten(text: &mut String) {
    if text.len() > LONGEST_VALUE {
        let end = (0..=LONGEST_VALUE)
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        text.truncate(end);
        text.push_str("\n... (cut in the history)");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::drift::{CheckMetadata, FilteredRun, IgnoreRules, assemble};

    fn report(started: SystemTime) -> CheckReport {
        let rules = IgnoreRules::default();
        let (inventory, playbooks) = (Vec::new(), Vec::new());
        assemble(
            &FilteredRun::default(),
            &CheckMetadata {
                started,
                inventory,
                playbooks,
                exit_code: 0,
                rules: &rules,
                cluster: None,
            },
        )
    }

    #[test]
    fn newest_reports_are_kept_regardless_of_the_clock() {
        let folder = tempfile::tempdir().unwrap();
        let history = ReportHistory::of(folder.path(), &["a".into()]);
        assert_eq!(history.newest_first().count(), 0);
        let days = [5_u64, 1, 9, 2];
        for day in days {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(day * 86_400);
            history.keep(&report(at), 3).unwrap();
        }
        let started: Vec<String> = history
            .newest_first()
            .map(|report| report.started[8..10].to_owned())
            .collect();
        assert_eq!(
            started,
            ["03", "10", "02"],
            "in the order of the checks, not of their clocks"
        );
        std::fs::write(history.folder().join("00000009.json"), "{ half").unwrap();
        assert_eq!(
            history.newest_first().count(),
            3,
            "a file that is not a report is skipped"
        );
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(4 * 86_400);
        assert_eq!(
            history.prune(Duration::from_secs(2 * 86_400), now),
            1,
            "one is old, one is from the future"
        );
        assert_eq!(
            ReportHistory::of(folder.path(), &["b".into()])
                .newest_first()
                .count(),
            0
        );
    }

    #[test]
    fn concurrent_checks_keep_every_report() {
        let folder = tempfile::tempdir().unwrap();
        let history = ReportHistory::of(folder.path(), &["a".into()]);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    (0..5)
                        .for_each(|_| history.keep(&report(SystemTime::UNIX_EPOCH), 100).unwrap());
                });
            }
        });
        assert_eq!(history.newest_first().count(), 40);
    }

    #[test]
    fn time_outside_the_calendar_is_shown_as_1970() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(86_400);
        let far = SystemTime::UNIX_EPOCH + Duration::from_secs(300_000_000_000);
        for clock in [before, far] {
            assert_eq!(report(clock).started, "1970-01-01T00:00:00Z");
        }
    }

    #[test]
    fn long_values_are_cut_at_a_character() {
        let mut text = "ü".repeat(LONGEST_VALUE);
        shorten(&mut text);
        assert!(text.len() < LONGEST_VALUE + 40 && text.ends_with("(cut in the history)"));
    }
}
