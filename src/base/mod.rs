//! Small functions that every layer uses. They know neither skep's terms nor any other module of
//! skep.

mod glob;
mod hex;
mod shell_quote;
mod url_credentials;
mod whole_file;

pub use glob::{GlobUnit, glob_matches};
pub use hex::hex;
pub use shell_quote::sh_quote;
pub use url_credentials::{mask_url_passwords, url_passwords};
pub use whole_file::write_whole_file;
