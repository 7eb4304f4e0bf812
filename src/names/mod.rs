//! Names that every layer uses. Nothing here knows another module of skep.

mod host_name;

pub use host_name::HostName;
