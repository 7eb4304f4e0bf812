//! Ctrl-C: the first finishes the running steps, releases the locks and reports; the second ends
//! the process at once.

use tokio_util::sync::CancellationToken;

use super::exit_code::ExitStatus;
use crate::docker::PrivateFolder;

/// Returns a token that the first SIGINT or SIGTERM cancels; the second ends the process with 130.
#[must_use]
pub(super) fn stop_on_interrupt() -> CancellationToken {
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        wait().await;
        token.cancel();
        say(
            "interrupted: finishing the running steps, then stopping (interrupt again to abort at once)",
        );
        wait().await;
        say("aborted: locks on hosts expire by themselves after a minute");
        PrivateFolder::remove_all();
        #[expect(
            clippy::exit,
            reason = "the second interrupt must end the process at once, even if it waits"
        )]
        std::process::exit(i32::from(ExitStatus::Interrupted.code()));
    });
    stop
}

async fn wait() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        // Without handlers, the system's default ends the process, as a signal is meant to.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the reporter may be busy; this line must come through"
)]
fn say(line: &str) {
    eprintln!("skep: {line}");
}
