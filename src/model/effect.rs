//! The effect of a change on its host, as far as it is known: the answers that stay valid after the
//! change, and those that it determines. Changes of a host can travel together only if a later one
//! does not depend on an unknown effect of an earlier one.

use super::{
    Change, HostAnswers, Operation, PathState, PathType, Query, QueryAnswer, ShellQuery, WriteFile,
};

/// Effect of a change on its host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ChangeEffect {
    /// Not known: every later reading may differ.
    #[default]
    Unknown,
    /// Only these paths differ afterwards.
    Paths(Vec<AlteredPath>),
}

/// A path that a change alters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlteredPath {
    /// Absolute path.
    pub path: String,
    /// True if the path is a directory afterwards and its content stays as it is.
    pub keeps_content: bool,
}

impl Change {
    /// Declares that the steps alter this path and nothing else, besides paths that were declared
    /// before. Directories above it may be created.
    #[must_use]
    pub fn altering(self, path: impl Into<String>) -> Self {
        self.altering_path(path.into(), false)
    }

    /// Declares that the steps create this directory, or set its owner or mode, and nothing else.
    #[must_use]
    pub fn keeping_content_of(self, directory: impl Into<String>) -> Self {
        self.altering_path(directory.into(), true)
    }

    fn altering_path(mut self, path: String, keeps_content: bool) -> Self {
        let altered = AlteredPath {
            path,
            keeps_content,
        };
        match &mut self.declared_effect {
            ChangeEffect::Paths(paths) => paths.push(altered),
            ChangeEffect::Unknown => self.declared_effect = ChangeEffect::Paths(vec![altered]),
        }
        self
    }

    /// Returns the effect: the declared one, or that of steps that only write files.
    #[must_use]
    pub fn effect(&self) -> ChangeEffect {
        if self.declared_effect != ChangeEffect::Unknown || self.steps.is_empty() {
            return self.declared_effect.clone();
        }
        let written = self.steps.iter().map(|step| match &step.act {
            Operation::WriteFile(file) => Some(AlteredPath {
                path: file.path.clone(),
                keeps_content: false,
            }),
            _ => None,
        });
        written
            .collect::<Option<Vec<_>>>()
            .map_or(ChangeEffect::Unknown, ChangeEffect::Paths)
    }

    /// Sets the answers that the change determines: the whole new state of a file that it writes
    /// in the place of a regular file of the same owner, group and mode. Returns the paths whose
    /// answers are known afterwards.
    pub fn determine(&self, answers: &mut HostAnswers) -> Vec<String> {
        let written = self.steps.iter().filter_map(|step| match &step.act {
            Operation::WriteFile(file) => Some(file),
            _ => None,
        });
        written
            .filter(|file| determine_file(file, answers))
            .map(|file| file.path.clone())
            .collect()
    }
}

fn determine_file(file: &WriteFile, answers: &mut HostAnswers) -> bool {
    let before = match answers.path(&file.path) {
        Ok(Some(state)) if state.kind == PathType::File => state.clone(),
        _ => return false,
    };
    let same_owner = [before.owner.clone(), before.uid.to_string()].contains(&file.owner)
        && [before.group.clone(), before.gid.to_string()].contains(&file.group)
        && before.mode == file.mode;
    if !same_owner {
        return false;
    }
    let after = QueryAnswer::Path(Some(PathState {
        size: file.content.len() as u64,
        content: Some(file.content.clone()),
        ..before
    }));
    let mut known = false;
    for query in [Query::content(&file.path), Query::path(&file.path)] {
        if answers.contains(&query) {
            answers.insert(query, Ok(after.clone()));
            known = true;
        }
    }
    known
}

impl AlteredPath {
    /// Returns true if the answer to the query may differ after the path was altered. If in doubt,
    /// it may.
    #[must_use]
    pub fn may_alter(&self, query: &Query) -> bool {
        let Query::Shell(query) = query else {
            // Neither the Engine nor another host reads the path for its answer.
            return false;
        };
        let path = self.path.as_str();
        let within = |folders: &[&str]| folders.iter().any(|folder| is_within(path, folder));
        match query {
            ShellQuery::Path { path: other, .. } => {
                is_within(path, other)
                    || is_within(other, path) && !self.keeps_content
                    || path == other
            }
            ShellQuery::Catalogue { directory } | ShellQuery::Holding { directory } => {
                is_within(path, directory) || is_within(directory, path)
            }
            ShellQuery::OtherRun | ShellQuery::Sysctl(_) | ShellQuery::RaftPosition => false,
            ShellQuery::AptSources | ShellQuery::AptLists => within(&["/etc/apt", "/var/lib/apt"]),
            ShellQuery::Package(_)
            | ShellQuery::PackageVersions(_)
            | ShellQuery::AptSimulation { .. }
            | ShellQuery::PackageUpdates
            | ShellQuery::DpkgAudit => within(&["/etc", "/usr", "/var"]),
            ShellQuery::RebootState => within(&["/boot", "/run", "/var"]),
            ShellQuery::Unit(_) => within(&["/etc", "/lib", "/usr", "/run"]),
            ShellQuery::User(_) | ShellQuery::Group(_) | ShellQuery::Facts => {
                within(&["/etc", "/usr", "/run"])
            }
            ShellQuery::Program(_) => !within(&["/etc", "/srv", "/home", "/var"]),
            ShellQuery::Test { .. } => true,
        }
    }
}

/// Returns true if a path is a folder or below it.
fn is_within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder.trim_end_matches('/'))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Action, Step};

    fn altered(path: &str, keeps_content: bool) -> AlteredPath {
        AlteredPath {
            path: path.into(),
            keeps_content,
        }
    }

    #[test]
    fn a_path_alters_itself_and_its_surroundings() {
        let file = altered("/srv/a/f", false);
        for (path, expected) in [
            ("/srv/a/f", true),
            // The steps may create it.
            ("/srv/a", true),
            ("/srv", true),
            ("/", true),
            ("/srv/a/f/g", true),
            ("/srv/a/f2", false),
            ("/srv/b", false),
        ] {
            assert_eq!(file.may_alter(&Query::content(path)), expected, "{path}");
        }
        let directory = altered("/srv/a", true);
        for (path, expected) in [
            ("/srv/a", true),
            ("/srv", true),
            ("/srv/a/f", false),
            ("/srv/ab", false),
        ] {
            assert_eq!(directory.may_alter(&Query::path(path)), expected, "{path}");
        }
    }

    #[test]
    fn other_readings_depend_on_the_folders_that_they_read() {
        let reading =
            |query: ShellQuery, path: &str| altered(path, true).may_alter(&Query::Shell(query));
        let unit = || ShellQuery::Unit("web".into());
        assert!(reading(unit(), "/etc/systemd/system/web.service"));
        assert!(!reading(unit(), "/srv/web"));
        assert!(reading(ShellQuery::AptSources, "/etc/apt/sources.list"));
        assert!(!reading(ShellQuery::AptLists, "/etc/hosts"));
        assert!(reading(ShellQuery::User("ann".into()), "/etc/passwd"));
        assert!(!reading(ShellQuery::Package("x".into()), "/home/ann/x"));
        assert!(reading(ShellQuery::Program("x".into()), "/opt/bin/x"));
        let holding = |directory: &str| ShellQuery::Holding {
            directory: directory.into(),
        };
        assert!(reading(holding("/srv/data"), "/srv/data/f"));
        assert!(reading(holding("/srv/data"), "/srv"));
        assert!(!reading(holding("/srv/data"), "/srv/other"));
        let test = ShellQuery::Test {
            script: "true".into(),
        };
        assert!(reading(test, "/srv/x"));
        assert!(!altered("/etc/docker/daemon.json", false).may_alter(&Query::docker("/info")));
    }

    #[test]
    fn the_effect_of_a_script_is_unknown_unless_it_is_declared() {
        let script = || Change::new(Action::Run).step(Step::script("run", "true", [""; 0]));
        assert_eq!(script().effect(), ChangeEffect::Unknown);
        assert_eq!(
            script().altering("/a").keeping_content_of("/b").effect(),
            ChangeEffect::Paths(vec![altered("/a", false), altered("/b", true)])
        );
        assert_eq!(Change::new(Action::Run).effect(), ChangeEffect::Unknown);
    }

    #[test]
    fn a_written_file_is_known_if_it_keeps_owner_and_mode() {
        let state = |content: &str| PathState {
            kind: PathType::File,
            owner: "root".into(),
            uid: 0,
            group: "root".into(),
            gid: 0,
            mode: 0o644,
            size: content.len() as u64,
            modified: 0,
            target: None,
            content: Some(content.into()),
        };
        let write = |mode| {
            Change::new(Action::Update).step(Step {
                summary: "write /f".into(),
                act: Operation::WriteFile(WriteFile {
                    path: "/f".into(),
                    content: b"new content".to_vec(),
                    owner: "0".into(),
                    group: "root".into(),
                    mode,
                }),
            })
        };
        let answers = || {
            HostAnswers::default().with(Query::content("/f"), QueryAnswer::Path(Some(state("old"))))
        };
        let mut after = answers();
        assert_eq!(write(0o644).determine(&mut after), ["/f"]);
        assert_eq!(after.path("/f"), Ok(Some(&state("new content"))));
        let mut after = answers();
        assert!(write(0o600).determine(&mut after).is_empty());
        assert_eq!(after.path("/f"), Ok(Some(&state("old"))));
        // A file that is not there yet gets a numeric owner that is not known.
        let mut absent = HostAnswers::default().with(Query::content("/f"), QueryAnswer::Path(None));
        assert!(write(0o644).determine(&mut absent).is_empty());
        assert!(matches!(
            write(0o644).effect(),
            ChangeEffect::Paths(paths) if paths == [altered("/f", false)]
        ));
    }
}
