//! TOML files as trees in which every key and value carries its position. Inventories and
//! playbooks are read through this module, so that each error in a user's file, early or late,
//! has its own line and column.

mod nearest;
mod node;
mod parse;
mod reader;

pub use nearest::{did_you_mean, nearest, nearest_hint};
pub use node::{TomlEntry, TomlNode, TomlValue, is_template};
pub use parse::{TomlDocument, parse_value};
pub use reader::FieldReader;
