//! Place of the unlock key of an autolocked swarm: the environment, or a variable of the inventory.

use super::selection::ConfigurationError;
use crate::base::UNLOCK_KEY;
use crate::inventory::Inventory;
use crate::model::ValueSource;
use crate::names::HostName;

/// Variable of the inventory that tells the place of the key: a table with `age`, `command` or
/// `environment`.
const PLACE: &str = "swarm_unlock_key";

/// Returns the source of the unlock key; `None` if neither the environment nor the inventory tells
/// one. The key itself is read when a manager needs it.
///
/// # Errors
/// For a variable of another form, and a file that cannot be read.
pub(super) fn unlock_key_source(
    inventory: &Inventory,
    hosts: &[HostName],
) -> Result<Option<ValueSource>, ConfigurationError> {
    if std::env::var_os(UNLOCK_KEY).is_some_and(|key| !key.is_empty()) {
        return Ok(Some(ValueSource::Environment(UNLOCK_KEY.into())));
    }
    let vars = hosts.first().and_then(|host| inventory.vars(host));
    let Some(declared) = vars.and_then(|vars| vars.get(PLACE)) else {
        return Ok(None);
    };
    let source = declared.place.source.path();
    let refuse = |why: String| {
        ConfigurationError(format!(
            "error: {}:{}: `{PLACE}` {why}\n  try: {PLACE} = {{ age = \"unlock-key.age\" }}, {{ command = \"pass show swarm\" }} or \
             {{ environment = \"VARIABLE\" }}\n",
            source.display(),
            declared.place.line()
        ))
    };
    let json = declared.node.to_json();
    let fields = json.as_object().filter(|fields| fields.len() == 1);
    let field = fields.and_then(|fields| fields.iter().next());
    let Some((form, text)) = field.and_then(|(key, value)| Some((key.as_str(), value.as_str()?)))
    else {
        return Err(refuse("is not a table with one place of the key".into()));
    };
    match form {
        "environment" => Ok(Some(ValueSource::Environment(text.into()))),
        "command" => Ok(Some(ValueSource::Command(text.into()))),
        "age" => {
            let folder = source.parent().unwrap_or(std::path::Path::new(""));
            let file = folder.join(text);
            let ciphertext = std::fs::read(&file);
            let ciphertext =
                ciphertext.map_err(|error| refuse(format!("names {}: {error}", file.display())))?;
            let name = file.display().to_string();
            Ok(Some(ValueSource::Age { name, ciphertext }))
        }
        other => Err(refuse(format!("has no place `{other}`"))),
    }
}
