//! Runs trials in several lab environments at the same time: most of a trial waits, for a lock of a
//! killed run above all.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::chaos_lab::ChaosLab;
use crate::interrupt;

/// Hands out the numbers of trials until enough of them have hit.
pub struct TrialQueue {
    state: Mutex<QueueState>,
    goal: u32,
}

#[derive(Default)]
struct QueueState {
    next: u32,
    hits: u32,
    running: u32,
}

impl TrialQueue {
    pub fn new(goal: u32) -> Self {
        Self {
            state: Mutex::default(),
            goal,
        }
    }

    /// Returns the number of the next trial. Waits while the running trials may be enough. Returns
    /// `None` if they were, or if twice as many trials have not been.
    pub fn take(&self) -> Option<u32> {
        loop {
            interrupt::pass();
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.hits >= self.goal || state.next >= 2 * self.goal + 2 {
                return None;
            }
            if state.hits + state.running < self.goal {
                state.running += 1;
                state.next += 1;
                return Some(state.next - 1);
            }
            drop(state);
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Returns the number of trials that have hit.
    pub fn hits(&self) -> u32 {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .hits
    }

    /// Ends a trial.
    pub fn done(&self, hit: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.running -= 1;
        state.hits += u32::from(hit);
    }
}

/// Calls the function in a thread for each lab environment, and returns the results.
pub fn in_each<T: Send>(labs: &mut [ChaosLab], work: impl Fn(&mut ChaosLab) -> T + Sync) -> Vec<T> {
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = labs
            .iter_mut()
            .map(|lab| scope.spawn(move || work(lab)))
            .collect();
        let joined = threads.into_iter();
        joined.map(|thread| thread.join().unwrap()).collect()
    })
}

/// Creates this many lab environments, one after the other.
///
/// # Errors
/// If the lab fails.
pub fn labs(part: &str, count: usize) -> Result<Vec<ChaosLab>, String> {
    println!("{part}: making {count} lab environments of three managers and a worker");
    (0..count)
        .map(|lane| caught(|| Ok(ChaosLab::up(&format!("{part}{lane}")))))
        .collect()
}

/// Runs a trial, and turns a panic of it into an error.
pub fn caught<T>(trial: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(trial)).unwrap_or_else(|panic| {
        // After Ctrl-C, the processes of a trial may end before this one knows of it.
        std::thread::sleep(Duration::from_millis(300));
        interrupt::pass();
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("the trial broke off: {}", text.unwrap_or_default()))
    })
}

/// Returns the mean.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / f64::from(u32::try_from(values.len().max(1)).unwrap())
}
