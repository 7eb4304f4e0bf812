//! The functions for paths, run by this machine's `sh` in a scratch folder. A directory in which
//! every account may write stands for one of another account, so that no test needs root.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::path_script;

struct ScratchTree(tempfile::TempDir);

impl ScratchTree {
    /// Creates `own` (0755), `open` (0777, below it `open/sub`) and `sticky` (1777).
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        for (name, mode) in [
            ("own", 0o755),
            ("own/sub", 0o755),
            ("open", 0o777),
            ("open/sub", 0o755),
            ("sticky", 0o1777),
        ] {
            std::fs::create_dir(tree.at(name)).unwrap();
            tree.chmod(name, mode);
        }
        tree
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn chmod(&self, name: &str, mode: u32) {
        std::fs::set_permissions(self.at(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.at(name), content).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.at(name)).unwrap()
    }

    fn mode(&self, name: &str) -> u32 {
        self.at(name).symlink_metadata().unwrap().mode() & 0o7777
    }

    /// Runs a function on a path of the tree.
    fn run(&self, function: &str, name: &str, more: &[&str]) -> Result<(), String> {
        let script = format!(
            "set -eu\numask 022\ncd /\n{}",
            path_script(&format!("{function} \"$@\"\n"))
        );
        let mut child = Command::new("sh")
            .args(["-c", &script, "sh"])
            .arg(self.at(name))
            .args(more)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"hello");
        let output = child.wait_with_output().unwrap();
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8(output.stderr).unwrap())
        }
    }

    fn write_file(&self, name: &str) -> Result<(), String> {
        self.run("write_file", name, &["0:0", "0644", "5"])
    }

    /// Returns every name below the tree, sorted.
    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut folders = vec![self.0.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(self.0.path()).unwrap();
                names.push(name.to_str().unwrap().to_owned());
                if !path.is_symlink() && path.is_dir() {
                    folders.push(path);
                }
            }
        }
        names.sort();
        names
    }
}

#[test]
fn files_are_written_in_own_open_and_sticky_directories() {
    let tree = ScratchTree::new();
    let before = tree.names().len();
    for name in ["own/sub/f", "open/f", "open/sub/f", "sticky/f"] {
        tree.write_file(name).unwrap();
        assert_eq!(
            (tree.read(name).as_str(), tree.mode(name)),
            ("hello", 0o644)
        );
        tree.run("set_file", name, &["0:0", "4755", "5"]).unwrap();
        assert_eq!(
            (tree.read(name).as_str(), tree.mode(name)),
            ("hello", 0o4755)
        );
    }
    assert_eq!(tree.names().len(), before + 4, "{:?}", tree.names());
    let error = tree
        .run("write_file", "own/short", &["0:0", "0644", "6"])
        .unwrap_err();
    assert!(error.contains("only a part"), "{error}");
    let error = tree.write_file("own/sub").unwrap_err();
    assert!(error.contains("own/sub is a directory"), "{error}");
    for (name, word) in [
        ("own/no/f", "own/no is not there"),
        ("open/f/f", "open/f is not a directory"),
    ] {
        let error = tree.write_file(name).unwrap_err();
        assert!(error.contains(word), "{error}");
    }
    assert_eq!(tree.names().len(), before + 4, "{:?}", tree.names());
}

#[test]
fn a_file_of_an_open_directory_is_replaced_and_never_changed_in_place() {
    let tree = ScratchTree::new();
    for folder in ["own", "open", "sticky"] {
        let (file, other) = (format!("{folder}/f"), format!("{folder}/other"));
        tree.write(&file, "hello");
        tree.chmod(&file, 0o600);
        std::fs::hard_link(tree.at(&file), tree.at(&other)).unwrap();
        tree.run("set_file", &file, &["0:0", "0666", "5"]).unwrap();
        assert_eq!(tree.mode(&file), 0o666);
        let changed = if folder == "own" { 0o666 } else { 0o600 };
        assert_eq!(
            tree.mode(&other),
            changed,
            "the other name of the file in {folder}"
        );
    }
}

#[test]
fn a_link_is_followed_only_where_no_other_account_can_replace_it() {
    let tree = ScratchTree::new();
    symlink("sub/../../own/./sub", tree.at("own/relative")).unwrap();
    symlink(tree.at("own/relative"), tree.at("own/absolute")).unwrap();
    symlink(tree.at("own"), tree.at("sticky/link")).unwrap();
    for name in ["own/relative/a", "own/absolute/b", "sticky/link/relative/c"] {
        tree.write_file(name).unwrap();
    }
    assert_eq!(tree.at("own/sub").read_dir().unwrap().count(), 3);

    symlink(tree.at("own/sub"), tree.at("open/link")).unwrap();
    symlink(tree.at("open"), tree.at("own/open")).unwrap();
    symlink("loop", tree.at("own/loop")).unwrap();
    let before = tree.names();
    for (function, more) in [
        ("write_file", &["0:0", "0644", "5"][..]),
        ("set_file", &["0:0", "0644", "5"]),
        ("keep_file", &["0:0", "0644"]),
        ("make_link", &["/x", "0:0"]),
        ("make_directory", &["0:0", "0755"]),
        ("ensure_directory", &["0:0", "0755"]),
        ("set_directory", &["0:0", "0755"]),
        ("remove_file", &[]),
        ("remove_link", &[]),
        ("remove_directory", &[]),
        ("remove_empty_directory", &[]),
        ("remove_tree", &[]),
    ] {
        for name in ["open/link/a", "own/open/link/a"] {
            let error = tree.run(function, name, more).unwrap_err();
            assert!(
                error.contains("open/link to ") && error.contains("every account may write in "),
                "{function}: {error}"
            );
        }
        assert_eq!(tree.names(), before, "{function}");
    }
    let error = tree.write_file("own/loop/f").unwrap_err();
    assert!(error.contains("too many levels"), "{error}");
}

#[test]
fn the_last_component_is_never_followed() {
    let tree = ScratchTree::new();
    tree.write("own/victim", "safe");
    for folder in ["own", "open", "sticky"] {
        let name = format!("{folder}/name");
        let plant = |target: &str| {
            let _ = std::fs::remove_file(tree.at(&name));
            symlink(tree.at(target), tree.at(&name)).unwrap();
        };
        plant("own/victim");
        tree.write_file(&name).unwrap();
        assert_eq!(
            (tree.read("own/victim").as_str(), tree.read(&name).as_str()),
            ("safe", "hello")
        );
        plant("own/sub");
        tree.run("make_link", &name, &["/x", "0:0"]).unwrap();
        assert_eq!(
            std::fs::read_link(tree.at(&name)).unwrap().to_str(),
            Some("/x")
        );
        plant("own/sub");
        for function in ["make_directory", "set_directory"] {
            let error = tree.run(function, &name, &["0:0", "0700"]).unwrap_err();
            assert!(error.contains("name is a link"), "{error}");
        }
        tree.run("remove_tree", &name, &[]).unwrap();
        plant("own/sub");
        tree.run("remove_file", &name, &[]).unwrap();
        assert!(tree.at("own/sub").is_dir() && tree.mode("own/sub") == 0o755);
    }
}

#[test]
fn directories_are_made_with_their_parents_and_changed_only_where_they_cannot_be_exchanged() {
    let tree = ScratchTree::new();
    for folder in ["own", "open", "sticky"] {
        let name = format!("{folder}/a/b/c");
        tree.run("make_directory", &name, &["0:0", "2750"]).unwrap();
        assert_eq!(
            (tree.mode(&format!("{folder}/a/b")), tree.mode(&name)),
            (0o755, 0o2750)
        );
        tree.run("set_directory", &name, &["0:0", "00700"]).unwrap();
        assert_eq!(tree.mode(&name), 0o700);
        tree.run("ensure_directory", &name, &["0:0", "0755"])
            .unwrap();
        assert_eq!(tree.mode(&name), 0o700, "an existing directory stays");
    }
    // An empty directory is replaced by a new one; a full one is not changed.
    tree.run("set_directory", "open/sub", &["0:0", "0711"])
        .unwrap();
    assert_eq!(tree.mode("open/sub"), 0o711);
    tree.write("open/sub/file", "");
    let error = tree
        .run("set_directory", "open/sub", &["0:0", "0777"])
        .unwrap_err();
    assert!(
        error.contains("open/sub belongs to ") && error.contains("is not empty"),
        "{error}"
    );
    assert_eq!(tree.mode("open/sub"), 0o711);
    let error = tree.run("remove_directory", "open/sub", &[]).unwrap_err();
    assert!(error.contains("recursive = true"), "{error}");
    tree.run("remove_empty_directory", "open/sub", &[]).unwrap();
    tree.run("remove_tree", "open/sub", &[]).unwrap();
    assert!(!tree.at("open/sub").exists());
    assert!(
        !tree.names().iter().any(|name| name.contains(".skep")),
        "{:?}",
        tree.names()
    );
}

#[test]
fn trusted_files_need_directories_that_only_root_can_change() {
    let tree = ScratchTree::new();
    for name in ["own", "own/sub", "own/not/there"] {
        tree.run("only_root", name, &[]).unwrap();
    }
    for name in ["open", "open/sub", "open/not/there", "sticky"] {
        let error = tree.run("only_root", name, &[]).unwrap_err();
        assert!(error.contains("every account may write in "), "{error}");
    }
    tree.write("open/key", "");
    let error = tree
        .run("keep_file", "open/key", &["0:0", "0600"])
        .unwrap_err();
    assert!(error.contains("use a directory"), "{error}");
}

/// Directories of another account, which only root can make.
#[test]
fn a_directory_of_another_account_does_not_lead_to_one_of_root() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let tree = ScratchTree::new();
    let give =
        |name: &str| std::os::unix::fs::chown(tree.at(name), Some(4242), Some(4242)).unwrap();
    std::fs::create_dir_all(tree.at("home/folder")).unwrap();
    std::fs::create_dir(tree.at("home/roots")).unwrap();
    tree.write("home/roots/kept", "");
    give("home");
    give("home/folder");
    tree.write_file("home/folder/f").unwrap();
    let error = tree
        .run("write_file", "home/folder/f", &["0:0", "0600", "5"])
        .unwrap_err();
    assert!(error.contains("would not be readable"), "{error}");
    assert_eq!(tree.mode("home/folder/f"), 0o644, "nothing was written");
    for owners in ["4242:0", "0:4242"] {
        tree.run("write_file", "home/folder/g", &[owners, "0440", "5"])
            .unwrap();
    }
    assert_eq!(tree.at("home/folder/f").metadata().unwrap().uid(), 0);
    tree.run("make_directory", "home/.config/app", &["0:0", "0700"])
        .unwrap();
    assert_eq!(
        tree.at("home/.config").metadata().unwrap().uid(),
        4242,
        "as its folder"
    );
    let error = tree.write_file("home/roots/f").unwrap_err();
    assert!(
        error.contains("home/roots belongs to root, but ")
            && error.contains("home belongs to the account 4242"),
        "{error}"
    );
    let error = tree
        .run("set_directory", "home/roots", &["4242:0", "0700"])
        .unwrap_err();
    assert!(error.contains("is not empty"), "{error}");
    tree.run("set_directory", "home/folder", &["4242:0", "0700"])
        .unwrap();
    // The link of another account is not followed, even in a directory of root.
    symlink(tree.at("own"), tree.at("sticky/link")).unwrap();
    std::os::unix::fs::lchown(tree.at("sticky/link"), Some(4242), None).unwrap();
    let error = tree.write_file("sticky/link/f").unwrap_err();
    assert!(
        error.contains("the link belongs to the account 4242"),
        "{error}"
    );
    // A squatted directory of a sticky one is not taken over.
    std::fs::create_dir(tree.at("sticky/taken")).unwrap();
    tree.write("sticky/taken/plan", "");
    give("sticky/taken");
    let error = tree
        .run("make_directory", "sticky/taken", &["0:0", "0700"])
        .unwrap_err();
    assert!(
        error.contains("taken belongs to the account 4242"),
        "{error}"
    );
}
