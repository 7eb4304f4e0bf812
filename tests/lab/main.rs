//! The story on real machines: lab nodes with systemd, sshd, apt and their own Engines. Needs root and Docker on this machine;
//! where the lab cannot run, these tests fail and say why. Each test has a lot of its own and removes it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod drift;
mod faults;
mod foreign;
mod hostile;
mod image;
mod kinds;
mod kinds_engine;
mod kinds_packages;
mod lot;
mod plays;
mod quorum;
mod readonly;
mod schedule;
mod secrets;
mod skep;
mod stack;
mod story;
mod tamper;
mod trace;
mod variants;
