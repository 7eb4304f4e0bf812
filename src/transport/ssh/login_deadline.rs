//! Time limit of a login. The time of prompts to the user does not count.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Time limit of a prompt to the user; servers wait two minutes for a login.
const LONGEST_THOUGHT: Duration = Duration::from_secs(600);

/// A deadline that can be moved. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct LoginDeadline(Arc<Mutex<DeadlineState>>);

#[derive(Debug)]
struct DeadlineState {
    deadline: Instant,
    /// Program on this machine that the login waits for; never the host or the user.
    helper: Option<String>,
}

impl LoginDeadline {
    /// Returns a deadline at the given time.
    pub(super) fn until(deadline: Instant) -> Self {
        Self(Arc::new(Mutex::new(DeadlineState {
            deadline,
            helper: None,
        })))
    }

    fn deadline(&self) -> Instant {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .deadline
    }

    fn set(&self, deadline: Instant) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .deadline = deadline;
    }

    /// Runs work that waits for a program on this machine. Its time counts, and if the deadline
    /// passes, the error names the program.
    pub(super) async fn while_waiting_for<T>(
        &self,
        helper: String,
        work: impl Future<Output = T>,
    ) -> T {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).helper = Some(helper);
        let answer = work.await;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).helper = None;
        answer
    }

    /// Returns the program on this machine that the login waits for.
    pub(super) fn helper(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .helper
            .clone()
    }

    /// Runs work that waits for the user; its time does not count.
    pub(super) async fn while_prompting<T>(&self, asking: impl Future<Output = T>) -> T {
        let left = self.deadline().saturating_duration_since(Instant::now());
        self.set(Instant::now() + LONGEST_THOUGHT);
        let answer = asking.await;
        self.set(Instant::now() + left);
        answer
    }

    /// Runs work until the deadline; returns `None` if the deadline passes first.
    pub(super) async fn limit<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let over = async {
            loop {
                let deadline = self.deadline();
                if Instant::now() >= deadline {
                    return;
                }
                sleep_until(deadline.min(Instant::now() + Duration::from_millis(200))).await;
            }
        };
        tokio::select! {
            result = work => Some(result),
            () = over => None,
        }
    }
}
