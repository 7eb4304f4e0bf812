//! The rendered table of a resource, in the forms that binding needs. A table without templates is
//! the same on every host and is rendered only once.

use std::sync::{Arc, OnceLock};

use crate::document::TomlNode;
use crate::model::DefinitionStart;

/// A table after rendering.
pub(super) struct RenderedTable {
    pub(super) table: TomlNode,
    /// The table as JSON, to distinguish a repetition from a contradiction.
    pub(super) content: Arc<serde_json::Value>,
    pub(super) definition: DefinitionStart,
}

impl RenderedTable {
    pub(super) fn new(kind: &str, table: TomlNode) -> Self {
        let content = table.to_json();
        Self {
            definition: DefinitionStart::new(kind, &content),
            content: Arc::new(content),
            table,
        }
    }
}

/// Rendered form of a table without templates, made on first use; `None` for a table with
/// templates.
#[derive(Default)]
pub(super) struct StaticRendering(OnceLock<Option<Arc<RenderedTable>>>);

impl StaticRendering {
    pub(super) fn get(&self, kind: &str, table: &TomlNode) -> Option<Arc<RenderedTable>> {
        let make =
            || (!table.has_template()).then(|| Arc::new(RenderedTable::new(kind, table.clone())));
        self.0.get_or_init(make).clone()
    }
}

// Not derived: a table may hold a secret, and a short secret could be guessed from its digest.
impl std::fmt::Debug for StaticRendering {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Fixed")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::document::{TomlEntry, TomlValue};

    fn table(key: &str, text: &str) -> TomlNode {
        let node = TomlNode::new(
            TomlValue::Array(vec![TomlNode::new(TomlValue::String(text.into()), 0..0)]),
            0..0,
        );
        TomlNode::new(
            TomlValue::Table(vec![TomlEntry {
                key: key.into(),
                key_span: 0..0,
                node,
            }]),
            0..0,
        )
    }

    #[test]
    fn only_tables_without_any_template_are_shared() {
        let (fixed, plain) = (StaticRendering::default(), table("a", "b"));
        let (one, other) = (
            fixed.get("file", &plain).unwrap(),
            fixed.get("file", &plain).unwrap(),
        );
        assert!(Arc::ptr_eq(&one, &other));
        assert_eq!(*one.content, serde_json::json!({ "a": ["b"] }));
        assert!(
            StaticRendering::default()
                .get("file", &table("a", "{{ b }}"))
                .is_none()
        );
        assert!(
            StaticRendering::default()
                .get("file", &table("{{ a }}", "b"))
                .is_none()
        );
        assert!(
            StaticRendering::default()
                .get("file", &table("a", "{# b #}"))
                .is_none()
        );
    }
}
