//! Versions of secrets and configs: a compose file names `db_password`, the swarm has
//! `db_password-1` and `db_password-2`. The command sees the newest version under the name in the
//! compose file, and its writes get the object's real name. Deploying the same file again therefore
//! moves services to a new version.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::docker::proxy::planned_objects::{id_of, name_of};

/// Label in which the kinds `secret` and `config` keep the name from the playbook.
const NAME_LABEL: &str = "skep.name";

/// Real names, by ID, of objects that were shown under a different name.
pub(super) type AliasedNames = BTreeMap<String, String>;

/// Returns the newest version of a name among these objects, renamed to that name.
pub(super) fn newest(shown: &mut AliasedNames, list: &[Value], name: &str) -> Option<Value> {
    let number = |object: &&Value| {
        let label = object
            .pointer("/Spec/Labels")
            .and_then(|labels| labels.get(NAME_LABEL))
            .and_then(Value::as_str);
        let number = name_of(object)
            .strip_prefix(name)?
            .strip_prefix('-')?
            .parse::<u64>()
            .ok()?;
        (label == Some(name)).then_some(number)
    };
    let found = list
        .iter()
        .filter(|object| number(object).is_some())
        .max_by_key(number)?;
    shown.insert(id_of(found).to_owned(), name_of(found).to_owned());
    let mut object = found.clone();
    object["Spec"]["Name"] = name.into();
    Some(object)
}

/// Replaces the names in a service's references by the objects' real names; returns true if any was
/// changed.
pub(super) fn rename(shown: &AliasedNames, service: &mut Value) -> bool {
    let mut changed = false;
    for (list, id, name) in [
        ("Secrets", "SecretID", "SecretName"),
        ("Configs", "ConfigID", "ConfigName"),
    ] {
        let references = service
            .pointer_mut(&format!("/TaskTemplate/ContainerSpec/{list}"))
            .and_then(Value::as_array_mut);
        for reference in references.into_iter().flatten() {
            let real = reference
                .get(id)
                .and_then(Value::as_str)
                .and_then(|id| shown.get(id));
            if let Some(real) = real {
                reference[name] = real.as_str().into();
                changed = true;
            }
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn newest_version_is_shown_under_the_name() {
        let object = |id: &str, name: &str, label: &str| json!({"ID": id, "Spec": {"Name": name, "Labels": {"skep.name": label}}});
        let list = [
            object("a", "db-2", "db"),
            object("b", "db-10", "db"),
            object("c", "db-11", "other"),
            object("d", "db-two-12", "db-two"),
        ];
        let mut shown = AliasedNames::default();
        let found = newest(&mut shown, &list, "db").unwrap();
        assert_eq!((id_of(&found), name_of(&found)), ("b", "db"));
        assert!(newest(&mut shown, &list, "x").is_none());
        let mut service = json!({"TaskTemplate": {"ContainerSpec": {"Secrets": [
            {"SecretID": "b", "SecretName": "db", "File": {"Name": "db"}}, {"SecretID": "z", "SecretName": "z"}]}}});
        assert!(rename(&shown, &mut service));
        let secrets = &service["TaskTemplate"]["ContainerSpec"]["Secrets"];
        assert_eq!(
            (
                &secrets[0]["SecretName"],
                &secrets[0]["File"]["Name"],
                &secrets[1]["SecretName"]
            ),
            (&json!("db-10"), &json!("db"), &json!("z"))
        );
        assert!(!rename(&AliasedNames::default(), &mut service));
    }
}
