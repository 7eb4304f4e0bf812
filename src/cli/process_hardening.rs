//! Keeps the process's memory to itself: it holds passwords and keys while a run lasts.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// No core files, of this process or of programs that it starts; and no other process of the same account may look into this one
/// (`PR_SET_DUMPABLE`, prctl(2)), which also keeps it from core handlers that ignore the limit. A system that refuses is left as it is.
pub fn disable_core_dumps() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let limited = setrlimit(Resource::Core, none);
    let private = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    for error in [limited.err(), private.err()].into_iter().flatten() {
        tracing::debug!(%error, "core files are not switched off");
    }
}
