//! Shell prelude of every step that runs apt or dpkg. With it, apt asks no questions, no service is
//! restarted on the side, and the step waits for cloud-init, unattended upgrades and every other
//! process that holds one of apt's locks.

use std::time::Duration;

use crate::model::Step;

/// Time limit of a step that runs apt, including the wait for locks: half an hour.
pub(super) const APT_TIMEOUT: Duration = Duration::from_secs(30 * 60);

// The script waits for both locks in the same way, by trying again: `DPkg::Lock::Timeout` covers
// neither `apt-get update` (the lock of the lists) nor dpkg itself. Of apt's messages, only lines
// that begin with `E:` count: apt also prints `Waiting for cache lock` before it fails for another
// reason. The output goes to a file without a name, not to a pipe: a daemon that a package's script
// starts may keep it open, and the end of a pipe would come with the end of the daemon.
const PRELUDE: &str = r#"export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l APT_LISTCHANGES_FRONTEND=none
wait_for_cloud_init() {
  command -v cloud-init >/dev/null 2>&1 || return 0
  [ ! -e /run/cloud-init/result.json ] || return 0
  timeout 600 cloud-init status --wait >/dev/null 2>&1 || true
}
patiently() {
  while :; do
    status=0
    said=$(mktemp -p /run skep-apt.XXXXXXXX 2>/dev/null || mktemp)
    exec 7<>"$said"
    rm -f -- "$said"
    "$@" >&7 2>&1 </dev/null || status=$?
    output=$(tail -c 1048576 /proc/self/fd/7)
    exec 7<&-
    if [ "$status" -eq 0 ]; then
      printf '%s\n' "$output"
      return 0
    fi
    case $output in
      *"E: Could not get lock"* | *"E: Unable to lock directory"* | *"E: Unable to acquire the dpkg frontend lock"*) ;;
      # dpkg names the program since 1.22: "dpkg frontend lock was locked by apt-get process with pid 7".
      *" lock was locked by "* | *"status database is locked by another process"*) ;;
      *)
        # Lines about progress would only hide the reason.
        printf '%s\n' "$output" | grep -v -E '^(Selecting|Preparing|Unpacking|Setting up|Processing|Removing|Get:|Hit:|Fetched|Reading|Building|\(Reading)' >&2 || :
        case $output in
          *"package lists or status file could not be parsed"* | *"Unable to parse package file"* | *"Problem with MergeList"* | *"package cache file is corrupted"*)
            echo "a file below /var/lib/apt/lists is damaged: remove the files there on the host (rm -rf /var/lib/apt/lists/*), then run again" >&2
            ;;
        esac
        return "$status"
        ;;
    esac
    if [ "$(date +%s)" -ge "$deadline" ]; then
      printf '%s\n' "$output" "apt was busy for more than ten minutes" >&2
      return "$status"
    fi
    sleep 2
  done
}
wait_for_cloud_init
deadline=$(($(date +%s) + 600))
"#;

/// Returns a step that runs apt or dpkg. `body` may call `patiently COMMAND ...`, which waits for
/// locks.
pub(super) fn apt_step<A: Into<String>>(
    summary: impl Into<String>,
    body: impl std::fmt::Display,
    arguments: impl IntoIterator<Item = A>,
) -> Step {
    Step::script(summary, format!("{PRELUDE}{body}"), arguments).with_timeout(APT_TIMEOUT)
}

/// Returns a step that fetches the package lists of all sources. It prints the warnings of apt, and
/// does not fail because of a source that cannot be fetched.
#[must_use]
pub fn refresh_lists() -> Step {
    let none: [&str; 0] = [];
    apt_step(
        "fetch the package lists",
        "patiently apt-get -q update\n",
        none,
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::trial::{self, ScratchFolder};
    use super::PRELUDE;

    fn try_it(apt: &str) -> (Result<String, String>, usize) {
        let scratch = ScratchFolder::new();
        let (program, count) = (scratch.path("apt-get"), scratch.path("count"));
        let text = format!("#!/bin/sh\necho x >>'{count}'\ntries=$(wc -l <'{count}')\n{apt}\n");
        let body = format!("{PRELUDE}patiently \"$1\" update\n");
        std::fs::write(&program, text).unwrap();
        trial::run("chmod 755 \"$1\"", std::slice::from_ref(&program), b"", &[]).unwrap();
        let result = trial::run(&body, &[program], b"", &[]);
        (
            result,
            std::fs::read_to_string(count).unwrap().lines().count(),
        )
    }

    #[test]
    fn waits_for_a_held_lock() {
        let busy = "echo 'E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt)' >&2; exit 100";
        let (result, tries) = try_it(&format!("[ \"$tries\" -ge 2 ] || {{ {busy}; }}\necho done"));
        assert_eq!((result.unwrap().trim(), tries), ("done", 2));
        // The words of dpkg since 1.22.
        let busy = "echo 'dpkg: error: dpkg frontend lock was locked by /usr/bin/apt-get process with pid 7' >&2; exit 2";
        let (result, tries) = try_it(&format!("[ \"$tries\" -ge 2 ] || {{ {busy}; }}\necho done"));
        assert_eq!((result.unwrap().trim(), tries), ("done", 2));
    }

    #[test]
    fn a_daemon_that_keeps_the_output_open_is_not_waited_for() {
        let started = std::time::Instant::now();
        let (result, tries) = try_it("sleep 30 &\necho done");
        assert_eq!((result.unwrap().trim(), tries), ("done", 1));
        assert!(started.elapsed() < std::time::Duration::from_secs(20));
    }

    #[test]
    fn damaged_lists_are_named() {
        // The words of apt 2 and 3.
        for words in [
            "E: The package lists or status file could not be parsed or opened.",
            "E: Unable to parse package file /var/lib/apt/lists/x_Packages (1)",
        ] {
            let (result, _) = try_it(&format!("echo '{words}' >&2; exit 100"));
            let error = result.unwrap_err();
            assert!(error.contains("rm -rf /var/lib/apt/lists/*"), "{error}");
        }
    }

    #[test]
    fn other_failures_fail_at_once_with_the_message_of_apt() {
        let waited = "Waiting for cache lock: Could not get lock /var/lib/dpkg/lock-frontend";
        let (result, tries) = try_it(&format!(
            "echo '{waited}'\necho 'E: Unable to locate package x' >&2\nexit 100"
        ));
        let error = result.unwrap_err();
        assert!(
            error.contains("Unable to locate package x") && error.contains("100"),
            "{error}"
        );
        assert_eq!(tries, 1);
    }
}
