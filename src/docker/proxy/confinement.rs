//! The last check before a write of the `docker` command: nothing of this machine may get into the
//! swarm but the files of the stack.

use std::collections::BTreeSet;
use std::path::Path;

use base64ct::{Base64, Encoding as _};
use serde_json::Value;

use crate::model::sha256;

/// Limits on the writes of one command. The default has no limits.
#[derive(Debug, Default)]
pub(super) struct StackConfinement {
    /// Path of the command's folder, as it stands in JSON.
    folder: Option<String>,
    /// Digests of the contents of the stack's files.
    contents: BTreeSet<String>,
}

impl StackConfinement {
    /// Returns the limits of a command that runs in this folder, with these files.
    pub(super) fn new<'a>(folder: &Path, files: impl Iterator<Item = &'a Vec<u8>>) -> Self {
        let text = Value::from(folder.to_string_lossy()).to_string();
        Self {
            folder: Some(text.trim_matches('"').to_owned()),
            contents: files.map(|content| sha256(content)).collect(),
        }
    }

    /// Returns the reason why a write is refused. `path` has no version; `raw` is the text of
    /// `body`.
    pub(super) fn refusal(&self, path: &str, raw: &[u8], body: &Value) -> Option<String> {
        let folder = self.folder.as_ref()?;
        let holds = memchr::memmem::find(raw, folder.as_bytes()).is_some();
        if holds || body.to_string().contains(folder) {
            return Some(
                "a compose file uses a relative path, `~` or a variable of this machine, which means nothing on a node; \
                 try: write an absolute path of the node, a named volume, or a config"
                    .into(),
            );
        }
        let is_data = path.starts_with("/configs/") || path.starts_with("/secrets/");
        let data = body.get("Data").filter(|_| is_data)?.as_str()?;
        let known =
            Base64::decode_vec(data).is_ok_and(|data| self.contents.contains(&sha256(&data)));
        (!known).then(|| {
            "a compose file reads a file of this machine that is not a file of the stack; \
             try: name the file in `files`, and write its relative path"
                .into()
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_files_of_the_stack_become_objects() {
        let files = [b"mine".to_vec()];
        let limits = StackConfinement::new(Path::new("/run/user/0/skep-1"), files.iter());
        let refused = |path: &str, body: &Value| {
            limits
                .refusal(path, body.to_string().as_bytes(), body)
                .is_some()
        };
        let object = |data: &[u8]| json!({ "Name": "x", "Data": Base64::encode_string(data) });
        for path in [
            "/configs/create",
            "/secrets/create",
            "/configs/x/update?version=1",
        ] {
            assert!(!refused(path, &object(b"mine")), "{path}");
            assert!(refused(path, &object(b"another file")), "{path}");
            assert!(refused(path, &json!({ "Data": "???" })), "{path}");
            assert!(!refused(path, &json!({ "Name": "x" })), "{path}");
        }
        let mount = |source: &str| json!({ "TaskTemplate": { "ContainerSpec": { "Mounts": [{ "Source": source }] } } });
        assert!(refused(
            "/services/create",
            &mount("/run/user/0/skep-1/html")
        ));
        assert!(refused(
            "/services/create",
            &json!({ "Env": ["A=unix:///run/user/0/skep-1/.proxy"] })
        ));
        assert!(!refused("/services/create", &mount("/srv/html")));
        let escaped = json!({ "Env": ["/run/user/0/skep-1"] })
            .to_string()
            .replace('/', "\\u002f");
        let body: Value = serde_json::from_str(&escaped).unwrap_or_default();
        assert!(
            limits
                .refusal("/services/create", escaped.as_bytes(), &body)
                .is_some()
        );
        assert!(
            StackConfinement::default()
                .refusal("/configs/create", b"", &object(b"x"))
                .is_none()
        );
    }
}
