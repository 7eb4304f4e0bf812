//! Words of truth: the texts that Ansible and Terraform accept for true and false.

use serde_json::Value;

/// Returns the boolean that a value means, or `None`. The words are those of Ansible
/// (`ansible.module_utils.parsing.convert_bool`): `y`, `yes`, `on`, `1`, `true`, `t`, `1.0` and
/// their opposites, in any case and with spaces around them.
pub(super) fn truth_of(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(boolean) => Some(*boolean),
        Value::Number(number) => match number.as_f64() {
            Some(1.0) => Some(true),
            Some(0.0) => Some(false),
            _ => None,
        },
        Value::String(text) => match text.trim().to_lowercase().as_str() {
            "y" | "yes" | "on" | "1" | "true" | "t" | "1.0" => Some(true),
            "n" | "no" | "off" | "0" | "false" | "f" | "0.0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_words_of_ansible_are_read() {
        for value in [
            json!("yes"),
            json!("ON"),
            json!("y"),
            json!("T"),
            json!("1"),
            json!(" true "),
            json!(1),
            json!(1.0),
            json!(true),
        ] {
            assert_eq!(truth_of(&value), Some(true), "{value}");
        }
        for value in [
            json!("no"),
            json!("Off"),
            json!("n"),
            json!("f"),
            json!("0"),
            json!(0),
            json!(false),
        ] {
            assert_eq!(truth_of(&value), Some(false), "{value}");
        }
        for value in [
            json!("perhaps"),
            json!(2),
            json!(null),
            json!([]),
            json!(""),
        ] {
            assert_eq!(truth_of(&value), None, "{value}");
        }
    }
}
