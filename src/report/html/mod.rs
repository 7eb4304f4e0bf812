//! A report as one self-contained HTML page: the nodes of the swarm as a drawing, a table with
//! filters, and the diffs. The page loads nothing; every text is escaped, and its content security
//! policy allows only its own script.

mod view;

use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, context};

use crate::drift::CheckReport;

const PAGE: &str = include_str!("page.html");

/// Renders the page.
///
/// # Errors
/// An error of the template, which is a defect of skep.
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
pub(in crate::report) mod tests;
