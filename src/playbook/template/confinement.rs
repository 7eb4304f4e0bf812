//! Finds the files of a playbook, and keeps them below its folders: a playbook that somebody else
//! wrote must not read other files of this machine, such as a private key, and send them to hosts.

use std::path::{Path, PathBuf};

use crate::base::tidy_path;
use crate::model::InvalidField;

/// Folders that are searched, and the folders that a file may be in.
#[derive(Debug, Clone)]
pub(super) struct SearchFolders {
    /// Folders to search, in order.
    roots: Vec<PathBuf>,
    /// Canonical folders and files. Every file that is read is one of them, or below one of them.
    allowed: Vec<PathBuf>,
}

/// A path that exists, but outside of the allowed folders.
#[derive(Debug)]
pub(super) struct OutsidePath {
    /// Path as the playbook names it.
    name: String,
    /// Path without symbolic links.
    real: PathBuf,
    /// Folder of the playbook.
    folder: PathBuf,
}

impl SearchFolders {
    /// Returns the folders of a playbook's file. `allowed` are further canonical paths.
    pub(super) fn of(playbook: &Path, allowed: &[PathBuf]) -> Self {
        let folder = playbook.parent().unwrap_or(Path::new("")).to_path_buf();
        let beside = if folder.as_os_str().is_empty() {
            PathBuf::from("..")
        } else {
            folder.join("..")
        };
        let real = |path: &Path| {
            let path = if path.as_os_str().is_empty() {
                Path::new(".")
            } else {
                path
            };
            std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
        };
        // The last part is not resolved: if `templates` is itself a symbolic link to another place,
        // `allowed_paths` must name that place.
        let real_beside = real(&beside);
        let mut all = vec![
            real(&folder),
            real_beside.join("templates"),
            real_beside.join("files"),
        ];
        all.extend_from_slice(allowed);
        Self {
            roots: vec![
                folder.join("templates"),
                beside.join("templates"),
                folder.join("files"),
                beside.join("files"),
                folder,
            ],
            allowed: all,
        }
    }

    /// Returns the path of a file, or `None` if it does not exist.
    ///
    /// # Errors
    /// [`OutsidePath`] if the file is not below an allowed folder.
    pub(super) fn file(&self, name: &str) -> Result<Option<PathBuf>, OutsidePath> {
        self.find(name, Path::is_file)
    }

    /// Returns the path of a folder, or `None` if it does not exist.
    ///
    /// # Errors
    /// [`OutsidePath`] if the folder is not below an allowed folder.
    pub(super) fn directory(&self, name: &str) -> Result<Option<PathBuf>, OutsidePath> {
        self.find(name, Path::is_dir)
    }

    fn find(
        &self,
        name: &str,
        is_wanted: fn(&Path) -> bool,
    ) -> Result<Option<PathBuf>, OutsidePath> {
        let Some(path) = self.candidates(name).find(|path| is_wanted(path)) else {
            return Ok(None);
        };
        let real = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        if self.allowed.iter().any(|folder| real.starts_with(folder)) {
            return Ok(Some(path));
        }
        Err(OutsidePath {
            name: name.to_owned(),
            real,
            folder: self.allowed.first().cloned().unwrap_or_default(),
        })
    }

    /// Returns the places where a file is searched, in order.
    pub(super) fn candidates(&self, name: &str) -> impl Iterator<Item = PathBuf> {
        let name = match (name.strip_prefix("~/"), std::env::var_os("HOME")) {
            (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
            _ => PathBuf::from(name),
        };
        self.roots
            .iter()
            .map(move |root| tidy_path(&root.join(&name)))
    }
}

impl OutsidePath {
    /// Returns the message and the hint.
    pub(super) fn words(&self) -> (String, String) {
        let (real, folder) = (self.real.display(), self.folder.display());
        (
            format!(
                "`{}` is {real}, outside of the playbook's folders",
                self.name
            ),
            format!(
                "move it below {folder}, or write allowed_paths = [\"{real}\"] at the top of the inventory"
            ),
        )
    }
}

impl From<OutsidePath> for InvalidField {
    fn from(outside: OutsidePath) -> Self {
        let (message, hint) = outside.words();
        Self::new("", message).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::symlink;

    use super::*;

    /// Makes a folder with a playbook, its templates on both levels, and a secret beside them.
    fn site() -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for folder in [
            "site/playbooks/app",
            "site/templates/app",
            "site/files",
            "secrets",
        ] {
            std::fs::create_dir_all(at(folder)).unwrap();
        }
        for file in [
            "site/playbooks/app/a.conf",
            "site/templates/app/b.conf",
            "site/files/c.conf",
            "site/other",
            "secrets/key",
        ] {
            std::fs::write(at(file), "x").unwrap();
        }
        let playbook = at("site/playbooks/site.toml");
        (root, playbook)
    }

    #[test]
    fn files_below_the_folders_of_the_playbook_are_found() {
        let (_root, playbook) = site();
        let folders = SearchFolders::of(&playbook, &[]);
        for name in ["app/a.conf", "./app/../app/a.conf", "app/b.conf", "c.conf"] {
            assert!(folders.file(name).unwrap().is_some(), "{name}");
        }
        assert!(folders.directory("app").unwrap().is_some());
        assert!(folders.file("nothing").unwrap().is_none());
        assert!(folders.file("../../nothing").unwrap().is_none());
    }

    #[test]
    fn every_way_to_another_place_is_refused_and_can_be_allowed() {
        let (root, playbook) = site();
        let key = root.path().join("secrets/key");
        let folder = playbook.parent().unwrap();
        symlink(&key, folder.join("link")).unwrap();
        symlink("../../secrets", folder.join("linked-folder")).unwrap();
        symlink(root.path().join("secrets"), folder.join("templates")).unwrap();
        let names = [
            key.to_str().unwrap(),
            "../../secrets/key",
            "app/../../../secrets/key",
            "link",
            "linked-folder/key",
            "key",
            "../other",
        ];
        for name in names {
            let outside = SearchFolders::of(&playbook, &[]).file(name).unwrap_err();
            let (message, hint) = outside.words();
            assert!(
                message.contains("outside") && hint.contains("allowed_paths"),
                "{message}"
            );
        }
        for name in ["../../secrets", "linked-folder", "/etc", "/"] {
            let folders = SearchFolders::of(&playbook, &[]);
            assert!(folders.directory(name).is_err(), "{name}");
        }
        let allowed = [root.path().canonicalize().unwrap()];
        for name in names {
            let folders = SearchFolders::of(&playbook, &allowed);
            assert!(folders.file(name).unwrap().is_some(), "{name}");
        }
        // A sibling whose name begins alike is another folder.
        std::fs::create_dir(root.path().join("site/playbooks-old")).unwrap();
        std::fs::write(root.path().join("site/playbooks-old/x"), "x").unwrap();
        assert!(
            SearchFolders::of(&playbook, &[])
                .file("../playbooks-old/x")
                .is_err()
        );
    }
}
