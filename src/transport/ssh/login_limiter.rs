//! Limits concurrent logins per sshd, which drops connections when too many of them are not logged
//! in yet (`MaxStartups` of `sshd_config(5)`): after a drop the limit falls to the number accepted;
//! after `ROUNDS` successful rounds it rises by one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::inventory::{SshProxy, SshTarget};

/// Number of rounds, each with as many successful logins as the limit, before the limit rises by
/// one. A dropped login costs a pause and a new attempt.
const ROUNDS: usize = 3;

/// Login limits of a run, by server. Cheap to clone; clones share the learned limits.
#[derive(Debug, Clone, Default)]
pub(crate) struct LoginLimiter(Arc<Mutex<HashMap<String, Arc<ServerLimit>>>>);

#[derive(Debug)]
struct ServerLimit {
    state: Mutex<LimitState>,
    released: Notify,
}

#[derive(Debug)]
struct LimitState {
    in_progress: usize,
    /// Maximum number of concurrent logins; unlimited until a login is dropped.
    most: usize,
    /// Successful logins since the limit last changed.
    well: usize,
}

/// Permit for a login in progress; dropping the value ends it.
#[derive(Debug)]
pub(crate) struct LoginPermit(Arc<ServerLimit>);

/// Returns the key of the server that may be too busy for a target's login: its own sshd, or the
/// `ProxyCommand` that many targets share, such as `ssh -W %h:%p bastion`, which stands for the
/// bastion's sshd.
pub(super) fn server_key(target: &SshTarget) -> String {
    match &target.ssh.proxy {
        SshProxy::Command(command) => format!("by {command}"),
        SshProxy::Jump(hops) => format!("{}:{} behind {hops}", target.address, target.port),
        SshProxy::Direct => format!("{}:{}", target.address, target.port),
    }
}

impl LoginLimiter {
    /// Waits until a further login may begin at the server with this key.
    pub(crate) async fn acquire(&self, limit: String) -> LoginPermit {
        let limit = {
            let mut doors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(
                doors
                    .entry(limit)
                    .or_insert_with(|| Arc::new(ServerLimit::new())),
            )
        };
        loop {
            // Created before the check, so that a release between the check and the wait is not
            // missed.
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
    /// Records that the server dropped the login: the limit falls to the other logins in progress,
    /// but at least to one.
    pub(crate) fn dropped(self) {
        let mut state = self.0.state();
        state.most = state.most.min((state.in_progress - 1).max(1));
        state.well = 0;
    }

    /// Records that the login succeeded.
    pub(crate) fn logged_in(self) {
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
    async fn the_limit_falls_after_a_drop_and_rises_with_success() {
        let login_limiter = LoginLimiter::default();
        let mut places = Vec::new();
        for _ in 0..20 {
            places.push(login_limiter.acquire("web".into()).await);
        }
        // The server accepts three of twenty logins and drops all others.
        places.drain(3..).for_each(LoginPermit::dropped);
        assert!(
            try_login(&login_limiter).await.is_none(),
            "three logins are in progress, and three is the limit"
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
        // A waiting login begins as soon as another login ends.
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
