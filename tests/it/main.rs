//! Tests that need no lab, in one binary: configuration, real sshd processes on loopback, and rules
//! about the sources.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub
)]

mod architecture;
mod chaos_account;
mod documentation;
mod drift;
mod fallback;
mod foreign_inventories;
mod layers;
mod operator;
mod output;
mod panics;
mod path_scripts;
mod playbook;
mod providers;
#[path = "../proxy/mod.rs"]
mod proxy;
mod sources;
mod ssh;
