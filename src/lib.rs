//! skep turns bare Ubuntu and Debian machines into a Docker Swarm over SSH, and proves that they still are one.
//!
//! The crate follows one pipeline, cut in different places by the verbs of the command line:
//!
//! ```text
//! load      inventory + playbooks + templates          `inventory`, `playbook`      no network
//! resolve   select hosts, merge vars, render           `playbook`                   no network
//! connect   one SSH connection per host                `transport`
//! gather    all queries of a host in one exec          `runner::gather`
//! plan      answers -> observed -> change              `kinds` (pure)
//! guard     refuse what would hurt                     `runner::guard`, `safety`
//! apply     perform steps, host by host in order       `runner::apply`
//! verify    gather again: every plan must be empty     `runner::apply`
//! report    events -> human | json                     `report`
//! ```
//!
//! Invariants, each held by a test in `tests/it/architecture.rs`: kinds do no I/O; nothing before `connect` opens
//! a socket; only `transport`, `lab`, `schedule`, `machine` and few files more start processes; only `report` and `cli` print; `engine` imports no kind,
//! no `cli` and no `report`.

pub mod cli;
pub mod diagnostic;
pub mod docker;
pub mod document;
pub mod drift;
pub mod drill;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod inventory;
pub mod kinds;
pub mod lab;
pub mod machine;
pub mod model;
pub mod names;
pub mod playbook;
pub mod report;
pub mod runner;
pub mod safety;
pub mod schedule;
pub mod swarm;
pub mod transport;
