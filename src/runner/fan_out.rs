//! Runs one task per host, several at once, and returns every result in the order of the hosts. A
//! task that panics is a result, too: no host is lost silently. The caller decides the consequence
//! of a failed host.

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use tokio::task::{Id, JoinSet};

use crate::names::HostName;

/// A task that ended with a panic: an internal error of skep.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("internal error of skep: {message}")]
pub struct TaskPanic {
    message: String,
}

impl TaskPanic {
    /// Returns the reason for people, in one sentence that names the host.
    #[must_use]
    pub fn why(&self, host: &HostName) -> String {
        format!("internal error of skep on {host}: {}", self.message)
    }

    /// Returns the next step for people, in one sentence.
    #[must_use]
    pub fn hint(&self) -> String {
        "report this message as a defect of skep, then run again".into()
    }

    /// Reads a panic's payload; `place` is the source position, if the panic hook noted it.
    fn of(payload: &(dyn Any + Send), place: Option<String>) -> Self {
        let text = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&'static str>().copied())
            .unwrap_or("a panic without a message");
        // `assert_eq!` writes several lines; the message is part of one sentence.
        let mut message = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some(place) = place {
            message = format!("{message} ({place})");
        }
        Self { message }
    }
}

tokio::task_local! {
    /// Source position of the panic that ends this task; set by the hook of
    /// [`keep_panics_off_the_screen`].
    static PLACE: RefCell<Option<String>>;
}

/// Runs `f` for every item, at most `limit` at once (at least one), each as a task of its own.
/// Items start in their order, each as soon as an earlier one ends. Returns one result per item, in
/// the order of the items: the task's output, or the [`TaskPanic`] that ended it.
///
/// `f` itself runs on the caller's task and only creates the future: the work belongs into the
/// future. Dropping the returned future aborts the running tasks and starts no further task.
pub async fn fan_out<I, F, R>(items: I, limit: usize, mut f: F) -> Vec<Result<R::Output, TaskPanic>>
where
    I: IntoIterator,
    F: FnMut(I::Item) -> R,
    R: Future + Send + 'static,
    R::Output: Send + 'static,
{
    let mut waiting = items.into_iter().map(&mut f);
    let mut results = Vec::new();
    let mut indices: HashMap<Id, usize> = HashMap::new();
    let mut running = JoinSet::new();
    loop {
        while running.len() < limit.max(1)
            && let Some(task) = waiting.next()
        {
            let handle = running.spawn(PLACE.scope(RefCell::default(), caught(task)));
            indices.insert(handle.id(), results.len());
            results.push(None);
        }
        let (id, result) = match running.join_next_with_id().await {
            None => break,
            Some(Ok((id, result))) => (id, result),
            // No task of the set is ever aborted: this task panicked while its parts were dropped.
            Some(Err(error)) => {
                let (id, reason) = (error.id(), error.to_string());
                let panic = match error.try_into_panic() {
                    Ok(payload) => TaskPanic::of(payload.as_ref(), None),
                    Err(_) => TaskPanic { message: reason },
                };
                (id, Err(panic))
            }
        };
        if let Some(slot) = indices.remove(&id).and_then(|index| results.get_mut(index)) {
            *slot = Some(result);
        }
    }
    // Every task was joined: every slot is filled.
    results.into_iter().flatten().collect()
}

async fn caught<R: Future>(task: R) -> Result<R::Output, TaskPanic> {
    // State that the task shares with others is behind locks that do not stay poisoned, or whose
    // readers ignore the poison.
    AssertUnwindSafe(task)
        .catch_unwind()
        .await
        .map_err(|payload| {
            let place = PLACE.with(|place| place.borrow_mut().take());
            TaskPanic::of(payload.as_ref(), place)
        })
}

/// Replaces the process's panic hook for tasks of [`fan_out`]: their panics are reported as failed
/// hosts, with the source position, instead of being written through the progress display. Other
/// panics go to the previous hook, and so do all panics if `RUST_BACKTRACE` is set, since only that
/// hook prints the backtrace.
pub fn keep_panics_off_the_screen() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string);
        let is_reported = PLACE.try_with(|noted| *noted.borrow_mut() = place).is_ok();
        if !is_reported || std::env::var_os("RUST_BACKTRACE").is_some() {
            before(panic);
        }
    }));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll};
    use std::time::Duration;

    use super::*;

    async fn pause(millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    #[tokio::test]
    async fn results_keep_the_order_of_the_items_and_limit_the_tasks() {
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let results = fan_out(0..10_u64, 3, |item| {
            let (running, most) = (running.clone(), most.clone());
            async move {
                let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(now, Ordering::SeqCst);
                pause(20 - item).await;
                running.fetch_sub(1, Ordering::SeqCst);
                item * 2
            }
        })
        .await;
        let expected: Vec<Result<u64, TaskPanic>> = (0..10).map(|item| Ok(item * 2)).collect();
        assert_eq!(results, expected);
        assert_eq!(most.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn the_next_item_begins_as_soon_as_one_ends() {
        // The first item ends only after the last one, which therefore cannot have waited for it.
        let last = Arc::new(tokio::sync::Notify::new());
        let work = fan_out(0..4, 2, |item| {
            let last = last.clone();
            async move {
                match item {
                    0 => last.notified().await,
                    3 => last.notify_one(),
                    _ => {}
                }
            }
        });
        let results = tokio::time::timeout(Duration::from_secs(10), work)
            .await
            .unwrap();
        assert_eq!(results, vec![Ok(()); 4]);
    }

    #[tokio::test]
    async fn a_panic_is_the_result_of_its_own_item_only() {
        for limit in [0, 1, 4] {
            let results = fan_out(0..4, limit, |item| async move {
                tokio::task::yield_now().await;
                match item {
                    1 => panic!("item {item}\n  broke"),
                    2 => std::panic::panic_any(7),
                    _ => item,
                }
            })
            .await;
            let host = HostName::new("docker02");
            let results: Vec<Result<i32, String>> = results
                .into_iter()
                .map(|result| result.map_err(|panic| panic.why(&host)))
                .collect();
            let internal = "internal error of skep on docker02";
            assert_eq!(
                results,
                [
                    Ok(0),
                    Err(format!("{internal}: item 1 broke")),
                    Err(format!("{internal}: a panic without a message")),
                    Ok(3)
                ]
            );
        }
    }

    /// Ends at once, and panics while it is dropped if its field is true.
    struct Brittle(bool);

    impl Future for Brittle {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }
    }

    impl Drop for Brittle {
        fn drop(&mut self) {
            assert!(!self.0, "brittle");
        }
    }

    #[tokio::test]
    async fn a_panic_while_a_task_is_dropped_is_its_result() {
        let results = fan_out([false, true, false], 2, Brittle).await;
        let results: Vec<Option<String>> = results
            .into_iter()
            .map(|result| result.err().map(|panic| panic.to_string()))
            .collect();
        let expected = "internal error of skep: brittle".to_owned();
        assert_eq!(results, [None, Some(expected), None]);
    }

    #[tokio::test]
    async fn dropping_the_future_aborts_the_tasks() {
        /// Counts the dropped tasks.
        struct Gone(Arc<AtomicUsize>);
        impl Drop for Gone {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let (begun, gone) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = fan_out(0..5, 2, |_| {
            let (begun, gone) = (begun.clone(), gone.clone());
            async move {
                let _gone = Gone(gone);
                begun.fetch_add(1, Ordering::SeqCst);
                std::future::pending::<()>().await;
            }
        });
        assert!(
            tokio::time::timeout(Duration::from_millis(50), work)
                .await
                .is_err()
        );
        for _ in 0..100 {
            if gone.load(Ordering::SeqCst) == 2 {
                break;
            }
            pause(10).await;
        }
        assert_eq!(
            (begun.load(Ordering::SeqCst), gone.load(Ordering::SeqCst)),
            (2, 2)
        );
    }
}
