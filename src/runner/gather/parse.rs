//! Parses what each section printed into answers. A probe that failed becomes a reason, never an
//! empty answer.

use std::collections::HashMap;

use super::parse_paths::{content, paths};
use super::script::ScriptSection;
use super::{facts, parse_packages};
use crate::model::{
    AptSourceFile, DirectoryUsage, GroupState, HostAnswers, PackageState, ProbeError, Query,
    QueryAnswer, RaftPosition, RebootState, ShellQuery, TaggedImage, UnitState, UserState,
};
use crate::runner::gather::output::SectionOutput;

/// Status by which a probe says "not there", where its own words would be ambiguous.
pub(super) const ABSENT: i32 = 44;

/// Adds the answers of one section.
pub(super) fn answer(
    section: &ScriptSection<'_>,
    frame: &SectionOutput,
    answers: &mut HostAnswers,
) {
    match section {
        ScriptSection::Paths(queries) => paths(queries, frame, answers),
        ScriptSection::Content(path, query) => content(path, query, frame, answers),
        ScriptSection::Packages(queries) => packages(queries, frame, answers),
        ScriptSection::Units(queries) => units(queries, frame, answers),
        ScriptSection::Single(query) => {
            answers.insert(Query::Shell((*query).clone()), single(query, frame));
        }
    }
}

pub(super) fn failed(what: &str, frame: &SectionOutput) -> ProbeError {
    let why = if frame.stderr.is_empty() {
        format!("status {}", frame.status)
    } else {
        frame.stderr.clone()
    };
    ProbeError::Failed {
        what: what.into(),
        why,
    }
}

fn packages(queries: &[(&str, &ShellQuery)], frame: &SectionOutput, answers: &mut HostAnswers) {
    // dpkg-query(1): 1 is "some names are not in the database", 2 is trouble.
    let text = frame.text();
    let mut states: HashMap<&str, PackageState> = HashMap::new();
    for line in text.lines() {
        let mut fields = line.split('\t');
        let (Some(name), Some(want), Some(status), version) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let state = states.entry(name).or_default();
        match status {
            "installed" => {
                state.installed = version
                    .filter(|version| !version.is_empty())
                    .map(str::to_owned);
            }
            "not-installed" => {}
            other if state.installed.is_none() => state.broken = Some(other.to_owned()),
            _ => {}
        }
        state.held |= want == "hold";
    }
    for (name, query) in queries {
        let answer = if frame.status > 1 {
            Err(failed("dpkg's database", frame))
        } else {
            Ok(QueryAnswer::Package(
                states.get(name).cloned().unwrap_or_default(),
            ))
        };
        answers.insert(Query::Shell((*query).clone()), answer);
    }
}

fn units(queries: &[(&str, &ShellQuery)], frame: &SectionOutput, answers: &mut HostAnswers) {
    let text = frame.text();
    // systemctl prints one block a unit, in the order asked, with an empty line between.
    let mut blocks = text.trim().split("\n\n");
    for (_, query) in queries {
        let answer = match blocks.next() {
            Some(block) if frame.status == 0 && !block.is_empty() => {
                Ok(QueryAnswer::Unit(unit_state(block)))
            }
            _ => Err(failed("systemd's units", frame)),
        };
        answers.insert(Query::Shell((*query).clone()), answer);
    }
}

fn unit_state(block: &str) -> UnitState {
    let mut state = UnitState::default();
    for (key, value) in block.lines().filter_map(|line| line.split_once('=')) {
        let value = if key.ends_with("Timestamp") {
            seconds(value).to_string()
        } else {
            value.to_owned()
        };
        state.properties.insert(key.to_owned(), value);
    }
    state
}

/// Seconds since 1970 of systemd's own form in UTC, `Sat 2026-11-21 09:35:44 UTC`; 0 when the unit
/// never had that state.
fn seconds(timestamp: &str) -> u64 {
    let date = timestamp
        .split(' ')
        .nth(1)
        .zip(timestamp.split(' ').nth(2))
        .map(|(day, time)| format!("{day}T{time}Z"));
    date.and_then(|date| humantime::parse_rfc3339_weak(&date).ok())
        .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
        .map_or(0, |since| since.as_secs())
}

fn single(query: &ShellQuery, frame: &SectionOutput) -> Result<QueryAnswer, ProbeError> {
    let text = frame.text();
    // These two answer with their status or with apt's own reasons.
    match query {
        ShellQuery::Test { .. } => return Ok(QueryAnswer::Test(frame.status)),
        ShellQuery::AptSimulation { .. } => {
            return Ok(QueryAnswer::AptSimulation(parse_packages::simulation(
                &text,
                frame.status,
            )));
        }
        ShellQuery::Sysctl(_) if frame.status == ABSENT => return Ok(QueryAnswer::Sysctl(None)),
        ShellQuery::Catalogue { .. } if frame.status == ABSENT => {
            return Ok(QueryAnswer::Catalogue(None));
        }
        ShellQuery::Holding { .. } if frame.status == ABSENT => {
            return Ok(QueryAnswer::Holding(None));
        }
        ShellQuery::Holding { .. } => return holding(query, &text, frame),
        _ => {}
    }
    if frame.status != 0 {
        return Err(failed(&format!("{query:?}"), frame));
    }
    Ok(match query {
        ShellQuery::Facts => QueryAnswer::Facts(facts::parse(&text)),
        ShellQuery::AptSources => QueryAnswer::AptSources(source_files(&text)),
        ShellQuery::AptLists => QueryAnswer::AptLists(
            text.lines()
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
        ),
        ShellQuery::PackageVersions(_) => {
            QueryAnswer::PackageVersions(parse_packages::versions(&text))
        }
        ShellQuery::DpkgAudit => QueryAnswer::DpkgAudit(
            text.lines()
                .filter(|line| !line.trim().is_empty())
                .map(str::to_owned)
                .collect(),
        ),
        ShellQuery::PackageUpdates => QueryAnswer::PackageUpdates(parse_packages::updates(&text)),
        ShellQuery::RebootState => QueryAnswer::RebootState(
            reboot_state(&text).ok_or_else(|| failed(&format!("{query:?}"), frame))?,
        ),
        ShellQuery::RaftPosition => QueryAnswer::RaftPosition(RaftPosition::parse(&text)),
        ShellQuery::Catalogue { .. } => QueryAnswer::Catalogue(Some(tagged(&text))),
        ShellQuery::User(_) => QueryAnswer::User(user(&text)),
        ShellQuery::Group(_) => QueryAnswer::Group(group(&text)),
        ShellQuery::Sysctl(_) => QueryAnswer::Sysctl(Some(text.trim().to_owned())),
        ShellQuery::OtherRun => QueryAnswer::OtherRun(text.trim().to_owned()),
        ShellQuery::Program(_) => {
            QueryAnswer::Program(Some(text.trim().to_owned()).filter(|path| !path.is_empty()))
        }
        // Sections of their own answer these; `answer` sends none of them here.
        ShellQuery::Path { .. }
        | ShellQuery::Package(_)
        | ShellQuery::Unit(_)
        | ShellQuery::Test { .. }
        | ShellQuery::AptSimulation { .. }
        | ShellQuery::Holding { .. } => return Err(ProbeError::NotAsked(format!("{query:?}"))),
    })
}

fn source_files(text: &str) -> Vec<AptSourceFile> {
    let mut parts = text.split('\0');
    let mut files = Vec::new();
    while let (Some(path), Some(content)) = (parts.next(), parts.next()) {
        files.push(AptSourceFile {
            path: path.to_owned(),
            content: content.to_owned(),
        });
    }
    files
}

/// Number of files and of their bytes. A directory that could not be read whole is not taken for an
/// empty one.
fn holding(
    query: &ShellQuery,
    text: &str,
    frame: &SectionOutput,
) -> Result<QueryAnswer, ProbeError> {
    let counted = text
        .trim()
        .split_once(' ')
        .and_then(|(files, bytes)| Some((files.parse().ok()?, bytes.parse().ok()?)));
    match counted {
        Some((files, bytes)) if files > 0 || frame.stderr.is_empty() => {
            Ok(QueryAnswer::Holding(Some(DirectoryUsage { files, bytes })))
        }
        _ => Err(failed(&format!("{query:?}"), frame)),
    }
}

/// `REPOSITORY/_manifests/tags/TAG/current/link`, a tab, the digest.
fn tagged(text: &str) -> Vec<TaggedImage> {
    let one = |line: &str| {
        let (path, digest) = line.split_once('\t')?;
        let (repository, rest) = path.split_once("/_manifests/tags/")?;
        let tag = rest.strip_suffix("/current/link")?;
        let [repository, tag, digest] = [repository, tag, digest.trim()].map(str::to_owned);
        Some(TaggedImage {
            repository,
            tag,
            digest,
        })
    };
    let mut all: Vec<TaggedImage> = text.lines().filter_map(one).collect();
    all.sort();
    all
}

fn user(text: &str) -> Option<UserState> {
    let mut lines = text.lines();
    let mut fields = lines.next()?.split(':').skip(2);
    let uid = fields.next()?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let mut fields = fields.skip(1);
    let home = fields.next()?.to_owned();
    let shell = fields.next()?.to_owned();
    let groups = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    Some(UserState {
        uid,
        gid,
        home,
        shell,
        groups,
    })
}

fn group(text: &str) -> Option<GroupState> {
    let mut fields = text.lines().next()?.split(':').skip(2);
    let gid = fields.next()?.parse().ok()?;
    let members = fields
        .next()
        .unwrap_or_default()
        .split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    Some(GroupState { gid, members })
}

/// Reads the running kernel, the newest kernel, and the word for a requested reboot.
fn reboot_state(text: &str) -> Option<RebootState> {
    let mut lines = text.lines().map(|line| line.trim().to_owned());
    let running_kernel = lines.next().filter(|line| !line.is_empty())?;
    Some(RebootState {
        running_kernel,
        newest_kernel: lines.next()?,
        is_requested: lines.next().as_deref() == Some("requested"),
    })
}
