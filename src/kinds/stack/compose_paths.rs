//! Checks the paths in compose files before the `docker` command reads them. The command would read
//! every file of this machine that a compose file names, and put its content into the swarm.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize as _;
use serde_yaml_ng::{Deserializer, Mapping, Value};

use super::interpolation::interpolate;
use crate::model::InvalidField;

/// Input of the check.
pub(super) struct ComposePaths<'a> {
    /// Files of the stack's folder.
    pub files: &'a BTreeMap<String, Vec<u8>>,
    /// Values of `${NAME}`.
    pub variables: &'a BTreeMap<String, String>,
    /// Folder of the first compose file, to which paths are relative.
    pub base: PathBuf,
}

impl ComposePaths<'_> {
    /// Checks one compose file.
    ///
    /// # Errors
    /// [`InvalidField`] for a file that is not YAML, that names a file outside of the stack's
    /// folder, or that mounts a folder of this machine.
    pub(super) fn check(&self, field: &str, name: &str) -> Result<(), InvalidField> {
        let invalid = |(message, hint): (String, &str)| {
            InvalidField::new(field, format!("{name}: {message}")).hint(hint)
        };
        let text = self.files.get(name).map(Vec::as_slice).unwrap_or_default();
        // Docker decodes such values, and this check does not see their text.
        if text.windows(8).any(|part| part == b"!!binary") {
            return Err(invalid((
                "it contains a value with the tag `!!binary`".into(),
                "write the value as text",
            )));
        }
        for document in Deserializer::from_slice(text) {
            let broken = |error: serde_yaml_ng::Error| {
                invalid((format!("it is not valid YAML: {error}"), "correct the file"))
            };
            let mut document = Value::deserialize(document).map_err(broken)?;
            document.apply_merge().map_err(broken)?;
            self.document(&document).map_err(invalid)?;
        }
        Ok(())
    }

    fn document(&self, document: &Value) -> Result<(), (String, &'static str)> {
        for (section, one) in [("configs", "config"), ("secrets", "secret")] {
            for (name, object) in entries(document, section) {
                if let Some(path) = field(object, "file") {
                    self.file(&format!("`file` of the {one} `{name}`"), path)?;
                }
            }
        }
        for (name, service) in entries(document, "services") {
            for key in ["env_file", "label_file"] {
                for item in field(service, key).into_iter().flat_map(items) {
                    let path = field(item, "path").unwrap_or(item);
                    self.file(&format!("`{key}` of the service `{name}`"), path)?;
                }
            }
            for mount in field(service, "volumes").into_iter().flat_map(items) {
                self.mount(&name, mount)?;
            }
        }
        Ok(())
    }

    /// Checks that a file which the command would read is a file of the stack.
    fn file(&self, what: &str, path: &Value) -> Result<(), (String, &'static str)> {
        let written = match plain(path) {
            Value::Null => return Ok(()),
            Value::String(text) => text,
            _ => {
                return Err((
                    format!("{what} is not text"),
                    "write the path of a file beside the compose file",
                ));
            }
        };
        let Some(path) = interpolate(written, self.variables) else {
            return Err((
                format!("{what} is `{written}`, which skep cannot evaluate"),
                "write the path itself, or a plain ${NAME}",
            ));
        };
        let inside = match path.starts_with('~') {
            true => None,
            false => inside(&self.base, &path),
        };
        match inside {
            None => Err((
                format!("{what} is `{path}`, a file of this machine outside of the stack's folder"),
                "put the file beside the compose file, name it in `files`, and write its relative path",
            )),
            Some(name) if self.files.contains_key(&name) => Ok(()),
            Some(name) => Err((
                format!("{what} is `{path}`, but the stack has no file `{name}`"),
                "name the file in `files` (used verbatim) or `file_templates` (rendered)",
            )),
        }
    }

    /// Refuses a bind mount whose source is relative: the command would make it a path of this
    /// machine, which means nothing on a node.
    fn mount(&self, service: &str, mount: &Value) -> Result<(), (String, &'static str)> {
        let source = match plain(mount) {
            Value::String(text) => {
                let Some(text) = interpolate(text, self.variables) else {
                    return Ok(());
                };
                match text.split_once(':') {
                    Some((source, _)) if source.starts_with(['.', '~']) => source.to_owned(),
                    _ => return Ok(()),
                }
            }
            mount => {
                let text = |key: &str| field(mount, key).and_then(Value::as_str);
                let source = text("source").and_then(|text| interpolate(text, self.variables));
                match (text("type"), source) {
                    (Some("bind"), Some(source)) if !source.starts_with('/') => source,
                    _ => return Ok(()),
                }
            }
        };
        Err((
            format!(
                "the service `{service}` mounts `{source}`, a path of this machine, which means nothing on a node"
            ),
            "write the absolute path of a directory of the node (see the kind `directory`), a named volume, \
             or a config for single files",
        ))
    }
}

/// Returns the entries of a section with their names; none if there is no such table.
fn entries<'a>(document: &'a Value, section: &str) -> Vec<(String, &'a Value)> {
    let Some(Value::Mapping(table)) = field(document, section).map(plain) else {
        return Vec::new();
    };
    let name = |key: &Value| match plain(key) {
        Value::String(text) => text.clone(),
        other => format!("{other:?}"),
    };
    table
        .iter()
        .map(|(key, value)| (name(key), value))
        .collect()
}

fn field<'a>(table: &'a Value, key: &str) -> Option<&'a Value> {
    let table: &Mapping = match plain(table) {
        Value::Mapping(table) => table,
        _ => return None,
    };
    table
        .iter()
        .find(|(name, _)| plain(name).as_str() == Some(key))
        .map(|(_, value)| value)
}

/// Returns the items of a list, or the value itself if it is no list.
fn items(value: &Value) -> Vec<&Value> {
    match plain(value) {
        Value::Sequence(items) => items.iter().collect(),
        other => vec![other],
    }
}

/// Returns a value without its tags.
fn plain(value: &Value) -> &Value {
    match value {
        Value::Tagged(tagged) => plain(&tagged.value),
        other => other,
    }
}

/// Returns the name of a file of the stack, or `None` for a path that leaves the stack's folder.
fn inside(base: &Path, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in base.components().chain(Path::new(path).components()) {
        match part {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::ParentDir => {
                parts.pop()?;
            }
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(text: &str) -> Result<(), InvalidField> {
        let files: BTreeMap<String, Vec<u8>> = [
            ("web/compose.yml", text),
            ("web/web.env", "A=1"),
            ("shared.env", "B=1"),
        ]
        .map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()))
        .into();
        let variables = [
            ("NAME", "web"),
            ("UP", "../.."),
            ("ABSOLUTE", "/etc/shadow"),
        ];
        ComposePaths {
            files: &files,
            variables: &variables
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
            base: "web".into(),
        }
        .check("sources", "web/compose.yml")
    }

    #[test]
    fn files_of_the_stack_and_paths_of_nodes_are_allowed() {
        for text in [
            "services: { a: { image: x, env_file: web.env } }",
            "services: { a: { image: x, env_file: [./web.env, ../shared.env, { path: './${NAME}.env' }] } }",
            "services: { a: { image: x, env_file: [], volumes: ['data:/x', '/srv/x:/x:ro', /anonymous] } }",
            "services: { a: { volumes: [{ type: bind, source: /srv, target: /x }, { type: volume, source: v, target: /y }, { type: tmpfs, target: /t }] } }",
            "configs: { c: { file: web.env }, d: { external: true } }\nsecrets: { s: { file: ./web.env } }",
            "x-common: &c { env_file: web.env }\nservices: { a: { <<: *c, image: x } }",
            "services:\n  a:\n    image: x\n",
            "",
        ] {
            check(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        }
    }

    #[test]
    fn files_of_this_machine_are_refused() {
        for path in [
            "/etc/shadow",
            "../../secret",
            "../../../etc/shadow",
            "~/.ssh/id_ed25519",
            "~root/x",
            "${UP}/x",
            "${ABSOLUTE}",
            "${MISSING:-/etc/shadow}",
            "$ABSOLUTE",
            "missing.env",
        ] {
            for text in [
                format!("services: {{ a: {{ env_file: '{path}' }} }}"),
                format!("services: {{ a: {{ env_file: ['{path}'] }} }}"),
                format!(
                    "services: {{ a: {{ env_file: [{{ path: '{path}', required: false }}] }} }}"
                ),
                format!("services:\n  a:\n    ? env_file\n    : '{path}'\n"),
                format!("services: {{ a: {{ \"env\\x5ffile\": '{path}' }} }}"),
                format!("services: {{ a: {{ label_file: '{path}' }} }}"),
                format!("configs: {{ c: {{ file: '{path}' }} }}"),
                format!("secrets: {{ s: {{ file: '{path}' }} }}"),
                format!("x: &c {{ file: '{path}' }}\nsecrets: {{ s: *c }}"),
                format!("x: &c {{ file: '{path}' }}\nsecrets: {{ s: {{ <<: *c }} }}"),
                format!("x: &c {{ file: '{path}' }}\nsecrets: {{ s: {{ <<: [*c] }} }}"),
                format!("x: &c {{ s: {{ file: '{path}' }} }}\nsecrets:\n  <<: *c\n"),
                format!("secrets: {{ s: {{ file: !reset '{path}' }} }}"),
                format!("a: 1\n---\nsecrets: {{ s: {{ file: '{path}' }} }}"),
            ] {
                assert!(check(&text).is_err(), "{text}");
            }
        }
        let error = check("configs: { c: { file: /etc/shadow } }").unwrap_err();
        assert!(
            error
                .message
                .contains("`file` of the config `c` is `/etc/shadow`")
                && error.hint.unwrap().contains("`files`"),
        );
        for text in [
            "services: { a: { env_file: !!binary L2V0Yy9zaGFkb3c= } }",
            "services: { a: { env_file: '${A:?x}' } }",
            "services: { a: { env_file: 1 } }",
            "services: [",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bind_mounts_of_this_machine_are_refused() {
        for mount in [
            "'./html:/usr/share/nginx/html:ro'",
            "'../x:/x'",
            "'~/x:/x'",
            ".:/x",
            "'${UP}/x:/x'",
            "{ type: bind, source: ./html, target: /x }",
            "{ type: bind, source: html, target: /x }",
            "{ type: bind, source: '~/html', target: /x }",
        ] {
            let error = check(&format!("services: {{ a: {{ volumes: [{mount}] }} }}")).unwrap_err();
            assert!(
                error.message.contains("means nothing on a node"),
                "{mount}: {error:?}"
            );
        }
    }
}
