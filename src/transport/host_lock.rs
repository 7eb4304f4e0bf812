//! Lock of a run on a host that it changes: a folder that root creates under `/run`, with the owner
//! and a heartbeat. The lock expires by the host's uptime, which does not change when the clock is
//! set, but not while a step of its run still works: that step holds a kernel lock. A check takes
//! no lock.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::{Connection, Exec, StepLock, TransportError};

/// Default path of the lock on the host.
const DEFAULT_PATH: &str = "/run/skep.lock";

/// Path and times of a lock.
#[derive(Debug, Clone)]
pub struct LockSettings {
    /// Folder on the host; default `/run/skep.lock`. A second folder, with `.d` behind its name,
    /// has the files for kernel locks. Only root can read either.
    pub path: String,
    /// Time between two heartbeats; default 10 s.
    pub heartbeat: Duration,
    /// Maximum age of a heartbeat, in whole seconds; after that, any run may take the lock over.
    /// Default 60 s.
    pub expiry: Duration,
}

impl Default for LockSettings {
    fn default() -> Self {
        Self {
            path: DEFAULT_PATH.into(),
            heartbeat: Duration::from_secs(10),
            expiry: Duration::from_secs(60),
        }
    }
}

/// Shell text that prints whether another run works on the host, and changes nothing. Prints
/// nothing, or `held` and the lock's owner, process, time of acquisition and age of the last
/// heartbeat, or `step` and the owner, process, time and summary of a step that works, each on its
/// own line.
pub const LOOK_AT_LOCK: &str = r#"d=/run/skep.lock
read -r now _ </proc/uptime; now=${now%%.*}
owner= pid= since= beat=
if [ -r "$d/owner" ]; then
  { IFS= read -r token; IFS= read -r owner; IFS= read -r pid; IFS= read -r since; IFS= read -r beat; } <"$d/owner"
fi
case $beat in '' | *[!0-9]*) beat=$((now + 1)) ;; esac
if [ "$beat" -le "$now" ] && [ $((now - beat)) -le 60 ]; then
  printf '%s\n' held "$owner" "$pid" "$since" "$((now - beat))"
elif [ -e "$d.d/work" ] && ! ( flock -s -n 8 ) 8<"$d.d/work"; then
  echo step; head -n 4 -- "$d.d/step"
fi
"#;

/// Beginning of every script of the lock: takes the `flock` that guards the folder, and reads the
/// lock's file. `$1` is the folder, `$2` the token of this run. The `flock` makes "read, decide,
/// write" atomic: without it, two runs could take over the same expired lock. The guard is in a
/// folder of root, because everybody who can open a file can hold its `flock`.
const PREAMBLE: &str = r#"
dir=$1 token=$2
umask 077
[ -d "$dir.d" ] || mkdir -m 0700 -- "$dir.d" || [ -d "$dir.d" ] || exit 1
exec 9>>"$dir.d/guard" || exit 1
flock -w 20 9 || { echo "another process holds $dir.d/guard" >&2; exit 1; }
read -r now _ </proc/uptime; now=${now%%.*}
holder= owner= pid= since= beat=
if [ -d "$dir" ]; then
  if [ -r "$dir/owner" ]; then
    { IFS= read -r holder; IFS= read -r owner; IFS= read -r pid; IFS= read -r since; IFS= read -r beat; } <"$dir/owner"
  fi
fi
write() {
  # cat writes the file: the shell's own printf reports a full disk only as "I/O error".
  printf '%s\n' "$token" "$owner" "$pid" "$since" "$now" | cat >"$dir/owner.new" && mv -f "$dir/owner.new" "$dir/owner"
}
"#;

/// Takes the lock: `$3` is the owner, `$4` the process, `$5` the expiry in seconds. A truncated
/// file (after a full disk) counts as expired. The kernel lock is held until the new owner is
/// written: a step of the old owner that begins later finds another token, and ends. The short wait
/// is for a run that only looks.
const ACQUIRE: &str = r#"
if [ -d "$dir" ] && [ -n "$beat" ] && [ "$beat" -le "$now" ] && [ $((now - beat)) -le "$5" ]; then
  printf '%s\n' held "$owner" "$pid" "$since" "$((now - beat))"
  exit 0
fi
exec 8>>"$dir.d/work" || exit 1
if ! flock -w 1 8; then
  echo step; head -n 4 -- "$dir.d/step"
  exit 0
fi
rm -rf "$dir" && mkdir -m 0700 "$dir" || exit 1
owner=$3 pid=$4 since=$(date -u '+%Y-%m-%d %H:%M:%S UTC')
write || exit 1
echo acquired
"#;

/// Renews the heartbeat, unless another run has taken the lock over.
const BEAT: &str = r#"
[ "$holder" = "$token" ] || { echo gone; exit 0; }
write || exit 1
echo kept
"#;

/// Removes the lock, unless another run has taken it over.
const RELEASE: &str = r#"
[ "$holder" = "$token" ] || { echo gone; exit 0; }
rm -rf "$dir" || exit 1
echo released
"#;

/// Lock that this run holds. Dropping the value stops the heartbeat, after which the lock expires;
/// [`HostLock::release`] frees it at once.
pub struct HostLock {
    shared: Arc<LockState>,
    _heartbeat: AbortOnDropHandle<()>,
}

struct LockState {
    connection: Arc<dyn Connection>,
    settings: LockSettings,
    token: String,
    owner: String,
    gone: AtomicBool,
    last_beat: Mutex<Instant>,
}

impl HostLock {
    /// Takes the lock with default settings; waits up to `wait` for the current holder (zero: one
    /// try).
    ///
    /// # Errors
    /// [`TransportError::Locked`] when another run still holds it, [`TransportError::StepRuns`]
    /// when a step of a dead run still works, [`TransportError::Lock`] when it cannot be created,
    /// other variants when the connection is lost.
    pub async fn acquire(
        connection: Arc<dyn Connection>,
        owner: &str,
        wait: Duration,
    ) -> Result<Self, TransportError> {
        Self::acquire_with(connection, owner, wait, LockSettings::default()).await
    }

    /// Takes the lock with the given settings.
    ///
    /// # Errors
    /// As [`HostLock::acquire`].
    pub async fn acquire_with(
        connection: Arc<dyn Connection>,
        owner: &str,
        wait: Duration,
        settings: LockSettings,
    ) -> Result<Self, TransportError> {
        let token = format!("{:032x}", rand::random::<u128>());
        let owner: String = owner
            .chars()
            .map(|one| if one.is_control() { ' ' } else { one })
            .collect();
        let start = Instant::now();
        let shared = LockState {
            connection,
            settings,
            token,
            owner,
            gone: AtomicBool::new(false),
            last_beat: Mutex::new(Instant::now()),
        };
        loop {
            let expiry = shared.settings.expiry.as_secs().to_string();
            let before = Instant::now();
            let answer = shared
                .run(
                    ACQUIRE,
                    &[&shared.owner, &std::process::id().to_string(), &expiry],
                )
                .await?;
            if answer.first().is_some_and(|word| word == "acquired") {
                *shared
                    .last_beat
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner) = before;
                break;
            }
            let left = wait.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Err(locked(&answer));
            }
            tokio::time::sleep(left.min(Duration::from_secs(1))).await;
        }
        let shared = Arc::new(shared);
        let heartbeat = AbortOnDropHandle::new(tokio::spawn(beat(Arc::clone(&shared))));
        Ok(Self {
            shared,
            _heartbeat: heartbeat,
        })
    }

    /// Returns true if this run still holds the lock: the last heartbeat is recent enough, and no
    /// other run took the lock over. Check this before each step.
    #[must_use]
    pub fn is_held(&self) -> bool {
        let last = *self
            .shared
            .last_beat
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        !self.shared.gone.load(Ordering::Relaxed) && last.elapsed() < self.shared.settings.expiry
    }

    /// Returns the kernel lock for the command of a step of this run.
    #[must_use]
    pub fn step_lock(&self, summary: &str) -> StepLock {
        StepLock {
            path: self.shared.settings.path.clone(),
            token: self.shared.token.clone(),
            owner: self.shared.owner.clone(),
            summary: summary.to_owned(),
        }
    }

    /// Returns the command that frees the lock, to travel with a last step. If it succeeds, drop
    /// the value; otherwise, [`HostLock::release`] is still needed.
    #[must_use]
    pub fn release_command(&self) -> Exec {
        self.shared.command(RELEASE, &[])
    }

    /// Frees the lock. A lock that was lost in the meantime stays with its new holder.
    ///
    /// # Errors
    /// [`TransportError`] when the host cannot be reached; the lock then expires by itself.
    pub async fn release(self) -> Result<(), TransportError> {
        let Self {
            shared,
            _heartbeat: heartbeat,
        } = self;
        drop(heartbeat);
        shared.run(RELEASE, &[]).await.map(drop)
    }
}

async fn beat(shared: Arc<LockState>) {
    loop {
        tokio::time::sleep(shared.settings.heartbeat).await;
        let before = Instant::now();
        match shared.run(BEAT, &[]).await {
            Ok(answer) if answer.first().is_some_and(|word| word == "kept") => {
                *shared
                    .last_beat
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner) = before;
            }
            Ok(_) => {
                shared.gone.store(true, Ordering::Relaxed);
                return;
            }
            // The next beat tries again; `is_held` returns false once the last success is too old.
            Err(error) => tracing::debug!(%error, "no heartbeat"),
        }
    }
}

impl LockState {
    fn command(&self, body: &str, further: &[&str]) -> Exec {
        let mut arguments = vec![self.settings.path.clone(), self.token.clone()];
        arguments.extend(further.iter().map(|&argument| argument.to_owned()));
        Exec {
            arguments,
            timeout: Duration::from_secs(30),
            ..Exec::root(format!("{PREAMBLE}{body}"))
        }
    }

    async fn run(&self, body: &str, further: &[&str]) -> Result<Vec<String>, TransportError> {
        let output = self.connection.exec(self.command(body, further)).await?;
        if !output.success() {
            return Err(TransportError::Lock(format!(
                "{}: {}",
                self.settings.path,
                output.stderr_tail()
            )));
        }
        Ok(String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(str::to_owned)
            .collect())
    }
}

fn locked(answer: &[String]) -> TransportError {
    let field = |index: usize| answer.get(index).cloned().unwrap_or_default();
    if field(0) == "step" {
        return TransportError::StepRuns {
            owner: field(1),
            process: field(2),
            since: field(3),
            step: field(4),
        };
    }
    let silent_for = Duration::from_secs(field(4).parse().unwrap_or(0));
    TransportError::Locked {
        owner: field(1),
        process: field(2),
        since: field(3),
        silent_for,
    }
}

impl TransportError {
    /// Reads the output of [`LOOK_AT_LOCK`]; `None` if no other run works on the host.
    #[must_use]
    pub fn of_lock(output: &str) -> Option<Self> {
        let lines: Vec<String> = output
            .lines()
            .map(|line| {
                line.chars()
                    .map(|one| if one.is_control() { ' ' } else { one })
                    .collect()
            })
            .collect();
        (!lines.is_empty()).then(|| locked(&lines))
    }
}
