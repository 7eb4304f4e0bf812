//! Variables with the places where they were given.

use indexmap::IndexMap;

use crate::diagnostic::SourceSpan;
use crate::document::{FieldReader, TomlEntry, TomlNode};

/// Names that templates already use; a variable cannot have them.
pub const RESERVED: &[&str] = &["host", "groups", "facts", "vars", "item", "hosts_in"];

/// One variable: its value, which may be a template itself, and where it was given.
#[derive(Debug, Clone)]
pub struct VariableDecl {
    /// The value as written.
    pub node: TomlNode,
    /// Where it was written.
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
                let hint = "templates use this name themselves: choose another".to_owned();
                reader.error(
                    &entry.key_span,
                    format!("no variable can be called `{}`", entry.key),
                    Some(hint),
                );
            } else if !is_identifier(&entry.key) {
                let hint =
                    "a variable's name is letters, digits and `_`, not starting with a digit"
                        .to_owned();
                reader.error(
                    &entry.key_span,
                    format!("`{}` is no name for a variable", entry.key),
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

    /// Takes over all variables of a stronger set.
    pub fn merge(&mut self, stronger: &Self) {
        self.0.extend(
            stronger
                .0
                .iter()
                .map(|(name, var)| (name.clone(), var.clone())),
        );
    }

    /// One variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&VariableDecl> {
        self.0.get(name)
    }
}

/// Whether templates could say the name.
pub(super) fn is_identifier(name: &str) -> bool {
    !name.starts_with(|letter: char| letter.is_ascii_digit())
        && !name.is_empty()
        && name
            .chars()
            .all(|letter| letter.is_alphanumeric() || letter == '_')
}
