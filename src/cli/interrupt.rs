//! Ctrl-C: the first finishes the running steps, releases the locks and reports; the second ends
//! the process at once. The end of the terminal (SIGHUP) counts as the first.

use std::io::Write as _;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::exit_code::ExitStatus;
use crate::docker::PrivateFolder;

/// Returns a token that the first SIGINT, SIGTERM or SIGHUP cancels; a second SIGINT or SIGTERM
/// ends the process with 130. A terminal that goes away may send SIGHUP several times, so SIGHUP
/// never ends the process. It is left alone if the process was started to ignore it (`nohup`).
#[must_use]
pub(super) fn stop_on_interrupt() -> CancellationToken {
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        let mut signals = StopSignals::listen();
        signals.wait(true).await;
        token.cancel();
        say(
            "interrupted: finishing the running steps, then stopping (interrupt again to abort at once)",
        );
        signals.wait(false).await;
        say("aborted: locks on hosts expire a minute after their last step has ended");
        PrivateFolder::remove_all();
        #[expect(
            clippy::exit,
            reason = "the second interrupt must end the process at once, even if it waits"
        )]
        std::process::exit(i32::from(ExitStatus::Interrupted.code()));
    });
    stop
}

/// The signals that stop a run. Without a handler, the system's default ends the process.
struct StopSignals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hangup: Option<Signal>,
}

impl StopSignals {
    fn listen() -> Self {
        let listen = |kind| signal(kind).ok();
        let ignores_hangup = std::fs::read_to_string("/proc/self/status")
            .is_ok_and(|status| is_ignored(&status, SignalKind::hangup()));
        Self {
            interrupt: listen(SignalKind::interrupt()),
            terminate: listen(SignalKind::terminate()),
            hangup: (!ignores_hangup)
                .then(|| listen(SignalKind::hangup()))
                .flatten(),
        }
    }

    async fn wait(&mut self, hangup_counts: bool) {
        loop {
            tokio::select! {
                () = next(&mut self.interrupt) => return,
                () = next(&mut self.terminate) => return,
                () = next(&mut self.hangup) => {
                    if hangup_counts {
                        return;
                    }
                }
            }
        }
    }
}

async fn next(signal: &mut Option<Signal>) {
    let received = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if received.is_none() {
        std::future::pending::<()>().await;
    }
}

/// Returns true if the mask of ignored signals in this text of `/proc/PID/status` has the signal.
fn is_ignored(status: &str, kind: SignalKind) -> bool {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (kind.as_raw_value() - 1) & 1 == 1)
}

/// The reporter may be busy; this line must come through. A terminal that went away is not an
/// error.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "skep: {line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_status() {
        let status = |mask: &str| format!("Name:\tskep\nSigIgn:\t{mask}\nSigCgt:\tffffffff\n");
        for (mask, ignored) in [
            ("0000000000000001", true),
            ("0000000000001001", true),
            ("0000000000001000", false),
            ("", false),
        ] {
            assert_eq!(
                is_ignored(&status(mask), SignalKind::hangup()),
                ignored,
                "{mask}"
            );
        }
    }
}
