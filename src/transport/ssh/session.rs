//! Runs a command on a session channel. One task drains both outputs (a channel that is not drained
//! stops the whole connection), another task writes standard input; both end with the command.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::batch::BatchWatch;
use super::bootstrap::{Bootstrap, KILL_AFTER, LONGEST};
use super::elevate::{Elevation, SudoAction, SudoDialogue, read_refusal, text_after_prompt};
use super::frame::OutputFrame;
use super::handler::DisconnectState;
use super::shell::WaitingShell;
use crate::transport::{Exec, ExecOutput, TransportError};

/// Function that ends process groups on the host when the command's channel is abandoned.
pub(super) type KillGroups = Box<dyn FnOnce(Vec<u32>) -> BoxFuture + Send>;
/// A boxed future.
pub(super) type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Maximum number of bytes of stderr that are kept.
const STDERR_LIMIT: usize = 64 * 1024;
/// Maximum number of bytes on stderr, and on stdout outside of the command's own output. A host
/// that prints without an end would occupy this machine until the time limit of the command.
const NOISE_LIMIT: usize = 16 * 1024 * 1024;
/// Time beyond the command's limit after which skep gives up: it covers the host's own limit, its
/// KILL and the transfer.
const SLACK: Duration = Duration::from_secs(KILL_AFTER + 10);

/// Time limit for a host to close the channel of a command that has ended.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);
/// Time limit for a host to close the channel of a command that must be ended first.
const END_PATIENCE: Duration = Duration::from_secs(6);

/// A command in progress, with its privilege.
struct RunningCommand {
    reader: ChannelReadHalf,
    writer: Arc<ChannelWriteHalf<Msg>>,
    stdout: OutputFrame,
    stderr: OutputFrame,
    status: Option<i32>,
    started: Instant,
    limit: Duration,
    output_limit: usize,
    // Bytes so far of stderr and of noise.
    noise: usize,
    cause: DisconnectState,
    elevation: Arc<Elevation>,
    through_sudo: bool,
    // Messages that arrived before the script was sent.
    heard: VecDeque<ChannelMsg>,
    // Present while sudo may still ask; until then the input waits for `input_ready`.
    dialogue: Option<SudoDialogue>,
    input_ready: Option<oneshot::Sender<()>>,
    end_groups: KillGroups,
    // Reads the lines of a batch.
    watch: Option<BatchWatch>,
}

/// Context of a command.
pub(super) struct CommandContext {
    /// The host's rules for becoming root.
    pub elevation: Arc<Elevation>,
    /// True if the command goes through sudo.
    pub through_sudo: bool,
    /// State of the connection.
    pub cause: DisconnectState,
    /// Ends the command's process groups.
    pub end_groups: KillGroups,
    /// Reads the lines of a batch.
    pub watch: Option<BatchWatch>,
}

/// Runs a script in a shell that waits for it. Dropping the future ends the command as far as the
/// host allows.
///
/// # Errors
/// [`TransportError`] when the end of the command is not known.
pub(super) async fn run(
    shell: WaitingShell,
    exec: Exec,
    bootstrap: Bootstrap,
    context: CommandContext,
) -> Result<ExecOutput, TransportError> {
    let WaitingShell {
        reader,
        writer,
        permit,
        dialogue,
        heard,
    } = shell;
    let cause = context.cause.clone();
    let (input_ready, opened) = oneshot::channel();
    let input_ready = if dialogue.is_some() {
        Some(input_ready)
    } else {
        let _ = input_ready.send(());
        None
    };
    let running = RunningCommand {
        reader,
        writer: Arc::clone(&writer),
        stdout: OutputFrame::new(&bootstrap.begin, &bootstrap.end, exec.output_limit),
        stderr: OutputFrame::tail(&bootstrap.begin, &bootstrap.end, STDERR_LIMIT),
        status: None,
        started: Instant::now(),
        limit: exec.timeout,
        output_limit: exec.output_limit,
        noise: 0,
        cause: context.cause,
        elevation: context.elevation,
        through_sudo: context.through_sudo,
        heard: heard.into(),
        dialogue,
        input_ready,
        end_groups: context.end_groups,
        watch: context.watch,
    };
    let input = tokio::spawn(write_input(writer, opened, bootstrap.text, exec.stdin));
    let cancel = CancellationToken::new();
    let (sender, receiver) = oneshot::channel();
    tokio::spawn(running.drain(sender, cancel.clone(), input.abort_handle(), permit));
    let _guard = cancel.drop_guard();
    match receiver.await {
        Ok(result) => result,
        Err(_) => Err(cause.lost().await),
    }
}

/// Writes the text, then the input, then the end of file. Errors are ignored, because they also end
/// the channel.
async fn write_input(
    writer: Arc<ChannelWriteHalf<Msg>>,
    opened: oneshot::Receiver<()>,
    text: Vec<u8>,
    stdin: Vec<u8>,
) {
    if opened.await.is_err() {
        return;
    }
    for bytes in [text, stdin] {
        if writer.data_bytes(Bytes::from(bytes)).await.is_err() {
            return;
        }
    }
    let _ = writer.eof().await;
}

impl RunningCommand {
    async fn drain(
        mut self,
        sender: oneshot::Sender<Result<ExecOutput, TransportError>>,
        cancel: CancellationToken,
        input: AbortHandle,
        permit: OwnedSemaphorePermit,
    ) {
        let deadline = self.started + self.limit.min(LONGEST) + SLACK;
        let read = tokio::select! {
            result = self.read() => result,
            () = tokio::time::sleep_until(deadline) => Err(TransportError::Timeout(self.limit)),
            () = cancel.cancelled() => Err(TransportError::Lost("the command was abandoned".into())),
        };
        input.abort();
        let Self {
            mut reader,
            writer,
            stdout,
            stderr,
            status,
            started,
            limit,
            elevation,
            end_groups,
            watch,
            cause,
            ..
        } = self;
        let sudo = self.through_sudo.then_some(&*elevation);
        let group: Option<u32> = stdout.detail().parse().ok();
        let outcome = read.and_then(|()| {
            verdict(
                stdout,
                stderr,
                status,
                started.elapsed() >= limit,
                limit,
                sudo,
            )
        });
        let _ = sender.send(outcome);
        // Without a terminal, closing a channel does not end the command on the host, and sshd
        // passes signals on for some logins only (not for root's).
        let group = group.filter(|group| status.is_none() && *group > 1 && !cause.is_lost());
        // A step of a batch has a group of its own, which ends first.
        let step = watch.and_then(|watch| watch.running_group());
        let grace = if group.is_some() {
            END_PATIENCE
        } else {
            CLOSE_PATIENCE
        };
        let end = async {
            if let Some(group) = group {
                end_groups(step.into_iter().chain([group]).collect()).await;
            }
        };
        // The channel is drained until its end, because the command may still print. The host
        // should close it first: russh reports nothing more about a channel that was closed on this
        // side, and the host counts a session until it is closed.
        let rest = async { while reader.wait().await.is_some() {} };
        let closed = tokio::time::timeout(grace, async { tokio::join!(end, rest) })
            .await
            .is_ok();
        if !closed {
            let _ = writer.close().await;
        }
        drop(permit);
    }

    /// Sends the password when sudo asks for it, and releases the input when sudo has accepted.
    async fn answer_sudo(&mut self, heard: &[u8]) -> Result<(), TransportError> {
        let Some(dialogue) = &mut self.dialogue else {
            return Ok(());
        };
        match dialogue.follow(heard, &self.elevation)? {
            SudoAction::Wait => {}
            // A lost connection also ends the channel.
            SudoAction::Send(line) => drop(self.writer.data_bytes(line).await),
            SudoAction::Run => {
                self.dialogue = None;
                if let Some(input_ready) = self.input_ready.take() {
                    let _ = input_ready.send(());
                }
            }
        }
        Ok(())
    }

    /// Counts bytes of stderr and of noise.
    fn count_noise(&mut self, bytes: usize) -> Result<(), TransportError> {
        self.noise = self.noise.saturating_add(bytes);
        if self.noise > NOISE_LIMIT {
            return Err(TransportError::TooMuchOutput(NOISE_LIMIT));
        }
        Ok(())
    }

    /// Reads until the command and its output have ended. The status may come before the last
    /// output, so a status alone is not the end if the connection is lost before the host has
    /// closed the channel. A left-over child may hold the outputs open long after both end markers.
    async fn read(&mut self) -> Result<(), TransportError> {
        let mut closed = false;
        loop {
            let message = match self.heard.pop_front() {
                Some(message) => Some(message),
                None => self.reader.wait().await,
            };
            match message {
                Some(ChannelMsg::Data { data }) => {
                    if !self.stdout.begun() || self.stdout.ended() {
                        self.count_noise(data.len())?;
                    }
                    self.stdout.push(&data);
                    if let Some(watch) = &self.watch {
                        watch.look(self.stdout.body_so_far());
                    }
                    if self.stdout.overflowed() {
                        return Err(TransportError::TooMuchOutput(self.output_limit));
                    }
                }
                Some(ChannelMsg::ExtendedData { data, ext: 1 }) => {
                    self.count_noise(data.len())?;
                    self.stderr.push(&data);
                    self.answer_sudo(&data).await?;
                }
                Some(ChannelMsg::ExitStatus { exit_status }) => {
                    self.status = i32::try_from(exit_status).ok();
                }
                Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                    self.status = Some(128 + number(&signal_name));
                }
                Some(ChannelMsg::Failure) => {
                    return Err(TransportError::NoShell(
                        "the host refuses to run commands".into(),
                    ));
                }
                Some(ChannelMsg::Close) => closed = true,
                Some(_) => {}
                None if closed && self.status.is_some() => return Ok(()),
                None => return Err(self.cause.lost().await),
            }
            if self.status.is_some() && self.stdout.ended() && self.stderr.ended() {
                return Ok(());
            }
        }
    }
}

/// Interprets the end of a command. `sudo` is given if the command went through sudo.
fn verdict(
    stdout: OutputFrame,
    stderr: OutputFrame,
    status: Option<i32>,
    late: bool,
    limit: Duration,
    sudo: Option<&Elevation>,
) -> Result<ExecOutput, TransportError> {
    let status = status.unwrap_or(-1);
    let (begun, ended) = (stdout.begun(), stdout.ended());
    // `timeout` exits with 124; after its KILL there is neither that status nor an end marker.
    if late && (status == 124 || begun && !ended && status != 0) {
        return Err(TransportError::Timeout(limit));
    }
    if begun && !ended && status == 0 {
        return Err(TransportError::Lost(
            "the shell ended before the script".into(),
        ));
    }
    let output = ExecOutput {
        status,
        stdout: stdout.into_body(),
        stderr: stderr.into_body(),
    };
    if begun {
        if let Some(elevation) = sudo {
            elevation.prove();
        }
        return Ok(output);
    }
    let tail = |text: &[u8]| {
        ExecOutput {
            status,
            stdout: Vec::new(),
            stderr: text.to_vec(),
        }
        .stderr_tail()
    };
    let (printed, why) = (
        tail(&output.stdout),
        tail(text_after_prompt(&output.stderr)),
    );
    if let Some(elevation) = sudo
        && let Some(reason) = read_refusal(&why)
    {
        return Err(elevation.error(reason));
    }
    // A forced command prints its reason on standard output: images of clouds name another login.
    let words: Vec<String> = [printed, why]
        .into_iter()
        .filter(|words| !words.is_empty())
        .collect();
    Err(TransportError::NoShell(if words.is_empty() {
        format!("it ended with status {status}")
    } else {
        words.join("; ")
    }))
}

fn number(signal: &Sig) -> i32 {
    match signal {
        Sig::HUP => 1,
        Sig::INT => 2,
        Sig::QUIT => 3,
        Sig::ILL => 4,
        Sig::ABRT => 6,
        Sig::FPE => 8,
        Sig::KILL => 9,
        Sig::USR1 => 10,
        Sig::SEGV => 11,
        Sig::PIPE => 13,
        Sig::ALRM => 14,
        Sig::TERM => 15,
        Sig::Custom(_) => 0,
    }
}
