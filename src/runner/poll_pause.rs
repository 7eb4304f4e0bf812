//! Pauses between readings of a state that is about to change: short at first, then longer, so that
//! a quick change is seen at once and a slow one costs few readings.

use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_millis(20);

/// Pauses that double up to a limit.
pub(super) struct PollPause {
    next: Duration,
    longest: Duration,
}

impl PollPause {
    /// Returns pauses of 20 ms and more, up to `longest`.
    pub(super) fn up_to(longest: Duration) -> Self {
        Self {
            next: FIRST.min(longest),
            longest,
        }
    }

    /// Returns the next pause.
    pub(super) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit() {
        let mut pause = PollPause::up_to(Duration::from_millis(100));
        let seen: Vec<u128> = (0..5).map(|_| pause.next().as_millis()).collect();
        assert_eq!(seen, [20, 40, 80, 100, 100]);
        assert_eq!(
            PollPause::up_to(Duration::from_millis(5))
                .next()
                .as_millis(),
            5
        );
    }
}
