//! The limit of time of a login, which does not run while the user is asked something.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Nobody thinks longer than that about a password; servers wait two minutes.
const LONGEST_THOUGHT: Duration = Duration::from_secs(600);

/// A deadline that can be moved. Clones share it.
#[derive(Debug, Clone)]
pub struct LoginDeadline(Arc<Mutex<DeadlineState>>);

#[derive(Debug)]
struct DeadlineState {
    deadline: Instant,
    /// Who on this side is waited for: neither the host nor the user.
    helper: Option<String>,
}

impl LoginDeadline {
    /// Until then.
    pub fn until(deadline: Instant) -> Self {
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

    /// Does something that a program on this side must answer. That time counts, and when it is over, the program is to blame.
    pub async fn while_waiting_for<T>(&self, helper: String, work: impl Future<Output = T>) -> T {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).helper = Some(helper);
        let answer = work.await;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).helper = None;
        answer
    }

    /// Who on this side did not answer in time.
    pub fn helper(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .helper
            .clone()
    }

    /// Does something for which the user is waited for; that time does not count.
    pub async fn while_prompting<T>(&self, asking: impl Future<Output = T>) -> T {
        let left = self.deadline().saturating_duration_since(Instant::now());
        self.set(Instant::now() + LONGEST_THOUGHT);
        let answer = asking.await;
        self.set(Instant::now() + left);
        answer
    }

    /// Gives up when the time is over; `None` then.
    pub async fn limit<T>(&self, work: impl Future<Output = T>) -> Option<T> {
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
