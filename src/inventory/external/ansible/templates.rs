//! Renders templates in Ansible's connection variables. A skep inventory has no templates in
//! connection settings, so `ansible_user: "{{ login }}"` is rendered while the inventory is
//! converted. Templates that need Ansible's own filters or lookups are errors.

use std::path::Path;

use minijinja::{Environment, UndefinedBehavior};
use serde_json::{Map, Value};

/// Largest number of times that a result is rendered again, for variables that contain templates.
const ROUNDS: usize = 10;

/// Returns true if a value contains a template.
pub(super) fn is_template(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("{{") || text.contains("{%"),
        Value::Array(items) => items.iter().any(is_template),
        Value::Object(entries) => entries.values().any(is_template),
        _ => false,
    }
}

/// Renders the text of a connection variable of a host.
///
/// # Errors
/// The reason, in one sentence without the text.
pub(super) fn render(
    text: &str,
    host: &str,
    vars: &Map<String, Value>,
    path: &Path,
    folder: &Path,
) -> Result<String, String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let mut context = vars.clone();
    let own = [
        ("inventory_hostname", host.to_owned()),
        (
            "inventory_hostname_short",
            host.split('.').next().unwrap_or(host).to_owned(),
        ),
        ("inventory_dir", folder.to_string_lossy().into_owned()),
        ("inventory_file", path.to_string_lossy().into_owned()),
    ];
    context.extend(own.map(|(name, value)| (name.to_owned(), value.into())));
    let mut text = text.to_owned();
    for _ in 0..ROUNDS {
        text = environment
            .render_str(&text, minijinja::value::Serde(&context))
            .map_err(|error| error.kind().to_string())?;
        if !is_template(&Value::from(text.as_str())) {
            return Ok(text);
        }
    }
    Err("it contains itself".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn variables_of_the_host_and_of_ansible_are_known() {
        let vars = json!({ "login": "{{ base }}-1", "base": "ann" });
        let Value::Object(vars) = vars else { return };
        let rendered = |text: &str| {
            let folder = Path::new("/a/b");
            render(text, "web.x", &vars, &folder.join("hosts"), folder)
        };
        assert_eq!(rendered("{{ login }}"), Ok("ann-1".into()));
        assert_eq!(rendered("{{ login != 'root' }}"), Ok("True".into()));
        assert_eq!(rendered("{{ inventory_dir }}/k"), Ok("/a/b/k".into()));
        assert_eq!(rendered("{{ inventory_hostname_short }}"), Ok("web".into()));
        assert_eq!(rendered("{{ missing }}"), Err("undefined value".into()));
        assert_eq!(
            rendered("{{ login | vault }}"),
            Err("unknown filter".into())
        );
    }
}
