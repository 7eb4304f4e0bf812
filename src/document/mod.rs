//! TOML files as trees in which every key and value knows where it stands. Inventories and playbooks are read through
//! this module, so that each error of a user's file, early or late, carries its own line and column.

mod nearest;
mod node;
mod parse;
mod reader;

pub use nearest::{did_you_mean, nearest, nearest_hint};
pub use node::{TomlEntry, TomlNode, TomlValue, is_template};
pub use parse::{TomlDocument, parse_value};
pub use reader::FieldReader;
