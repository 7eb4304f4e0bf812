//! Small functions that every layer uses. They know neither skep's terms nor any other module of
//! skep.

mod child_process;
mod glob;
mod hex;
mod safe_paths;
mod shell_quote;
mod shell_text;
mod tidy_path;
mod token_value;
mod url_credentials;
mod whole_file;

pub use child_process::{SECRET_VARIABLES, UNLOCK_KEY, child_command};
pub use glob::{GlobUnit, glob_matches};
pub use hex::hex;
pub use safe_paths::{path_script, path_walk, script_without_comments};
pub use shell_quote::sh_quote;
pub use shell_text::{RUN_SHELL_TEXT, RUN_SHELL_TEXT_STRICT};
pub use tidy_path::tidy_path;
pub use token_value::{token_path_fault, token_value_fault};
pub use url_credentials::{mask_url_passwords, url_passwords};
pub use whole_file::write_whole_file;
