//! What must hold for whatever a host prints: an answer or a reason for each question and for
//! nothing else, and the content of
//! one file, the target of one link, or the words of one probe never become another resource's
//! answer.

use std::collections::BTreeSet;

use super::{parse, script};
use crate::model::{HostAnswers, Query, ShellQuery};
use crate::runner::gather::output;

/// In a run it is 128 random bits; no file on a host can hold it.
const MARKER: &str = "MARKER";

fn queries() -> BTreeSet<ShellQuery> {
    let text = |text: &str| text.to_owned();
    BTreeSet::from([
        ShellQuery::Facts,
        ShellQuery::content("/a"),
        ShellQuery::content("/b"),
        ShellQuery::path("/c': d"),
        ShellQuery::path("/link"),
        ShellQuery::AptSources,
        ShellQuery::AptLists,
        ShellQuery::Package(text("x")),
        ShellQuery::Package(text("y")),
        ShellQuery::PackageVersions(text("x")),
        ShellQuery::AptSimulation {
            arguments: vec![text("x")],
        },
        ShellQuery::DpkgAudit,
        ShellQuery::PackageUpdates,
        ShellQuery::RebootState,
        ShellQuery::RaftPosition,
        ShellQuery::Unit(text("u.service")),
        ShellQuery::Unit(text("v.service")),
        ShellQuery::User(text("ann")),
        ShellQuery::Group(text("staff")),
        ShellQuery::Sysctl(text("vm.swappiness")),
        ShellQuery::Program(text("docker")),
        ShellQuery::Test {
            script: text("true"),
        },
    ])
}

/// See [`crate::fuzzing::gather`]; gives the words that would be shown.
pub(crate) fn gather(bytes: &[u8]) -> Vec<String> {
    let Some((&mode, bytes)) = bytes.split_first() else {
        return Vec::new();
    };
    let queries = queries();
    let queries: Vec<&ShellQuery> = queries.iter().collect();
    let parts = script::sections(&queries);
    if mode.is_multiple_of(2) {
        let framed = output::split(MARKER, bytes);
        let held: usize = framed
            .values()
            .map(|frame| frame.stdout.len() + frame.stderr.len())
            .sum();
        // Bytes that are no text take three each in `stderr`.
        assert!(held <= bytes.len() * 3, "{held} of {}", bytes.len());
        let answers = answers(&parts, bytes);
        return words(&queries, &answers);
    }
    let payload = bytes;
    if payload
        .windows(MARKER.len())
        .any(|part| part == MARKER.as_bytes())
    {
        return Vec::new();
    }
    let quiet = answers(&parts, &honest(&parts, b""));
    let loud = answers(&parts, &honest(&parts, payload));
    for query in &queries {
        // The file, the link, and the command that the payload comes from.
        let own = [
            ShellQuery::content("/a"),
            ShellQuery::path("/link"),
            ShellQuery::DpkgAudit,
        ];
        if !own.contains(query) {
            assert_eq!(
                loud.get(&Query::Shell((*query).clone())),
                quiet.get(&Query::Shell((*query).clone())),
                "{query:?}"
            );
        }
    }
    assert_eq!(
        loud.path("/a")
            .ok()
            .flatten()
            .and_then(|state| state.content.as_deref()),
        Some(payload)
    );
    words(&queries, &loud)
}

fn answers(parts: &[script::ScriptSection<'_>], output: &[u8]) -> HostAnswers {
    let framed = output::split(MARKER, output);
    let mut answers = HostAnswers::default();
    for (index, part) in parts.iter().enumerate() {
        if let Some(frame) = framed.get(&index) {
            parse::answer(part, frame, &mut answers);
        }
    }
    answers
}

/// Everything that was asked, as text: reasons and values that a report may show.
fn words(queries: &[&ShellQuery], answers: &HostAnswers) -> Vec<String> {
    assert!(
        answers.len() <= queries.len(),
        "an answer to what nobody asked"
    );
    queries
        .iter()
        .map(|query| match answers.get(&Query::Shell((*query).clone())) {
            Ok(answer) => format!("{answer:?}"),
            Err(error) => error.to_string(),
        })
        .collect()
}

/// What an honest host prints whose file /a, link and dpkg hold the payload.
fn honest(parts: &[script::ScriptSection<'_>], payload: &[u8]) -> Vec<u8> {
    let mut output = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        // A target of a link holds any byte but NUL.
        let link: Vec<u8> = payload.iter().copied().filter(|byte| *byte != 0).collect();
        let (stdout, stderr): (Vec<u8>, &[u8]) = match part {
            script::ScriptSection::Paths(_) => {
                let state = |path: &str, kind: &str, target: &[u8]| {
                    [format!("{path}\0{kind}\t644\troot\t0\troot\t0\t5\t1.0\t").as_bytes(), target, b"\0"].concat()
                };
                (
                    [state("/a", "f", b""), state("/link", "l", &link), state("/b", "f", b"")].concat(),
                    b"find: '/c': d': Permission denied",
                )
            }
            script::ScriptSection::Content("/a", _) => (payload.to_vec(), b""),
            script::ScriptSection::Content(..) => (b"b's own".to_vec(), b""),
            script::ScriptSection::Packages(_) => {
                (b"x\tinstall\tinstalled\t1.0\ny\thold\tinstalled\t2\n".to_vec(), b"dpkg-query: no")
            }
            script::ScriptSection::Units(_) => {
                (b"LoadState=loaded\nActiveState=active\n\nLoadState=not-found\nActiveState=inactive\n".to_vec(), b"")
            }
            script::ScriptSection::Single(ShellQuery::DpkgAudit) => (payload.to_vec(), payload),
            script::ScriptSection::Single(ShellQuery::User(_)) => (b"ann:x:7:8:Ann:/home/ann:/bin/sh\nann staff\n".to_vec(), b""),
            script::ScriptSection::Single(_) => (b"value\n".to_vec(), b""),
        };
        // The shell takes NUL bytes and line ends at the end out of what it holds in a variable.
        let stderr: Vec<u8> = stderr.iter().copied().filter(|byte| *byte != 0).collect();
        output.extend(format!("\n{MARKER} begin {index}\n").as_bytes());
        output.extend(stdout);
        output.extend(format!("\n{MARKER} end {index} 0\n").as_bytes());
        output.extend(stderr);
        output.extend(format!("\n{MARKER} done {index}\n").as_bytes());
    }
    output
}
