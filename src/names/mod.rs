//! Names that every layer uses. This module depends on no other module of skep.

mod host_name;
mod short_list;

pub use host_name::HostName;
pub use short_list::short_list;
