//! Shells on a host that wait for a script. sshd takes no input before a command runs, so a script
//! that starts its own shell waits for three round trips: for the channel, for the shell, and for
//! its result. A shell that was started ahead leaves the last one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use russh::client::{Handle, Msg};
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use super::bootstrap;
use super::elevate::{Elevation, SudoAction, SudoDialogue};
use super::handler::ClientHandler;
use crate::transport::{Privilege, TransportError};

/// A shell that waits for the text of a script.
pub(super) struct WaitingShell {
    /// Outputs of the shell.
    pub reader: ChannelReadHalf,
    /// Standard input of the shell.
    pub writer: Arc<ChannelWriteHalf<Msg>>,
    /// Permit among the sessions that the host allows.
    pub permit: OwnedSemaphorePermit,
    /// Present while sudo may still ask; until then the shell takes no text.
    pub dialogue: Option<SudoDialogue>,
    /// Messages that arrived while the shell waited.
    pub heard: Vec<ChannelMsg>,
}

impl WaitingShell {
    /// Starts a shell on a channel. Does not wait for it.
    ///
    /// # Errors
    /// `None` when the connection is lost, otherwise as [`bootstrap::shell_command`].
    pub(super) async fn start(
        channel: Channel<Msg>,
        permit: OwnedSemaphorePermit,
        account: &Privilege,
        elevation: &Elevation,
    ) -> Result<Self, Option<TransportError>> {
        let mark = rand::random();
        let command = bootstrap::shell_command(account, elevation, mark).map_err(Some)?;
        let dialogue = elevation.dialogue(account, mark);
        let shell = Self::run(channel, permit, command, dialogue).await;
        shell.ok_or(None)
    }

    /// Returns the command line of a shell that gets this text from the line itself, and takes no
    /// further input. `None` if the text cannot travel so: it is too long, or sudo may ask for a
    /// password.
    ///
    /// # Errors
    /// As [`bootstrap::shell_command`].
    pub(super) fn inline_command(
        account: &Privilege,
        elevation: &Elevation,
        text: &[u8],
    ) -> Result<Option<String>, TransportError> {
        let mark = rand::random();
        if elevation.dialogue(account, mark).is_some() {
            return Ok(None);
        }
        bootstrap::inline_command(account, elevation, mark, text)
    }

    /// Runs a command line on a channel. Does not wait for it. Returns `None` when the connection
    /// is lost.
    pub(super) async fn run(
        channel: Channel<Msg>,
        permit: OwnedSemaphorePermit,
        command: String,
        dialogue: Option<SudoDialogue>,
    ) -> Option<Self> {
        let (reader, writer) = channel.split();
        writer.exec(true, command.into_bytes()).await.ok()?;
        Some(Self {
            reader,
            writer: Arc::new(writer),
            permit,
            dialogue,
            heard: Vec::new(),
        })
    }

    /// Answers sudo ahead of the script, and waits until the shell is there. Returns false if there
    /// is no shell; the messages that were heard tell the reason.
    ///
    /// # Errors
    /// [`TransportError::Privilege`] for a wrong password.
    pub(super) async fn settle(&mut self, elevation: &Elevation) -> Result<bool, TransportError> {
        while let Some(dialogue) = &mut self.dialogue {
            let Some(message) = self.reader.wait().await else {
                return Ok(false);
            };
            if let ChannelMsg::ExtendedData { data, ext: 1 } = &message {
                match dialogue.follow(data, elevation)? {
                    SudoAction::Wait => {}
                    SudoAction::Send(line) => drop(self.writer.data_bytes(line).await),
                    SudoAction::Run => self.dialogue = None,
                }
            }
            let is_over = ends(&message);
            self.heard.push(message);
            if is_over {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns false if the shell has ended while it waited.
    fn is_alive(&mut self) -> bool {
        while let Some(message) = self.reader.wait().now_or_never() {
            match message {
                Some(message) if !ends(&message) => self.heard.push(message),
                _ => return false,
            }
        }
        !self.heard.iter().any(ends)
    }
}

/// Returns true for a message after which a shell takes no script.
fn ends(message: &ChannelMsg) -> bool {
    matches!(
        message,
        ChannelMsg::ExitStatus { .. }
            | ChannelMsg::ExitSignal { .. }
            | ChannelMsg::Failure
            | ChannelMsg::Eof
            | ChannelMsg::Close
    )
}

/// Shells of root that were started before their scripts are known.
#[derive(Default)]
pub(super) struct PreparedShells {
    starting: Mutex<Vec<JoinHandle<Option<WaitingShell>>>>,
    /// Number of shells that are kept ready.
    kept: AtomicUsize,
}

impl PreparedShells {
    /// Keeps this many shells ready from now on.
    pub(super) fn keep(&self, number: usize) {
        self.kept.store(number, Ordering::Relaxed);
    }

    /// Returns the number of shells that are missing.
    pub(super) fn missing(&self) -> usize {
        let ready = self.lock().len();
        self.kept.load(Ordering::Relaxed).saturating_sub(ready)
    }

    /// Starts a shell.
    pub(super) fn start(
        &self,
        handle: &Arc<Handle<ClientHandler>>,
        permit: OwnedSemaphorePermit,
        elevation: &Arc<Elevation>,
    ) {
        let (handle, elevation) = (Arc::clone(handle), Arc::clone(elevation));
        // sudo's requirements are known once it has accepted a command. Before that, a script
        // answers sudo itself, so that a wrong password is sent once.
        let settles = elevation.is_proven();
        let starting = tokio::spawn(async move {
            let channel = handle.channel_open_session().await.ok()?;
            let shell = WaitingShell::start(channel, permit, &Privilege::Root, &elevation).await;
            let mut shell = shell.ok()?;
            let usable = !settles || shell.settle(&elevation).await.unwrap_or(false);
            usable.then_some(shell)
        });
        self.lock().push(starting);
    }

    /// Returns the oldest shell that was started ahead and still waits.
    pub(super) async fn take(&self) -> Option<WaitingShell> {
        loop {
            let next = {
                let mut starting = self.lock();
                (!starting.is_empty()).then(|| starting.remove(0))?
            };
            // After a refused channel there may be a granted one, which no other caller would use.
            if let Ok(Some(mut shell)) = next.await
                && shell.is_alive()
            {
                return Some(shell);
            }
        }
    }

    /// Forgets all shells: they were started in a way that does not work on the host.
    pub(super) fn forget(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<Option<WaitingShell>>>> {
        self.starting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
