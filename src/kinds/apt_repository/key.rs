//! The key of a repository: the host fetches it from an address, or the playbook gives it.
//! Keys of the playbook are checked here; the file is written by the steps of the plan.

use serde::Deserialize;

use crate::base::path_script;
use crate::model::{HostContext, InvalidField, Step};

/// First line of an armoured key (RFC 9580, 6.2).
const ARMOUR: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";

/// Source of the key; exactly one field is given.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeySource {
    /// Address from which the host fetches the key if it has no key yet.
    url: Option<String>,
    /// File beside the playbook, armoured or binary.
    file: Option<String>,
    /// Text of the armoured key.
    inline: Option<String>,
}

/// A checked key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RepositoryKey {
    /// Address of a key that the host fetches and stores armoured.
    Fetched(String),
    /// Content of a known key, armoured or binary.
    Given(Vec<u8>),
}

impl KeySource {
    /// Reads a given key, or checks the address of a key that the host fetches.
    ///
    /// # Errors
    /// [`InvalidField`] when not exactly one source is given, or the source is not usable.
    pub(super) fn bind(&self, context: &HostContext<'_>) -> Result<RepositoryKey, InvalidField> {
        let given =
            match (&self.url, &self.file, &self.inline) {
                (Some(url), None, None) => {
                    super::check_uri("key.url", url, &["https://", "http://"])?;
                    return Ok(RepositoryKey::Fetched(url.clone()));
                }
                (None, Some(file), None) => context.files.source(file)?,
                (None, None, Some(inline)) => format!("{}\n", inline.trim()).into_bytes(),
                _ => {
                    return Err(InvalidField::new("key", "a key has exactly one source").hint(
                    "write key = { url = \"...\" }, { file = \"...\" } or { inline = \"...\" }",
                ));
                }
            };
        let key = RepositoryKey::Given(given);
        match &key {
            RepositoryKey::Given(bytes)
                if !key.is_armoured() && bytes.first().is_none_or(|first| *first < 0x80) =>
            {
                Err(
                    InvalidField::new("key", "the key is not an OpenPGP public key")
                        .hint(format!("an armoured key begins with {ARMOUR}")),
                )
            }
            _ => Ok(key),
        }
    }
}

impl RepositoryKey {
    /// Returns true if the key is text. Apt tells armoured and binary keys apart by the file's
    /// extension, `asc` or `gpg`.
    pub(super) fn is_armoured(&self) -> bool {
        match self {
            Self::Fetched(_) => true,
            Self::Given(bytes) => bytes.starts_with(ARMOUR.as_bytes()),
        }
    }
}

/// Fetches the key at the address `$1` into the file `$2`. Bare hosts have neither curl nor wget,
/// but always have apt's own helper. A binary key is armoured, because the plan names the file
/// before the content is known.
const FETCH: &str = r#"ensure_directory "${2%/*}" 0:0 0755
only_root "${2%/*}"
beside="${2%/*}/.skep-key-$$"
trap 'rm -f -- "$beside" "$beside.text"' EXIT
if command -v curl >/dev/null 2>&1; then
  curl -fsSLg --retry 3 --connect-timeout 20 --max-time 90 -o "$beside" --url "$1"
elif command -v wget >/dev/null 2>&1; then
  wget -nv -T 20 -t 3 -O "$beside" -- "$1"
else
  /usr/lib/apt/apt-helper download-file "$1" "$beside" >/dev/null
fi
first=$(od -A n -t u1 -N 1 "$beside" | tr -d ' ')
if grep -q -e '-----BEGIN PGP PUBLIC KEY BLOCK-----' "$beside"; then
  cat <"$beside" >"$beside.text"
elif [ "${first:-0}" -ge 128 ]; then
  {
    printf '%s\n\n' '-----BEGIN PGP PUBLIC KEY BLOCK-----'
    base64 <"$beside"
    printf '%s\n' '-----END PGP PUBLIC KEY BLOCK-----'
  } >"$beside.text"
else
  printf '%s is not an OpenPGP public key\n' "$1" >&2
  exit 1
fi
chmod 0644 "$beside.text"
mv -f -T -- "$beside.text" "$2"
"#;

/// Returns the step that fetches a key into its file.
pub(super) fn fetch(url: &str, path: &str) -> Step {
    Step::script(
        format!("fetch the key {url} into {path}"),
        path_script(FETCH),
        [url, path],
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::super::trial::{self, ScratchFolder};
    use super::*;

    /// Runs the script with a fake curl that answers with `body`, and returns the stored key.
    fn fetched(body: &[u8]) -> Result<Vec<u8>, String> {
        let scratch = ScratchFolder::new();
        std::fs::write(scratch.path("body"), body).unwrap();
        let curl = format!(
            "#!/bin/sh\nwhile [ \"$1\" != -o ]; do shift; done\ncat '{}' >\"$2\"\n",
            scratch.path("body")
        );
        std::fs::write(scratch.path("curl"), curl).unwrap();
        trial::run("chmod 755 \"$1\"", &[scratch.path("curl")], b"", &[]).unwrap();
        let path = format!("{}:/usr/bin:/bin", scratch.path("").trim_end_matches('/'));
        let key = scratch.path("keyrings/$(x).asc");
        trial::run(
            &path_script(FETCH),
            &["https://x/$(touch pwned)".to_owned(), key.clone()],
            b"",
            &[("PATH", &path)],
        )?;
        assert_eq!(trial::look(&key).unwrap().mode, 0o644);
        assert_eq!(
            std::fs::read_dir(scratch.path("keyrings")).unwrap().count(),
            1
        );
        Ok(std::fs::read(key).unwrap())
    }

    #[test]
    fn stores_fetched_keys_armoured_and_refuses_error_pages() {
        let armoured = format!("{ARMOUR}\n\nmQ==\n-----END PGP PUBLIC KEY BLOCK-----\n");
        assert_eq!(fetched(armoured.as_bytes()).unwrap(), armoured.as_bytes());
        assert_eq!(fetched(b"\x99").unwrap(), armoured.as_bytes());
        for page in [&b"<html>Not found</html>"[..], b""] {
            assert!(
                fetched(page)
                    .unwrap_err()
                    .contains("is not an OpenPGP public key")
            );
        }
    }
}
