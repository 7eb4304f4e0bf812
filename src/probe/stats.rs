//! Counts of requests, some of which get no answer.

use std::time::{Duration, Instant};

/// Counts of the requests to one server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestStats {
    /// Requests sent.
    pub sent: u32,
    /// Requests without an answer.
    pub lost: u32,
    /// Longest time from a lost request to the next answered request; `None` if no request was
    /// lost, or none was answered afterwards.
    pub outage: Option<Duration>,
}

/// Requests to one server, as they are made.
#[derive(Debug, Default)]
pub(super) struct RequestLog {
    /// Counts so far.
    pub stats: RequestStats,
    /// Time of the first lost request since the last answer.
    silent_since: Option<Instant>,
}

impl RequestLog {
    /// Adds a request that was sent at a time.
    pub(super) fn add(&mut self, sent: Instant, answered: bool) {
        self.stats.sent += 1;
        if !answered {
            self.stats.lost += 1;
            self.silent_since.get_or_insert(sent);
            return;
        }
        if let Some(since) = self.silent_since.take() {
            let outage = sent.duration_since(since);
            self.stats.outage = Some(self.stats.outage.unwrap_or_default().max(outage));
        }
    }

    /// Returns the counts; an outage that has not ended counts up to this time.
    pub(super) fn stats_at(&self, end: Instant) -> RequestStats {
        let mut stats = self.stats.clone();
        if let Some(since) = self.silent_since {
            let outage = end.saturating_duration_since(since);
            stats.outage = Some(stats.outage.unwrap_or_default().max(outage));
        }
        stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_outage_is_kept() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut log = RequestLog::default();
        let requests = [
            (0, true),
            (1, false),
            (2, false),
            (4, true),
            (5, false),
            (6, true),
        ];
        for (seconds, answered) in requests {
            log.add(at(seconds), answered);
        }
        let mut expected = RequestStats {
            sent: 6,
            lost: 3,
            outage: Some(Duration::from_secs(3)),
        };
        assert_eq!(log.stats, expected);
        log.add(at(7), false);
        (expected.sent, expected.lost) = (7, 4);
        assert_eq!(log.stats, expected);
        expected.outage = Some(Duration::from_secs(13));
        assert_eq!(log.stats_at(at(20)), expected);
    }
}
