//! Parses the states and contents of paths.

use std::collections::{HashMap, HashSet};

use super::output::SectionOutput;
use super::parse::failed;
use crate::model::{
    CONTENT_LIMIT, HostAnswers, PathState, PathType, ProbeError, Query, QueryAnswer, ShellQuery,
};

/// Answers the queries about paths.
pub(super) fn paths(
    queries: &[(&str, &ShellQuery)],
    frame: &SectionOutput,
    answers: &mut HostAnswers,
) {
    let troubles = FindErrors::of(queries, &frame.stderr);
    let text = String::from_utf8_lossy(&frame.stdout);
    let mut parts = text.split('\0');
    let mut found = HashMap::new();
    while let (Some(path), Some(fields)) = (parts.next(), parts.next()) {
        found.insert(path.to_owned(), path_answer(path, fields));
    }
    for (path, query) in queries {
        let answer = match (found.get(*path), troubles.about(path)) {
            (Some(answer), _) => answer.clone(),
            (None, Some(why)) => Err(ProbeError::Failed {
                what: (*path).to_owned(),
                why: why.to_owned(),
            }),
            (None, None) => Ok(QueryAnswer::Path(None)),
        };
        answers.insert(Query::Shell((*query).clone()), answer);
    }
}

/// Failures of find, from its standard error; only "it is not there" is an answer. find names the
/// path, unless the path contains a character that it writes in another way, such as a quote. A
/// failure without a known path counts for every path.
#[derive(Default)]
struct FindErrors<'a> {
    of_path: HashMap<&'a str, &'a str>,
    of_all: Option<&'a str>,
}

impl<'a> FindErrors<'a> {
    fn of(queries: &[(&str, &ShellQuery)], stderr: &'a str) -> Self {
        let asked: HashSet<&str> = queries.iter().map(|(path, _)| *path).collect();
        let longest = asked
            .iter()
            .map(|path| path.len())
            .max()
            .unwrap_or_default();
        let absent = |line: &str| {
            line.ends_with("No such file or directory") || line.ends_with("Not a directory")
        };
        let mut troubles = Self::default();
        for line in stderr.lines().filter(|line| !absent(line)) {
            let rest = line.strip_prefix("find: '").unwrap_or_default();
            // A path may itself hold what stands behind it.
            let ends = rest.match_indices("': ").map(|(end, _)| &rest[..end]);
            match ends
                .take_while(|path| path.len() <= longest)
                .find(|path| asked.contains(path))
            {
                Some(path) => {
                    troubles.of_path.entry(path).or_insert(line);
                }
                None => {
                    troubles.of_all.get_or_insert(line);
                }
            }
        }
        troubles
    }

    fn about(&self, path: &str) -> Option<&'a str> {
        self.of_path.get(path).copied().or(self.of_all)
    }
}

/// Returns the state of a path, or the reason why root does not look at it (see [`refusal`]).
fn path_answer(path: &str, fields: &str) -> Result<QueryAnswer, ProbeError> {
    if let Some(refused) = refusal(fields) {
        return Err(refused);
    }
    match path_state(fields) {
        Some(state) => Ok(QueryAnswer::Path(Some(state))),
        None => Err(ProbeError::Failed {
            what: path.to_owned(),
            why: "find printed no state".into(),
        }),
    }
}

/// Returns the reason why root does not read a path, if the host printed one: `!`, reason, remedy
/// and open directory, with tabs between them.
fn refusal(fields: &str) -> Option<ProbeError> {
    let mut words = fields.strip_prefix("!\t")?.splitn(3, '\t');
    Some(ProbeError::UnsafePath {
        why: words.next()?.to_owned(),
        hint: words.next()?.to_owned(),
        open_directory: words.next()?.to_owned(),
    })
}

fn path_state(fields: &str) -> Option<PathState> {
    let mut fields = fields.splitn(9, '\t');
    let kind = match fields.next()? {
        "f" => PathType::File,
        "d" => PathType::Directory,
        "l" => PathType::Symlink,
        _ => PathType::Other,
    };
    let mode = u32::from_str_radix(fields.next()?, 8).ok()?;
    let owner = fields.next()?.to_owned();
    let uid = fields.next()?.parse().ok()?;
    let group = fields.next()?.to_owned();
    let gid = fields.next()?.parse().ok()?;
    let size = fields.next()?.parse().ok()?;
    let modified = fields
        .next()?
        .split('.')
        .next()?
        .parse()
        .unwrap_or_default();
    let target = fields.next()?;
    Some(PathState {
        kind,
        owner,
        uid,
        group,
        gid,
        mode,
        size,
        modified,
        target: (kind == PathType::Symlink).then(|| target.to_owned()),
        content: None,
    })
}

pub(super) fn content(
    path: &str,
    query: &ShellQuery,
    frame: &SectionOutput,
    answers: &mut HostAnswers,
) {
    // The paths' section stands first: without a state there, this answer keeps its reason.
    let Ok(Some(state)) = answers.path(path).map(Option::<&PathState>::cloned) else {
        return;
    };
    if state.kind != PathType::File {
        return;
    }
    let answer = if frame.status != 0 {
        let refused = frame.stderr.lines().find_map(refusal);
        Err(refused.unwrap_or_else(|| failed(path, frame)))
    } else if frame.stdout.len() as u64 > CONTENT_LIMIT {
        Ok(QueryAnswer::Path(Some(state)))
    } else {
        Ok(QueryAnswer::Path(Some(PathState {
            content: Some(frame.stdout.clone()),
            ..state
        })))
    };
    answers.insert(Query::Shell(query.clone()), answer);
}
