//! Content that is sent to the Engine: the tar of a build context, or an archive of an image. Each
//! has a digest that tells whether the Engine has the image already.

use std::io::Read as _;

use sha2::{Digest as _, Sha256};

use super::InvalidField;
use crate::base::hex;
use crate::model::{TreeContent, TreeEntry};

/// Returns the tar of a folder. Owners, times and modes do not come from the operator's machine, so
/// that the same files give the same tar.
pub(super) fn tar(entries: &[TreeEntry]) -> std::io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(
            if entry.executable || entry.content == TreeContent::Folder {
                0o755
            } else {
                0o644
            },
        );
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        match &entry.content {
            TreeContent::Folder => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_size(0);
                builder.append_data(&mut header, format!("{}/", entry.path), std::io::empty())?;
            }
            TreeContent::File(content) => {
                header.set_entry_type(tar::EntryType::Regular);
                header.set_size(content.len() as u64);
                builder.append_data(&mut header, &entry.path, content.as_slice())?;
            }
            TreeContent::Link(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                builder.append_link(&mut header, &entry.path, target)?;
            }
        }
    }
    builder.into_inner()
}

/// Returns the digest of a context and of the values that it is built with.
pub(super) fn digest<'a>(tar: &[u8], with: impl IntoIterator<Item = &'a str>) -> String {
    let mut digest = Sha256::new();
    for part in with {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    digest.update(Sha256::digest(tar));
    hex(&digest.finalize())
}

/// Returns the name and ID of the image in an archive of `docker save`. The ID is the digest of the
/// image's configuration.
pub(super) fn saved(archive: &[u8]) -> Result<(String, String), InvalidField> {
    let invalid = |why: &str| {
        InvalidField::new(
            "archive",
            format!("the archive is not an image that `docker save` wrote: {why}"),
        )
    };
    let read = |name: &str| -> Option<Vec<u8>> {
        let mut tar = tar::Archive::new(archive);
        let mut found = tar
            .entries()
            .ok()?
            .filter_map(Result::ok)
            .find(|entry| entry.path().is_ok_and(|path| path.to_str() == Some(name)))?;
        let mut content = Vec::new();
        found.read_to_end(&mut content).ok()?;
        Some(content)
    };
    let manifest = read("manifest.json").ok_or_else(|| invalid("it has no manifest.json"))?;
    let manifest: serde_json::Value =
        serde_json::from_slice(&manifest).map_err(|error| invalid(&error.to_string()))?;
    let images = manifest.as_array().map(Vec::as_slice).unwrap_or_default();
    let [image] = images else {
        return Err(invalid(&format!(
            "it contains {} images instead of one",
            images.len()
        )));
    };
    let tag = image
        .pointer("/RepoTags/0")
        .and_then(serde_json::Value::as_str);
    let tag = tag.ok_or_else(|| {
        invalid("the image in it has no name").hint("save it by its name, not by its ID")
    })?;
    let config = image
        .get("Config")
        .and_then(serde_json::Value::as_str)
        .and_then(read);
    let config = config.ok_or_else(|| invalid("its configuration is missing"))?;
    Ok((
        tag.to_owned(),
        format!("sha256:{}", crate::model::sha256(&config)),
    ))
}
