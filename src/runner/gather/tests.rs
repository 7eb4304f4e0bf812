//! The script for real: run by this machine's sh, parsed back.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::process::Command;

use super::{parse, script};
use crate::model::{DirectoryUsage, HostAnswers, PathType, ProbeError, ShellQuery};
use crate::runner::gather::output;

fn ask(queries: impl IntoIterator<Item = ShellQuery>) -> HostAnswers {
    let queries: BTreeSet<ShellQuery> = queries.into_iter().collect();
    let queries: Vec<&ShellQuery> = queries.iter().collect();
    let parts = script::sections(&queries);
    let output = Command::new("sh")
        .arg("-c")
        .arg(script::text("MARK", &parts))
        .output()
        .unwrap();
    let framed = output::split("MARK", &output.stdout);
    let mut answers = HostAnswers::default();
    for (index, part) in parts.iter().enumerate() {
        let frame = framed
            .get(&index)
            .unwrap_or_else(|| panic!("{part:?}: {}", String::from_utf8_lossy(&output.stderr)));
        parse::answer(part, frame, &mut answers);
    }
    answers
}

#[test]
fn paths_with_hostile_names_are_read_literally() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = folder
        .path()
        .join("a'; touch pwned; $(touch pwned) \"\n\\-é");
    std::fs::write(&hostile, b"bytes\n\0\xff\n\n").unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("/no/where\tat all", &link).unwrap();
    let missing = folder.path().join("missing/deeper");
    let name = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let answers = ask([
        ShellQuery::content(name(&hostile)),
        ShellQuery::path(name(&link)),
        ShellQuery::content(name(&missing)),
    ]);
    let file = answers.path(&name(&hostile)).unwrap().unwrap();
    assert_eq!(
        (file.kind, file.content.as_deref()),
        (PathType::File, Some(&b"bytes\n\0\xff\n\n"[..]))
    );
    let link = answers.path(&name(&link)).unwrap().unwrap();
    assert_eq!(
        (link.kind, link.target.as_deref()),
        (PathType::Symlink, Some("/no/where\tat all"))
    );
    assert_eq!(answers.path(&name(&missing)), Ok(None));
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        2,
        "nothing was run"
    );
}

#[test]
fn accounts_packages_and_parameters_are_states_when_absent() {
    let answers = ask([
        ShellQuery::User("root".into()),
        ShellQuery::User("skep-nobody-has-this".into()),
        ShellQuery::Group("root".into()),
        ShellQuery::Group("skep-nobody-has-this".into()),
        ShellQuery::Package("dpkg".into()),
        ShellQuery::Package("skep-no-such-package".into()),
        ShellQuery::Sysctl("net.ipv4.ip_forward".into()),
        ShellQuery::Sysctl("skep.no.such".into()),
        ShellQuery::Program("sh".into()),
        ShellQuery::Program("skep-no-such-program".into()),
        ShellQuery::Test {
            script: "exit 7".into(),
        },
        ShellQuery::Facts,
    ]);
    let root = answers.user("root").unwrap().clone().unwrap();
    assert_eq!((root.uid, root.home.as_str()), (0, "/root"));
    assert!(root.groups.contains("root"));
    assert_eq!(answers.user("skep-nobody-has-this"), Ok(&None));
    assert_eq!(answers.group("root").unwrap().as_ref().unwrap().gid, 0);
    assert_eq!(answers.group("skep-nobody-has-this"), Ok(&None));
    assert!(answers.package("dpkg").unwrap().installed.is_some());
    assert_eq!(
        answers.package("skep-no-such-package").unwrap().installed,
        None
    );
    assert!(answers.sysctl("net.ipv4.ip_forward").unwrap().is_some());
    assert_eq!(answers.sysctl("skep.no.such"), Ok(&None));
    assert!(answers.program("sh").unwrap().is_some());
    assert_eq!(answers.program("skep-no-such-program"), Ok(&None));
    assert_eq!(answers.test("exit 7"), Ok(&7));
    assert!(!answers.facts().unwrap().codename.is_empty());
}

#[test]
fn a_probe_that_fails_is_a_reason_and_not_an_absence() {
    // A loop of links is trouble.
    let folder = tempfile::tempdir().unwrap();
    let one = folder.path().join("one");
    std::os::unix::fs::symlink(&one, &one).unwrap();
    let name = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
    let (path, missing) = (name(one.join("below")), name(folder.path().join("missing")));
    let answers = ask([
        ShellQuery::path(path.as_str()),
        ShellQuery::path(missing.as_str()),
    ]);
    let error = answers.path(&path).unwrap_err().to_string();
    assert!(error.contains("too many levels"), "{error}");
    assert_eq!(
        answers.path(&missing),
        Ok(None),
        "one path's trouble is not another's"
    );
    let odd = name(one.join("it's"));
    let answers = ask([
        ShellQuery::path(odd.as_str()),
        ShellQuery::path(missing.as_str()),
    ]);
    assert!(answers.path(&odd).is_err());
    assert_eq!(answers.path(&missing), Ok(None));
}

/// A directory in which every account may write stands for one of another account.
#[test]
fn a_link_that_another_account_can_replace_is_a_reason_and_is_not_followed() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let folder = tempfile::tempdir().unwrap();
    let name = |path: &str| folder.path().join(path).to_str().unwrap().to_owned();
    for path in ["open", "own/real"] {
        std::fs::create_dir_all(name(path)).unwrap();
    }
    std::fs::set_permissions(name("open"), std::fs::Permissions::from_mode(0o777)).unwrap();
    std::fs::write(name("own/real/secret"), "secret").unwrap();
    std::fs::write(name("open/shown"), "shown").unwrap();
    symlink(name("own/real"), name("open/link")).unwrap();
    symlink("real", name("own/link")).unwrap();
    let paths = [
        "open/link/secret",
        "open/link/none",
        "own/link/secret",
        "open/shown",
        "open/link",
        "open/none/x",
    ];
    let answers = ask(paths.map(|path| ShellQuery::content(name(path))));
    for path in &paths[..2] {
        let Err(ProbeError::UnsafePath {
            why,
            hint,
            open_directory,
        }) = answers.path(&name(path))
        else {
            panic!("{path} was read");
        };
        let link = format!(
            "root does not follow the link {} to {}, because every account may write in {}",
            name("open/link"),
            name("own/real"),
            name("open")
        );
        assert_eq!(why, link);
        assert_eq!(open_directory, name("open"));
        assert!(
            hint.contains("give the path of the directory itself"),
            "{hint}"
        );
    }
    let content = |path: &str| answers.path(&name(path)).unwrap().unwrap().content.clone();
    assert_eq!(content("own/link/secret").as_deref(), Some(&b"secret"[..]));
    assert_eq!(content("open/shown").as_deref(), Some(&b"shown"[..]));
    let link = answers.path(&name("open/link")).unwrap().unwrap();
    assert_eq!(
        (link.kind, link.content.is_none()),
        (PathType::Symlink, true)
    );
    assert_eq!(answers.path(&name("open/none/x")), Ok(None));
    for query in [
        ShellQuery::Holding {
            directory: name("open/link"),
        },
        ShellQuery::Catalogue {
            directory: name("open/link"),
        },
    ] {
        let answers = ask([query.clone()]);
        let error = match &query {
            ShellQuery::Holding { directory } => answers.directory_usage(directory).unwrap_err(),
            ShellQuery::Catalogue { directory } => answers.catalogue(directory).unwrap_err(),
            _ => unreachable!(),
        };
        assert!(
            error.to_string().contains("root does not follow the link"),
            "{error}"
        );
    }
}

#[test]
fn tags_of_a_registry_are_read_through_no_link() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().to_str().unwrap().to_owned();
    let ask_tags = || {
        let answers = ask([ShellQuery::Catalogue {
            directory: directory.clone(),
        }]);
        answers
            .catalogue(&directory)
            .cloned()
            .map(|tags| tags.map(|tags| tags.len()))
    };
    assert_eq!(ask_tags(), Ok(Some(0)));
    let tags = folder
        .path()
        .join("docker/registry/v2/repositories/a/b/_manifests/tags");
    for (tag, link) in [("one", false), ("two", true)] {
        let current = tags.join(tag).join("current");
        std::fs::create_dir_all(&current).unwrap();
        if link {
            std::os::unix::fs::symlink("/etc/passwd", current.join("link")).unwrap();
        } else {
            std::fs::write(current.join("link"), format!("sha256:{}", "0".repeat(64))).unwrap();
        }
    }
    assert_eq!(ask_tags(), Ok(Some(1)));
}

#[test]
fn what_a_directory_holds_is_counted_without_marker_and_directories() {
    let folder = tempfile::tempdir().unwrap();
    let full = folder.path().join("it's full");
    std::fs::create_dir_all(full.join("data/lost+found")).unwrap();
    std::fs::write(full.join(".skep-volume"), b"marker").unwrap();
    let name = full.to_str().unwrap().to_owned();
    let holding = || {
        ask([ShellQuery::Holding {
            directory: name.clone(),
        }])
        .directory_usage(&name)
        .copied()
    };
    assert_eq!(holding(), Ok(Some(DirectoryUsage { files: 0, bytes: 0 })));
    std::fs::write(full.join("data/rows"), b"12345").unwrap();
    std::fs::write(full.join("data/a\nb"), b"").unwrap();
    assert_eq!(holding(), Ok(Some(DirectoryUsage { files: 2, bytes: 5 })));
    assert_eq!(
        ask([ShellQuery::Holding {
            directory: "/no/such".into()
        }])
        .directory_usage("/no/such"),
        Ok(&None)
    );
}

#[test]
fn apt_is_asked_without_touching_its_caches() {
    let answers = ask([
        ShellQuery::AptSimulation {
            arguments: vec!["skep-no-such-package".into()],
        },
        ShellQuery::PackageVersions("skep-no-such-package".into()),
        ShellQuery::AptSources,
        ShellQuery::AptLists,
        ShellQuery::DpkgAudit,
        ShellQuery::PackageUpdates,
        ShellQuery::RebootState,
    ]);
    let simulation = answers
        .apt_simulation(&["skep-no-such-package".into()])
        .unwrap();
    assert!(
        format!("{simulation:?}").contains("Unable to locate package skep-no-such-package"),
        "{simulation:?}"
    );
    assert!(
        answers
            .package_versions("skep-no-such-package")
            .unwrap()
            .is_empty()
    );
    assert!(
        answers
            .apt_sources()
            .unwrap()
            .iter()
            .any(|file| file.path.starts_with("/etc/apt/"))
    );
    let lists = answers.apt_lists().unwrap();
    let fetched = std::fs::read_dir("/var/lib/apt/lists")
        .unwrap()
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name().into_string().unwrap();
            name.ends_with("_InRelease") || name.ends_with("_Release")
        });
    assert_eq!(lists.len(), fetched.count(), "{lists:?}");
    assert!(answers.dpkg_audit().is_ok());
    assert!(answers.package_updates().is_ok());
    assert!(!answers.reboot_state().unwrap().running_kernel.is_empty());
}
