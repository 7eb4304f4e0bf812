//! skep turns bare Ubuntu and Debian machines into a Docker Swarm over SSH, and checks that they
//! still form that swarm.
//!
//! The crate follows one pipeline; each verb of the command line ends at a different stage:
//!
//! ```text
//! load      inventory + playbooks + templates          `inventory`, `playbook`      no network
//! resolve   select hosts, merge vars, render           `playbook`                   no network
//! connect   one SSH connection per host                `transport`
//! gather    all queries of a host in one exec          `runner::gather`
//! plan      answers -> observed -> change              `kinds` (pure)
//! guard     refuse harmful changes                     `runner::guard`, `safety`
//! apply     perform steps, host by host in order       `runner::apply`
//! verify    gather again: every plan must be empty     `runner::apply`
//! report    events -> human | json                     `report`
//! ```
//!
//! Invariants, each held by a test in `tests/it/architecture.rs`: kinds do no I/O; nothing before
//! `connect` opens a socket; only `transport`, `lab`, `schedule`, `machine` and a few other files
//! start processes; only `report` and `cli` print; `runner` imports no kind, no `cli` and no
//! `report`.

pub mod base;
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
pub mod maintenance;
pub mod model;
pub mod names;
pub mod playbook;
pub mod probe;
pub mod rebuild;
pub mod report;
pub mod runner;
pub mod safety;
pub mod schedule;
pub mod swarm;
pub mod transport;
