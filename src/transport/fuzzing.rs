//! Entry points for fuzzing the modules of this folder. The invariants are in the `fuzzing` file of
//! each module.

pub(crate) use super::known_hosts::fuzzing::known_hosts;
pub(crate) use super::ssh::fuzzing::stream;
pub(crate) use super::ssh_config::fuzzing::settings;
