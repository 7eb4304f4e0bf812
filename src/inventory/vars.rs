//! Variables with the places where they are set.

use indexmap::IndexMap;

use crate::diagnostic::SourceSpan;
use crate::document::{FieldReader, TomlEntry, TomlNode};

/// Names that templates use themselves; a variable cannot have them.
pub const RESERVED: &[&str] = &["host", "groups", "facts", "vars", "item", "hosts_in"];

/// A variable: its value, which may be a template, and its place.
#[derive(Debug, Clone)]
pub struct VariableDecl {
    /// Value as written.
    pub node: TomlNode,
    /// Place of the value.
    pub place: SourceSpan,
}

/// Variables by name.
#[derive(Debug, Clone, Default)]
pub struct VariableMap(pub IndexMap<String, VariableDecl>);

impl VariableMap {
    /// Reads a table of variables.
    pub(crate) fn read(reader: &mut FieldReader<'_>, entries: &[TomlEntry]) -> Self {
        let mut vars = Self::default();
        for entry in entries {
            if RESERVED.contains(&entry.key.as_str()) {
                let hint =
                    "templates use this name; choose another one for the variable".to_owned();
                reader.error(
                    &entry.key_span,
                    format!("`{}` is a reserved name", entry.key),
                    Some(hint),
                );
            } else if !is_identifier(&entry.key) {
                let hint = "use letters, digits and `_`, not starting with a digit".to_owned();
                reader.error(
                    &entry.key_span,
                    format!("`{}` is not a valid variable name", entry.key),
                    Some(hint),
                );
            } else {
                let var = VariableDecl {
                    node: entry.node.clone(),
                    place: reader.place(&entry.node.span),
                };
                vars.0.insert(entry.key.clone(), var);
            }
        }
        vars
    }

    /// Adds all variables of a stronger set, replacing weaker ones.
    pub fn merge(&mut self, stronger: &Self) {
        self.0.extend(
            stronger
                .0
                .iter()
                .map(|(name, var)| (name.clone(), var.clone())),
        );
    }

    /// Returns a variable by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&VariableDecl> {
        self.0.get(name)
    }
}

/// Returns the reason why a variable cannot have a name.
pub(super) fn name_fault(name: &str) -> Option<&'static str> {
    if RESERVED.contains(&name) {
        Some("templates use this name themselves")
    } else if !is_identifier(name) {
        Some("templates cannot name it: a name has letters, digits and `_`")
    } else {
        None
    }
}

/// Returns true if the name is an identifier that templates can use.
pub(super) fn is_identifier(name: &str) -> bool {
    !name.starts_with(|letter: char| letter.is_ascii_digit())
        && !name.is_empty()
        && name
            .chars()
            .all(|letter| letter.is_alphanumeric() || letter == '_')
}
