//! Templates: minijinja with strict undefined. A string that is one `{{ expression }}` gives the expression's own value
//! (a list, a number, a table); every other string gives text.

mod context;
mod convert;
mod explain;
mod facts;
mod files;
mod folder;
mod render;
mod scope;
mod tree;

pub(super) use context::TemplateContext;
pub(super) use facts::FactsView;
pub(super) use files::PlaybookFiles;
pub(super) use folder::PlaybookFolder;
pub(super) use render::{render_condition, render_list, render_node};
pub(super) use scope::TemplateScope;
