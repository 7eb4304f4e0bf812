//! Protects the memory of the process, which holds passwords and keys during a run.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Disables core files of this process and of programs that it starts, and denies other processes
/// of the same account access to its memory (`PR_SET_DUMPABLE`, prctl(2)), which also stops core
/// handlers that ignore the limit. A refusal of the system is only logged.
pub(super) fn disable_core_dumps() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let limited = setrlimit(Resource::Core, none);
    let private = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    for error in [limited.err(), private.err()].into_iter().flatten() {
        tracing::debug!(%error, "core files could not be disabled");
    }
}
