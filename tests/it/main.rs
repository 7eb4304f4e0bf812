//! Every test that needs no lab, in one binary: configuration, real sshd processes on loopback, the house's own rules.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod architecture;
mod documentation;
mod drift;
mod fallback;
mod output;
mod panics;
mod playbook;
mod providers;
#[path = "../proxy/mod.rs"]
mod proxy;
mod sources;
mod ssh;
