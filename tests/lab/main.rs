//! The story on real machines: lab nodes with systemd, sshd, apt and their own Engines. Needs root and Docker on this machine;
//! where the lab cannot run, these tests fail and say why. Each test has a lot of its own and removes it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    missing_docs
)]

mod address;
mod applications;
mod away;
mod cluster;
mod cuts;
mod drift;
mod drill;
mod environment;
mod faults;
mod foreign;
mod hostile;
mod image;
mod kinds;
mod kinds_cluster;
mod kinds_engine;
mod kinds_packages;
mod lot;
mod old_engine;
mod plays;
#[path = "../proxy/mod.rs"]
mod proxy;
mod quorum;
mod readonly;
mod rebuild;
mod registry;
mod schedule;
mod secrets;
mod skep;
mod stack;
mod story;
mod tamper;
mod trace;
mod variants;
mod virtual_machines;
mod volume;
mod weather;
mod weather_disks;
mod weather_shells;
mod weather_sudo;
