//! Small functions that every layer uses. They know neither skep's terms nor any other module of
//! skep.

mod shell_quote;

pub use shell_quote::sh_quote;
