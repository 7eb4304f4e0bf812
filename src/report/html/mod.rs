//! A report as one self-contained page: the swarm drawn as nodes, a table that can be filtered, the diffs. It loads nothing from
//! anywhere; every text is escaped, and the page's own policy runs no script but its own.

mod view;

use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, context};

use crate::drift::CheckReport;

const PAGE: &str = include_str!("page.html");

/// The page.
///
/// # Errors
/// A defect of the template.
pub fn html_text(report: &CheckReport) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    environment.add_template("page.html", PAGE)?;
    let page = view::page(report);
    let nonce = format!("{:032x}", rand::random::<u128>());
    environment
        .get_template("page.html")?
        .render(context! { nonce, ..Value::from(Serde(&page)) })
}

#[cfg(test)]
mod tests;
