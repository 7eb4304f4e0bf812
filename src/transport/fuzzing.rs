//! The entries for fuzzing of the modules below.

pub(crate) use super::known_hosts::fuzzing::known_hosts;
pub(crate) use super::ssh::fuzzing::stream;
pub(crate) use super::ssh_config::fuzzing::settings;
