//! Names that every layer uses. This module depends on no other module of skep.

mod host_name;

pub use host_name::HostName;
