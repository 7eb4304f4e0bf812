//! Performs steps: the only place that changes a host. Called by `runner::apply` alone.

use std::sync::Arc;
use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::Permit;
use super::converge::converge;
use super::deploy::deploy;
use super::failed_hosts::FailedHosts;
use super::live_manager::live_manager;
use super::step_error::StepError;
use crate::base::mask_url_passwords;
use crate::docker::RequestBody;
use crate::model::{
    DeferredValue, DockerCall, DockerError, GeneratedValue, Operation, RunScript, STEP_TIMEOUT,
    Step, WaitForValue, WriteFile, keyed_digest,
};
use crate::names::HostName;
use crate::runner::poll_pause::PollPause;
use crate::runner::{ConnectedHost, DockerReader as _, Fleet};
use crate::transport::{Exec, ExecOutput, Privilege, StepLock, TransportError};

/// Start of every script: stop at the first failure, messages in English, files not writable by
/// others. A shell that is ended by a signal does not run its EXIT trap, and would leave partly
/// written files. When the connection is lost, the first write to standard error raises such a
/// signal (PIPE), hence the trap.
const PRELUDE: &str =
    "set -eu\nexport LC_ALL=C.UTF-8\numask 022\ncd /\ntrap 'exit 1' HUP INT TERM PIPE\n";

/// Longest time between two readings of a wait.
const WAIT_STEP: Duration = Duration::from_millis(500);

/// Surroundings of a step.
pub(super) struct StepContext<'a> {
    pub permit: &'a Arc<Permit>,
    pub fleet: &'a Fleet,
    /// Kernel lock that a command of the step holds on the host.
    pub lock: Option<StepLock>,
    /// Ends every wait.
    pub stop: &'a CancellationToken,
    /// Hosts whose work failed in this run: no step waits for them.
    pub failed: &'a FailedHosts,
}

/// Performs one step on a host.
pub(super) async fn perform(
    context: StepContext<'_>,
    host: &ConnectedHost,
    step: &Step,
) -> Result<(), StepError> {
    let StepContext {
        permit,
        fleet,
        lock,
        stop,
        failed,
    } = context;
    if let Some(exec) = exec_of(step, lock) {
        return step_result(step, host.run_step(permit, exec).await);
    }
    match &step.act {
        Operation::Script(_) | Operation::WriteFile(_) => Err(StepError::NotKnown),
        Operation::DockerApi(call) => call_engine(permit, fleet, host, call).await,
        Operation::Image(call) => super::image::send(permit, host, call).await,
        Operation::Wait(wait) => tokio::select! {
            ended = wait_for(fleet, host, wait, failed) => ended,
            () = stop.cancelled() => Err(StepError::Interrupted),
        },
        Operation::Deploy(stack) => deploy(permit, fleet, stack, stop).await,
        Operation::Converge(stack) => tokio::select! {
            ended = converge(fleet, host, stack) => ended,
            () = stop.cancelled() => Err(StepError::Interrupted),
        },
        Operation::Blocked { why, hint } => Err(StepError::Blocked {
            why: why.clone(),
            hint: hint.clone(),
        }),
        Operation::KnownAfterApply => Err(not_ready(step)),
    }
}

/// Returns the error for a step that waits for an earlier resource, such as a label for a node that
/// has not joined its swarm. An error of the playbook's order is no defect of skep.
fn not_ready(step: &Step) -> StepError {
    StepError::Blocked {
        why: format!("this step is not possible yet: {}", step.summary),
        hint: "let a resource before this one create what the step waits for, such as a `swarm_member` for this host"
            .into(),
    }
}

/// Form in which a script gets its input.
struct ScriptInput<'a> {
    before: &'static str,
    after: &'static str,
    argument: Option<&'a str>,
    stream: &'a [u8],
}

impl<'a> ScriptInput<'a> {
    /// Chooses the form. A dropped connection truncates standard input, and a user's command could
    /// not tell. UTF-8 input is therefore passed as `$1` within the script, which runs only once it
    /// has arrived whole. Other input is streamed, and a script that stores it must check its
    /// length.
    fn of(stdin: &'a [u8]) -> Self {
        match std::str::from_utf8(stdin) {
            Ok(text) if !text.is_empty() && !text.contains('\0') => Self {
                before: "skep_input=$1; shift; printf %s \"$skep_input\" | {\n",
                after: "\n}",
                argument: Some(text),
                stream: b"",
            },
            _ => Self {
                before: "",
                after: "",
                argument: None,
                stream: stdin,
            },
        }
    }
}

/// Returns the command of a step that runs on the host itself; `None` for every other step.
pub(super) fn exec_of(step: &Step, lock: Option<StepLock>) -> Option<Exec> {
    match &step.act {
        Operation::Script(script) => Some(script_exec(script, lock)),
        Operation::WriteFile(file) => Some(file_exec(file, lock)),
        _ => None,
    }
}

fn script_exec(script: &RunScript, lock: Option<StepLock>) -> Exec {
    let ScriptInput {
        before,
        after,
        argument,
        stream,
    } = ScriptInput::of(&script.stdin);
    let arguments = argument
        .map(str::to_owned)
        .into_iter()
        .chain(script.arguments.iter().cloned());
    Exec {
        script: format!("{before}{PRELUDE}{}{after}", script.script).into(),
        arguments: arguments.collect(),
        stdin: stream.to_vec(),
        privilege: script.user.clone().map_or(Privilege::Root, Privilege::User),
        timeout: script.timeout,
        lock,
        ..Exec::root("")
    }
}

fn file_exec(file: &WriteFile, lock: Option<StepLock>) -> Exec {
    let (script, arguments) = file.script();
    Exec {
        script: format!("{PRELUDE}{script}").into(),
        arguments,
        stdin: file.content.clone(),
        timeout: STEP_TIMEOUT,
        lock,
        ..Exec::root("")
    }
}

/// Interprets the end of a command of a step.
pub(super) fn step_result(
    step: &Step,
    result: Result<ExecOutput, TransportError>,
) -> Result<(), StepError> {
    let output = match (result, &step.act) {
        // The host is reachable; only this account cannot run a command there.
        (
            Err(TransportError::NoShell(why)),
            Operation::Script(RunScript {
                user: Some(user), ..
            }),
        ) => {
            return Err(StepError::Failed {
                said: format!("{user} cannot run the command: {why}"),
            });
        }
        (result, _) => result?,
    };
    if output.success() {
        return Ok(());
    }
    let said = output.stderr_tail();
    let said = if said.is_empty() {
        format!("ended with status {}", output.status)
    } else {
        said
    };
    let said = mask_url_passwords(&said).into_owned();
    Err(StepError::Failed { said })
}

async fn call_engine(
    permit: &Permit,
    fleet: &Fleet,
    host: &ConnectedHost,
    call: &DockerCall,
) -> Result<(), StepError> {
    let mut body = call.body.clone();
    for late in &call.late {
        let value = read_deferred_value(fleet, late).await?;
        let slot = body.as_mut().and_then(|body| body.pointer_mut(&late.into));
        *slot.ok_or(StepError::NotKnown)? = value;
    }
    if let Some((into, value)) = make(fleet, &call.made).await? {
        let slot = body.as_mut().and_then(|body| set(body, &into));
        *slot.ok_or(StepError::NotKnown)? = value.into();
    }
    let owner = if call.managers.is_empty() {
        host.name().clone()
    } else {
        live_manager(fleet, &call.managers).await?
    };
    let engine = fleet.host(&owner).await?;
    let request_body = body.as_ref().map(RequestBody::json).unwrap_or_default();
    let (status, answer) = engine
        .request(permit, call.method, &call.path, &request_body, call.timeout)
        .await?;
    if (200..300).contains(&status) {
        return Ok(());
    }
    let message = answer
        .get("message")
        .and_then(Value::as_str)
        .unwrap_or("no reason given")
        .to_owned();
    Err(refused_by(owner, status, message))
}

/// Maps a manager's refusal to an error. Two cases are recognized by their message alone: both have
/// status 500.
fn refused_by(host: HostName, status: u16, message: String) -> StepError {
    if message.contains("update out of sequence") {
        StepError::OutOfSequence
    } else if message.contains("code = DeadlineExceeded") {
        StepError::NoQuorum
    } else {
        StepError::Engine {
            host,
            status,
            message,
        }
    }
}

/// Returns the value that is generated for this call, and its position in the body.
async fn make(fleet: &Fleet, made: &GeneratedValue) -> Result<Option<(String, String)>, StepError> {
    match made {
        GeneratedValue::Nothing => Ok(None),
        GeneratedValue::RandomKey { into } => Ok(Some((
            into.clone(),
            Base64::encode_string(&rand::random::<[u8; 32]>()),
        ))),
        GeneratedValue::KeyedDigest(seal) => {
            let hosts = seal.managers.clone();
            let late = DeferredValue {
                hosts,
                path: seal.path.clone(),
                pointer: seal.pointer.clone(),
                into: String::new(),
            };
            let key = read_deferred_value(fleet, &late).await?;
            let key = key
                .as_str()
                .and_then(|text| Base64::decode_vec(text).ok())
                .filter(|key| !key.is_empty());
            let key = key.ok_or_else(|| {
                StepError::DeferredValue(format!("{} does not contain a key", seal.path))
            })?;
            Ok(Some((
                seal.into.clone(),
                keyed_digest(&key, &seal.name, &seal.content),
            )))
        }
    }
}

/// Returns the value at a JSON pointer; creates it if only its last key is missing.
fn set<'a>(body: &'a mut Value, pointer: &str) -> Option<&'a mut Value> {
    let (parent, key) = pointer.rsplit_once('/')?;
    Some(
        body.pointer_mut(parent)?
            .as_object_mut()?
            .entry(key)
            .or_insert(Value::Null),
    )
}

/// Reads a deferred value, which no plan may contain. It exists only in the request's body.
async fn read_deferred_value(fleet: &Fleet, late: &DeferredValue) -> Result<Value, StepError> {
    let mut reasons = Vec::new();
    for host in &late.hosts {
        match fleet.get(host, &late.path).await.json() {
            Ok(body) => match body.pointer(&late.pointer) {
                Some(value) if !value.is_null() => return Ok(value.clone()),
                _ => reasons.push(format!("{host}: the answer lacks {}", late.pointer)),
            },
            Err(error) => reasons.push(format!("{host}: {error}")),
        }
    }
    Err(StepError::DeferredValue(format!(
        "no manager returned the value that this step needs ({})",
        reasons.join("; ")
    )))
}

async fn wait_for(
    fleet: &Fleet,
    host: &ConnectedHost,
    wait: &WaitForValue,
    failed: &FailedHosts,
) -> Result<(), StepError> {
    let started = tokio::time::Instant::now();
    let own = [host.name().clone()];
    let owners: &[HostName] = if wait.managers.is_empty() {
        &own
    } else {
        &wait.managers
    };
    let mut seen = String::from("no answer");
    let mut pause = PollPause::up_to(WAIT_STEP);
    loop {
        for owner in owners {
            match fleet.get(owner, &wait.path).await.json() {
                Ok(body) => {
                    let value = body.pointer(&wait.pointer).unwrap_or(&Value::Null);
                    if *value == wait.equals {
                        return Ok(());
                    }
                    seen = format!("{value}");
                    if let Some(error) = body
                        .pointer("/Swarm/Error")
                        .and_then(Value::as_str)
                        .filter(|error| !error.is_empty())
                    {
                        seen = format!("{seen} ({error})");
                    }
                }
                Err(DockerError::Refused { status, .. }) => seen = format!("status {status}"),
                Err(error) => seen = error.to_string(),
            }
        }
        if !wait.managers.is_empty() && failed.contain_all(&wait.managers) {
            let names: Vec<&str> = wait.managers.iter().map(HostName::as_str).collect();
            return Err(StepError::AwaitedFailed(names.join(", ")));
        }
        if started.elapsed() >= wait.deadline {
            let what = format!(
                "{} of {} to be {}: is {seen}",
                wait.pointer, wait.path, wait.equals
            );
            return Err(StepError::Wait {
                what,
                after: wait.deadline,
            });
        }
        tokio::time::sleep(pause.next()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf8_input_is_passed_as_an_argument() {
        let input = ScriptInput::of(b"it's $HOME\n");
        assert_eq!(
            (input.argument, input.stream),
            (Some("it's $HOME\n"), &b""[..])
        );
        assert!(input.before.starts_with("skep_input=$1; shift;") && input.after.ends_with('}'));
        for stream in [&b""[..], b"a\0b", b"\xff"] {
            let input = ScriptInput::of(stream);
            assert_eq!(
                (input.before, input.after, input.argument, input.stream),
                ("", "", None, stream)
            );
        }
    }
    #[test]
    fn version_conflict_and_missing_quorum_are_retried() {
        let said = |message: &str| refused_by(HostName::new("docker01"), 500, message.to_owned());
        assert!(matches!(
            said("rpc error: code = Unknown desc = update out of sequence"),
            StepError::OutOfSequence
        ));
        let late = "rpc error: code = DeadlineExceeded desc = context deadline exceeded";
        assert!(matches!(said(late), StepError::NoQuorum));
        assert!(matches!(
            said("rpc error: code = NotFound desc = node x not found"),
            StepError::Engine { .. }
        ));
    }
}
