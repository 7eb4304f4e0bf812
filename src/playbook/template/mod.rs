//! Templates: minijinja with strict undefined values. A string that is a single `{{ expression }}`
//! gives the value of the expression (a list, a number, a table). Any other string gives text.

mod confinement;
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
