//! The last reports of a check, kept as numbered files in the state folder. Whatever lies there is read with suspicion: a file that is no
//! report of this version is passed over.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::whole_file::{WriteError, write_whole};
use crate::drift::report::{ReportField, ReportValue};
use crate::drift::{CheckReport, REPORT_SCHEMA};
use crate::model::sha256;

/// Longest value that is kept, in bytes: the history tells when things drifted, not every line of it.
const LONGEST_VALUE: usize = 2048;

/// The reports of one check: the same inventory, playbooks, hosts and tags.
#[derive(Debug, Clone)]
pub struct ReportHistory {
    folder: PathBuf,
}

/// The state folder: `$XDG_STATE_HOME/skep`, else `~/.local/state/skep`; `None` when neither variable is an absolute path.
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
    /// The history of a check that is known by these words.
    #[must_use]
    pub fn of(state: &Path, check: &[String]) -> Self {
        // A word cannot run into the next: none of them holds a NUL.
        let key: String = sha256(check.join("\0").as_bytes())
            .chars()
            .take(16)
            .collect();
        Self {
            folder: state.join("history").join(key),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Every readable report, newest first, read one by one as they are asked for.
    pub fn newest_first(&self) -> impl Iterator<Item = CheckReport> {
        let mut numbers = self.numbers();
        numbers.reverse();
        let folder = self.folder.clone();
        numbers
            .into_iter()
            .filter_map(move |number| read(&file(&folder, number)))
    }

    /// Keeps a report, and of all of them the newest `most`. Files are numbered, so that a clock that jumps changes no order.
    ///
    /// # Errors
    /// [`WriteError`] when it cannot be kept.
    pub fn keep(&self, report: &CheckReport, most: usize) -> Result<(), WriteError> {
        let _lock = self.lock()?;
        let numbers = self.numbers();
        let next = numbers.last().map_or(1, |last| last + 1);
        let text = serde_json::to_vec(&shortened(report.clone())).unwrap_or_default();
        write_whole(&file(&self.folder, next), &text, 0o600)?;
        for number in numbers.iter().rev().skip(most.saturating_sub(1)) {
            // One that is gone already was pruned by another run.
            let _ = std::fs::remove_file(file(&self.folder, *number));
        }
        Ok(())
    }

    /// Removes reports that are older than this; says how many. A report from the future is kept.
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

    /// Whether this state was told by `--notify` the last time.
    #[must_use]
    pub fn was_notified(&self, fingerprint: &str) -> bool {
        self.last_notified()
            .is_some_and(|told| told.trim() == fingerprint)
    }

    /// Whether anything was ever told.
    #[must_use]
    pub fn last_notified(&self) -> Option<String> {
        std::fs::read_to_string(self.folder.join("told")).ok()
    }

    /// Remembers what was told.
    ///
    /// # Errors
    /// [`WriteError`] when it cannot be remembered: it will be told again.
    pub fn record_notified(&self, fingerprint: &str) -> Result<(), WriteError> {
        self.make_folder()?;
        write_whole(&self.folder.join("told"), fingerprint.as_bytes(), 0o600)
    }

    /// Held while a number is chosen and written, so that two checks at once do not write over each other. The kernel's own: it ends
    /// with the process.
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
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .map_err(|why| WriteError {
                path: self.folder.clone(),
                why,
            })
    }

    /// Numbers of the kept reports, oldest first.
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
    fn the_newest_are_kept_whatever_the_clock_says() {
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
            "what is no report is passed over"
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
    fn reports_that_are_kept_at_once_are_all_kept() {
        let folder = tempfile::tempdir().unwrap();
        let history = ReportHistory::of(folder.path(), &["a".into()]);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    (0..5).for_each(|_| history.keep(&report(SystemTime::UNIX_EPOCH), 100).unwrap())
                });
            }
        });
        assert_eq!(history.newest_first().count(), 40);
    }

    #[test]
    fn a_clock_that_says_nonsense_breaks_nothing() {
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
