//! Performs steps: the one place that changes a host. Called by `runner::apply` alone.

use std::sync::Arc;
use std::time::Duration;

use base64ct::{Base64, Encoding};
use serde_json::Value;

use super::Permit;
use super::converge::converge;
use super::deploy::deploy;
use crate::docker::RequestBody;
use crate::model::{
    DeferredValue, DockerAnswer, DockerCall, GeneratedValue, Operation, RunScript, STEP_TIMEOUT,
    Step, WaitForValue, WriteFile, keyed_digest,
};
use crate::names::HostName;
use crate::runner::{ConnectedHost, DockerReader, Fleet};
use crate::transport::{Exec, Privilege, TransportError};

/// Every script starts so: stop at the first failure, messages in English, files not writable by others. A shell that a signal
/// ends runs no trap of EXIT, so a script would leave what it began to write: when the connection is gone, the first word to its
/// standard error is such a signal (PIPE).
const PRELUDE: &str =
    "set -eu\nexport LC_ALL=C.UTF-8\numask 022\ncd /\ntrap 'exit 1' HUP INT TERM PIPE\n";

/// Time between two questions of a wait.
const WAIT_STEP: Duration = Duration::from_millis(500);

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum StepError {
    /// The host was lost: what the step did is not known.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The command ended with a status other than 0.
    #[error("{said}")]
    Failed {
        /// The end of its standard error.
        said: String,
    },
    /// The Engine refused.
    #[error("the Engine of {host} answered {status}: {message}")]
    Engine {
        /// Whose Engine.
        host: HostName,
        /// HTTP status.
        status: u16,
        /// Its words.
        message: String,
    },
    /// The swarm's version of the object moved on between plan and act.
    #[error("the object was changed by somebody else at the same moment")]
    OutOfSequence,
    /// The managers did not agree in time; whether the change was made will be seen.
    #[error("the managers of the swarm did not agree in time")]
    NoQuorum,
    /// A late value could not be read.
    #[error("{0}")]
    DeferredValue(String),
    /// A wait passed its deadline.
    #[error("still not so after {}: {what}", humantime::format_duration(*after))]
    Wait {
        /// What was waited for, and what was seen last.
        what: String,
        /// The deadline.
        after: Duration,
    },
    /// What the step needs is not there.
    #[error("{why}; nothing was done")]
    Blocked {
        /// What is missing.
        why: String,
        /// What to try.
        hint: String,
    },
    /// A stack does not come to run as it should.
    #[error("{why}")]
    NotConverged {
        /// Every service that does not, with the reason.
        why: String,
        /// What to try.
        hint: String,
    },
    /// A forecast's step reached apply.
    #[error("defect: this step's arguments are not known yet")]
    NotKnown,
}

/// Performs one step on a host.
pub(super) async fn perform(
    permit: &Arc<Permit>,
    fleet: &Fleet,
    host: &ConnectedHost,
    step: &Step,
) -> Result<(), StepError> {
    match &step.act {
        Operation::Script(script) => run_script(permit, host, script).await,
        Operation::WriteFile(file) => write_file(permit, host, file).await,
        Operation::DockerApi(call) => call_engine(permit, fleet, host, call).await,
        Operation::Image(call) => super::image::send(permit, host, call).await,
        Operation::Wait(wait) => wait_for(fleet, host, wait).await,
        Operation::Deploy(stack) => deploy(permit, fleet, stack).await,
        Operation::Converge(stack) => converge(fleet, host, stack).await,
        Operation::Blocked { why, hint } => Err(StepError::Blocked {
            why: why.clone(),
            hint: hint.clone(),
        }),
        Operation::KnownAfterApply => Err(StepError::NotKnown),
    }
}

/// Hands a script its input.
struct ScriptInput<'a> {
    before: &'static str,
    after: &'static str,
    argument: Option<&'a str>,
    stream: &'a [u8],
}

impl<'a> ScriptInput<'a> {
    /// A broken connection ends standard input early, and a command of the user's own would take the half for the whole. The
    /// arguments come with the script, which runs when all of it came or not at all: so the input is the first of them. Bytes
    /// that cannot be one stay a stream; who keeps those checks their number.
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

async fn run_script(
    permit: &Permit,
    host: &ConnectedHost,
    script: &RunScript,
) -> Result<(), StepError> {
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
    let ended = run(
        permit,
        host,
        Exec {
            script: format!("{before}{PRELUDE}{}{after}", script.script).into(),
            arguments: arguments.collect(),
            stdin: stream.to_vec(),
            privilege: script.user.clone().map_or(Privilege::Root, Privilege::User),
            timeout: script.timeout,
            ..Exec::root("")
        },
    )
    .await;
    match (ended, &script.user) {
        // The host is fine; it is this account that cannot act there.
        (Err(StepError::Transport(TransportError::NoShell(why))), Some(user)) => {
            Err(StepError::Failed {
                said: format!("{user} cannot run it: {why}"),
            })
        }
        (ended, _) => ended,
    }
}

async fn run(permit: &Permit, host: &ConnectedHost, exec: Exec) -> Result<(), StepError> {
    let output = host.run_step(permit, exec).await?;
    if output.success() {
        return Ok(());
    }
    let said = output.stderr_tail();
    let said = if said.is_empty() {
        format!("ended with status {}", output.status)
    } else {
        said
    };
    Err(StepError::Failed { said })
}

/// Whole or not at all: the size is checked before the rename, since a broken connection ends standard input early.
const WRITE_FILE: &str = r#"d=$(dirname -- "$1")
umask 077
[ -e "$d" ] || { printf 'the directory %s is not there\n' "$d" >&2; exit 1; }
[ -d "$d" ] || { printf '%s is not a directory\n' "$d" >&2; exit 1; }
t=$(mktemp -- "$d/.skep.XXXXXXXX")
trap 'rm -f -- "$t"' EXIT
cat >"$t"
[ "$(stat -c %s -- "$t")" = "$5" ] || { echo "only a part of the content arrived" >&2; exit 1; }
chown -- "$2:$3" "$t"
chmod -- "$4" "$t"
sync -- "$t"
[ ! -d "$1" ] || { printf '%s is a directory\n' "$1" >&2; exit 1; }
mv -fT -- "$t" "$1"
trap - EXIT
sync -- "$d""#;

async fn write_file(
    permit: &Permit,
    host: &ConnectedHost,
    file: &WriteFile,
) -> Result<(), StepError> {
    run(
        permit,
        host,
        Exec {
            script: format!("{PRELUDE}{WRITE_FILE}").into(),
            arguments: vec![
                file.path.clone(),
                file.owner.clone(),
                file.group.clone(),
                format!("{:04o}", file.mode),
                file.content.len().to_string(),
            ],
            stdin: file.content.clone(),
            timeout: STEP_TIMEOUT,
            ..Exec::root("")
        },
    )
    .await
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

/// What a manager's refusal means. Two are told by their words alone: both come with status 500.
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

/// A value made for this call, and where in the body it belongs.
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
                StepError::DeferredValue(format!("what {} holds is no key", seal.path))
            })?;
            Ok(Some((
                seal.into.clone(),
                keyed_digest(&key, &seal.name, &seal.content),
            )))
        }
    }
}

/// The place that a pointer names, made when only its last key is missing.
fn set<'a>(body: &'a mut Value, pointer: &str) -> Option<&'a mut Value> {
    let (parent, key) = pointer.rsplit_once('/')?;
    Some(
        body.pointer_mut(parent)?
            .as_object_mut()?
            .entry(key)
            .or_insert(Value::Null),
    )
}

/// The first of these hosts whose Engine is a manager of a swarm now.
pub(super) async fn live_manager(
    fleet: &Fleet,
    managers: &[HostName],
) -> Result<HostName, StepError> {
    for manager in managers {
        let info = fleet.get(manager, "/info").await;
        let in_control = info
            .ok()
            .and_then(|info| info.pointer("/Swarm/ControlAvailable"))
            .and_then(Value::as_bool);
        if in_control == Some(true) {
            return Ok(manager.clone());
        }
    }
    let names: Vec<&str> = managers.iter().map(HostName::as_str).collect();
    Err(StepError::DeferredValue(format!(
        "none of {} answers as a manager of the swarm",
        names.join(", ")
    )))
}

/// Reads a value that no plan may hold. It lives in the request's body only.
async fn read_deferred_value(fleet: &Fleet, late: &DeferredValue) -> Result<Value, StepError> {
    let mut reasons = Vec::new();
    for host in &late.hosts {
        match fleet.get(host, &late.path).await {
            DockerAnswer::Response {
                status: 200..=299,
                body,
            } => match body.pointer(&late.pointer) {
                Some(value) if !value.is_null() => return Ok(value.clone()),
                _ => reasons.push(format!("{host}: the answer lacks {}", late.pointer)),
            },
            DockerAnswer::Response { body, .. } => {
                let message = body
                    .get("message")
                    .and_then(Value::as_str)
                    .unwrap_or("refused");
                reasons.push(format!("{host}: {message}"));
            }
            DockerAnswer::Absent => reasons.push(format!("{host}: has no Engine")),
            DockerAnswer::Down(why) | DockerAnswer::Unreachable(why) => {
                reasons.push(format!("{host}: {why}"))
            }
        }
    }
    Err(StepError::DeferredValue(format!(
        "no live manager gave what this step needs ({})",
        reasons.join("; ")
    )))
}

async fn wait_for(
    fleet: &Fleet,
    host: &ConnectedHost,
    wait: &WaitForValue,
) -> Result<(), StepError> {
    let started = tokio::time::Instant::now();
    let own = [host.name().clone()];
    let owners: &[HostName] = if wait.managers.is_empty() {
        &own
    } else {
        &wait.managers
    };
    let mut seen = String::from("no answer");
    loop {
        for owner in owners {
            match fleet.get(owner, &wait.path).await {
                DockerAnswer::Response {
                    status: 200..=299,
                    body,
                } => {
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
                DockerAnswer::Response { status, .. } => seen = format!("status {status}"),
                DockerAnswer::Absent => seen = "no Engine".into(),
                DockerAnswer::Down(why) | DockerAnswer::Unreachable(why) => seen = why,
            }
        }
        if started.elapsed() >= wait.deadline {
            let what = format!(
                "{} of {} should be {}, is {seen}",
                wait.pointer, wait.path, wait.equals
            );
            return Err(StepError::Wait {
                what,
                after: wait.deadline,
            });
        }
        tokio::time::sleep(WAIT_STEP).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_comes_with_the_script_unless_it_cannot_be_an_argument() {
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
    fn what_managers_could_not_decide_is_tried_again() {
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
