//! Logins that are under way at one sshd. It drops connections when too many of them are not logged in yet (`MaxStartups` of
//! `sshd_config(5)`); what it takes is learned from those that it drops: no more knock at once than it did not drop, and after some
//! rounds of logins that went well one more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::inventory::{SshProxy, SshTarget};

/// How often as many as are let in must go well before one more is. A server that drops one costs it a pause and a new attempt.
const ROUNDS: usize = 3;

/// The servers of a run, by the limit that leads to them. Cheap to clone; clones share what is learned.
#[derive(Debug, Clone, Default)]
pub struct LoginLimiter(Arc<Mutex<HashMap<String, Arc<ServerLimit>>>>);

#[derive(Debug)]
struct ServerLimit {
    state: Mutex<LimitState>,
    released: Notify,
}

#[derive(Debug)]
struct LimitState {
    in_progress: usize,
    /// How many may be under way at once; without a limit until one was dropped.
    most: usize,
    /// Logins that went well since the limit was last moved.
    well: usize,
}

/// A login that is under way; over with the value.
#[derive(Debug)]
pub struct LoginPermit(Arc<ServerLimit>);

/// What a target's login passes that may be too busy: its sshd, or the program that many targets name as their way, such as
/// `ssh -W %h:%p bastion`, where it is the bastion's.
pub fn server_key(target: &SshTarget) -> String {
    match &target.ssh.proxy {
        SshProxy::Command(command) => format!("by {command}"),
        SshProxy::Jump(hops) => format!("{}:{} behind {hops}", target.address, target.port),
        SshProxy::Direct => format!("{}:{}", target.address, target.port),
    }
}

impl LoginLimiter {
    /// Waits until one more login may begin there.
    pub async fn acquire(&self, limit: String) -> LoginPermit {
        let limit = {
            let mut doors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(
                doors
                    .entry(limit)
                    .or_insert_with(|| Arc::new(ServerLimit::new())),
            )
        };
        loop {
            // Made before the look: who leaves between the two is not missed.
            let released = limit.released.notified();
            if limit.try_acquire() {
                return LoginPermit(Arc::clone(&limit));
            }
            released.await;
        }
    }
}

impl ServerLimit {
    fn new() -> Self {
        Self {
            state: Mutex::new(LimitState {
                in_progress: 0,
                most: usize::MAX,
                well: 0,
            }),
            released: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, LimitState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_acquire(&self) -> bool {
        let mut state = self.state();
        let free = state.in_progress < state.most;
        state.in_progress += usize::from(free);
        free
    }
}

impl LoginPermit {
    /// The server dropped it: the others that are under way are all that it takes. One may always knock.
    pub fn dropped(self) {
        let mut state = self.0.state();
        state.most = state.most.min((state.in_progress - 1).max(1));
        state.well = 0;
    }

    /// It went well.
    pub fn logged_in(self) {
        let mut state = self.0.state();
        state.well += 1;
        if state.well / ROUNDS >= state.most {
            state.most += 1;
            state.well = 0;
        }
    }
}

impl Drop for LoginPermit {
    fn drop(&mut self) {
        self.0.state().in_progress -= 1;
        self.0.released.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn try_login(login_limiter: &LoginLimiter) -> Option<LoginPermit> {
        tokio::time::timeout(
            Duration::from_millis(20),
            login_limiter.acquire("web".into()),
        )
        .await
        .ok()
    }

    #[tokio::test]
    async fn fewer_after_a_drop_and_more_with_success() {
        let login_limiter = LoginLimiter::default();
        let mut places = Vec::new();
        for _ in 0..20 {
            places.push(login_limiter.acquire("web".into()).await);
        }
        // Three of twenty were taken, and all the others dropped.
        places.drain(3..).for_each(LoginPermit::dropped);
        assert!(
            try_login(&login_limiter).await.is_none(),
            "three are under way, and that is all it takes"
        );
        let _elsewhere = login_limiter.acquire("db".into()).await;
        for round in 0..=ROUNDS {
            let most = 3 + usize::from(round == ROUNDS);
            while places.len() < most {
                places.push(login_limiter.acquire("web".into()).await);
            }
            assert!(
                try_login(&login_limiter).await.is_none(),
                "{most} at once in round {round}"
            );
            if round < ROUNDS {
                places.drain(..).for_each(LoginPermit::logged_in);
            }
        }
        // Who waits comes in as soon as another one leaves.
        let waiting = tokio::spawn({
            let login_limiter = login_limiter.clone();
            async move { login_limiter.acquire("web".into()).await }
        });
        tokio::task::yield_now().await;
        drop(places.pop());
        assert!(
            tokio::time::timeout(Duration::from_secs(10), waiting)
                .await
                .is_ok()
        );
    }

    #[tokio::test]
    async fn one_login_is_always_allowed() {
        let login_limiter = LoginLimiter::default();
        for _ in 0..3 {
            login_limiter.acquire("web".into()).await.dropped();
        }
        let permit = try_login(&login_limiter).await;
        assert!(permit.is_some());
        assert!(try_login(&login_limiter).await.is_none(), "one at a time");
    }
}
