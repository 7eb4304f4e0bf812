//! End-to-end tests on lab nodes with systemd, sshd, apt and their own Docker Engines. They need
//! root and Docker on this machine; if the lab cannot run, they fail with the reason. Each test
//! creates a lab environment and removes it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub
)]

mod address_change;
mod age_keys;
mod applications;
mod bootstrap;
mod bootstrap_variants;
mod clock_and_certificate;
mod cluster_check;
mod data_volumes;
mod disk_full;
mod drained_apply;
mod drift_repair;
mod drift_reports;
mod drill;
mod foreign_swarm;
mod host_conditions;
mod interrupted_runs;
mod join_tokens;
mod kinds;
mod kinds_cluster;
mod kinds_engine;
mod kinds_packages;
mod link_faults;
mod login_shells;
mod node_identity;
mod node_maintenance;
mod node_namespaces;
mod node_rebuild;
mod node_snapshot;
mod node_upgrade;
mod old_engine;
mod path_safety;
mod plays;
#[path = "../proxy/mod.rs"]
mod proxy;
mod quorum;
mod readonly;
mod registry;
mod registry_images;
mod renamed_site;
mod schedule;
mod skep;
mod small_image;
mod stack;
mod sudo;
mod swarm_keys;
mod swarm_recovery;
mod test_lab;
mod trace;
mod untrusted_input;
mod vagrant;
mod virtual_machines;
