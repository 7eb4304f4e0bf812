//! Small functions that every layer uses. They know neither skep's terms nor any other module of
//! skep.

mod glob;
mod hex;
mod safe_paths;
mod shell_quote;
mod whole_file;

pub use glob::{GlobUnit, glob_matches};
pub use hex::hex;
pub use safe_paths::{path_script, path_walk, script_without_comments};
pub use shell_quote::sh_quote;
pub use whole_file::write_whole_file;
