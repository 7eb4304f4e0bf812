//! Reads and writes the folder in which a manager keeps the state of its swarm. The Engine is
//! stopped meanwhile, because it writes to the folder all the time.

use std::time::Duration;

use super::locked_host::run_locked_step;
use crate::base::path_script;
use crate::model::{Step, sha256};
use crate::names::HostName;
use crate::runner::Fleet;

/// Time limit of either script.
const LIMIT: Duration = Duration::from_secs(300);

/// Prints the SHA-256 digest of an archive, a line break, and the archive. $1 is the folder of
/// Docker's data. The archive is made in memory that only root can read, so the Engine starts again
/// however slow the link is, and also if the link breaks.
const READ: &str = r#"
trap '' HUP PIPE
only_root "$1"
folder=$(mktemp -d -p /run skep-backup.XXXXXXXX)
trap 'rm -rf "$folder"; systemctl start docker.service' EXIT
systemctl stop docker.socket docker.service
status=0
tar -C "$1" -czf "$folder/raft.tar.gz" swarm || status=$?
systemctl start docker.service
[ "$status" -eq 0 ] || exit "$status"
sha256sum <"$folder/raft.tar.gz" | cut -c 1-64
cat "$folder/raft.tar.gz"
"#;

/// Puts an archive from standard input into the place of the present folder. $1 is the folder of
/// Docker's data, $2 the SHA-256 digest of the archive. If it cannot be unpacked, the present
/// folder comes back.
const WRITE: &str = r#"
trap '' HUP PIPE
only_root "$1"
folder=$(mktemp -d -p /run skep-backup.XXXXXXXX)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/raft.tar.gz"
if [ "$(sha256sum <"$folder/raft.tar.gz" | cut -c 1-64)" != "$2" ]; then
  echo 'the archive did not arrive whole; nothing was changed' >&2
  exit 1
fi
systemctl stop docker.socket docker.service
rm -rf "$1/swarm.before"
[ ! -e "$1/swarm" ] || mv "$1/swarm" "$1/swarm.before"
status=0
tar -C "$1" -xzf "$folder/raft.tar.gz" swarm || status=$?
if [ "$status" -ne 0 ]; then
  rm -rf "$1/swarm"
  [ ! -e "$1/swarm.before" ] || mv "$1/swarm.before" "$1/swarm"
fi
rm -rf "$1/swarm.before"
systemctl start docker.service
exit "$status"
"#;

/// Stops the Engine of a manager, reads the state of its swarm as a gzipped tar archive with the
/// folder `swarm`, and starts the Engine again. `root` is the folder of Docker's data.
///
/// # Errors
/// Reason in one sentence.
pub async fn read_raft_archive(
    fleet: &Fleet,
    host: &HostName,
    root: &str,
    owner: &str,
    wait: Duration,
) -> Result<Vec<u8>, String> {
    let step =
        Step::script("read the state of the swarm", path_script(READ), [root]).with_timeout(LIMIT);
    let output = run_locked_step(fleet, host, &step, owner, wait).await?;
    let end = output.stdout.iter().position(|byte| *byte == b'\n');
    let (digest, archive) = output.stdout.split_at(end.unwrap_or_default());
    let archive = archive.get(1..).unwrap_or_default().to_vec();
    if archive.is_empty() || sha256(&archive).as_bytes() != digest {
        return Err("the archive did not arrive whole".into());
    }
    Ok(archive)
}

/// Stops the Engine, replaces the state of its swarm, and starts the Engine again.
///
/// # Errors
/// Reason in one sentence.
pub async fn write_raft_archive(
    fleet: &Fleet,
    host: &HostName,
    root: &str,
    archive: &[u8],
    owner: &str,
    wait: Duration,
) -> Result<(), String> {
    let digest = sha256(archive);
    let step = Step::script(
        "write the state of the swarm",
        path_script(WRITE),
        [root, digest.as_str()],
    )
    .with_timeout(LIMIT)
    .with_stdin(archive.to_vec());
    run_locked_step(fleet, host, &step, owner, wait)
        .await
        .map(drop)
}
