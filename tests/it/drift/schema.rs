//! The published schema against real output. The validator knows the keywords that the schema uses,
//! and refuses all others.

use serde_json::Value;

use super::site::DriftSite;

/// Collects the errors of a value, as paths with reasons.
fn validate(root: &Value, schema: &Value, value: &Value, path: &str, wrong: &mut Vec<String>) {
    let mut own = Vec::new();
    let mut say = |why: String| own.push(format!("{path}: {why}"));
    for (word, rule) in schema.as_object().expect("a schema is an object") {
        match word.as_str() {
            "$schema" | "title" | "description" | "$defs" => {}
            "const" if rule != value => say(format!("{value} is not {rule}")),
            "enum" if !rule.as_array().unwrap().contains(value) => {
                say(format!("{value} is none of {rule}"));
            }
            "minimum"
                if value
                    .as_i64()
                    .is_some_and(|number| number < rule.as_i64().unwrap()) =>
            {
                say("too small".into());
            }
            "type" if !is_of(value, rule.as_str().unwrap()) => say(format!("{value} is no {rule}")),
            "pattern" => {
                // The patterns of the schema contain only digits and literals.
                let shape = rule.as_str().unwrap().trim_matches(['^', '$']);
                let shape = shape.replace("[0-9]{4}", "0000").replace("[0-9]{2}", "00");
                let given = value.as_str().unwrap_or_default();
                let given: String = given
                    .chars()
                    .map(|letter| if letter.is_ascii_digit() { '0' } else { letter })
                    .collect();
                if shape != given {
                    say(format!("{value} is not like {rule}"));
                }
            }
            "required" => {
                for key in rule.as_array().unwrap() {
                    if value.get(key.as_str().unwrap()).is_none() {
                        say(format!("lacks {key}"));
                    }
                }
            }
            "const" | "enum" | "minimum" | "type" => {}
            "properties" => {
                for (key, inner) in rule.as_object().unwrap() {
                    if let Some(value) = value.get(key) {
                        validate(root, inner, value, &format!("{path}/{key}"), wrong);
                    }
                }
            }
            "items" => {
                for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                    validate(root, rule, value, &format!("{path}/{index}"), wrong);
                }
            }
            "$ref" => {
                let target = root
                    .pointer(rule.as_str().unwrap().trim_start_matches('#'))
                    .expect("the reference is there");
                validate(root, target, value, path, wrong);
            }
            "allOf" => {
                for inner in rule.as_array().unwrap() {
                    validate(root, inner, value, path, wrong);
                }
            }
            "anyOf" => {
                let any = rule.as_array().unwrap().iter().any(|inner| {
                    let mut found = Vec::new();
                    validate(root, inner, value, path, &mut found);
                    found.is_empty()
                });
                if !any {
                    wrong.push(format!("{path}: {value} is none of what it may be"));
                }
            }
            other => panic!("the schema uses `{other}`, which this test does not check"),
        }
    }
    wrong.extend(own);
}

fn is_of(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("type {other}"),
    }
}

/// Collects keys that the document has and the schema does not know, because they would be
/// unpublished.
fn unpublished(root: &Value, schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    let mut known = serde_json::Map::new();
    let mut todo = vec![schema];
    while let Some(schema) = todo.pop() {
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            todo.extend(root.pointer(target.trim_start_matches('#')));
        }
        for word in ["allOf", "anyOf"] {
            todo.extend(
                schema
                    .get(word)
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten(),
            );
        }
        known.extend(
            schema
                .get("properties")
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default(),
        );
        if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
            for value in values {
                unpublished(root, items, value, path, found);
            }
        }
    }
    for (key, value) in value
        .as_object()
        .into_iter()
        .flatten()
        .filter(|_| !known.is_empty())
    {
        match known.get(key) {
            Some(schema) => unpublished(root, schema, value, &format!("{path}/{key}"), found),
            None => found.push(format!("{path}/{key}")),
        }
    }
}

#[test]
fn reports_match_published_schema() {
    let mut site = DriftSite::new(4);
    let published = site.skep(&["schema", "report"]).exits(0).stdout;
    let schema: Value = serde_json::from_str(&published).unwrap();
    site.playbook(
        "{ file = { path = 'HOST/secret', content = 'hunter2', secret = true } },\n\
         { file = { path = 'HOST/lines', content = \"a\\nb\\n\" } },\n{ directory = { path = 'HOST/d', mode = '0700' } },",
    );
    site.run("apply", &["--yes"]).exits(0);
    site.write("host-a/secret", "hunter3");
    site.write("host-a/lines", "a\nc\n");
    std::fs::remove_dir(site.path("host-b/d")).unwrap();
    std::fs::remove_dir(site.path("host-c/d")).unwrap();
    site.write("host-c/d", "a file stands in its place");
    site.hosts[3].stop();
    let rule = "hosts = 'b'\nresource = 'directory[*]'\nreason = 'known'\n";
    site.write(
        "inventory/ignore.toml",
        &format!(
            "[[ignore]]\n{rule}expires = '2999-01-01'\n[[ignore]]\n{rule}expires = '2001-01-01'\n"
        ),
    );
    site.run("check", &["--report", "r.json"]).exits(1);
    let report = site.json("r.json");
    assert_eq!(report["state"], "failed", "{report:#}");
    let states: Vec<&str> = report["hosts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|host| host["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["drift", "in_sync", "failed", "unreachable"]);
    let mut wrong = Vec::new();
    validate(&schema, &schema, &report, "", &mut wrong);
    unpublished(&schema, &schema, &report, "", &mut wrong);
    assert!(wrong.is_empty(), "{wrong:#?}\n{report:#}");
    let text = site.read("r.json");
    assert!(!text.contains("hunter"), "secrets are masked: {text}");
    assert_eq!(
        report["hosts"][0]["drift"][0]["fields"][0]["before"],
        serde_json::json!({ "type": "secret" })
    );
    assert_eq!(
        report["hosts"][0]["drift"][0]["cause"],
        "changed_behind_our_back"
    );

    // The validator itself finds errors.
    let mut broken = report.clone();
    broken["hosts"][0]["state"] = "fine".into();
    broken["started"] = "yesterday".into();
    broken.as_object_mut().unwrap().remove("totals");
    broken["news"] = 1.into();
    let mut wrong = Vec::new();
    validate(&schema, &schema, &broken, "", &mut wrong);
    unpublished(&schema, &schema, &broken, "", &mut wrong);
    assert_eq!(wrong.len(), 4, "{wrong:#?}");
}
