//! Intervals between checks that a calendar can express. systemd catches up on a missed run
//! (`Persistent=`) for calendar times only, and cron has no other times; therefore an interval must
//! divide an hour or a day, or be a day or a week.

use std::time::Duration;

/// Time between two checks: whole minutes that divide an hour, whole hours that divide a day, a
/// day, or a week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    minutes: u64,
}

/// A duration that is no valid interval.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is not a possible interval; use 1, 2, 3, 4, 5, 6, 10, 12, 15, 20 or 30 minutes, 1, 2, 3, 4, 6, 8 or 12 hours, 1 day or 1 week",
    humantime::format_duration(*.0)
)]
pub struct IntervalError(Duration);

const HOUR: u64 = 60;
const DAY: u64 = 24 * HOUR;
const WEEK: u64 = 7 * DAY;

impl Interval {
    /// Creates an interval of this length.
    ///
    /// # Errors
    /// [`IntervalError`] with all valid lengths.
    pub fn new(every: Duration) -> Result<Self, IntervalError> {
        let minutes = every.as_secs() / 60;
        let whole = Duration::from_secs(minutes * 60) == every && minutes > 0;
        let divides = (minutes < HOUR && HOUR.is_multiple_of(minutes))
            || (minutes < DAY && minutes.is_multiple_of(HOUR) && DAY.is_multiple_of(minutes))
            || minutes == DAY
            || minutes == WEEK;
        if whole && divides {
            Ok(Self { minutes })
        } else {
            Err(IntervalError(every))
        }
    }

    /// Returns the length.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.minutes * 60)
    }

    /// Returns the value for `OnCalendar=` of systemd.time(7).
    #[must_use]
    pub fn calendar(self) -> String {
        match self.minutes {
            WEEK => "Mon *-*-* 00:00:00".into(),
            DAY => "*-*-* 00:00:00".into(),
            HOUR => "*-*-* *:00:00".into(),
            minutes if minutes > HOUR => format!("*-*-* 00/{}:00:00", minutes / HOUR),
            minutes => format!("*-*-* *:00/{minutes}:00"),
        }
    }

    /// Returns the first five fields of a crontab(5) line.
    #[must_use]
    pub fn crontab(self) -> String {
        match self.minutes {
            WEEK => "0 0 * * 1".into(),
            DAY => "0 0 * * *".into(),
            HOUR => "0 * * * *".into(),
            minutes if minutes > HOUR => format!("0 */{} * * *", minutes / HOUR),
            1 => "* * * * *".into(),
            minutes => format!("*/{minutes} * * * *"),
        }
    }
}
