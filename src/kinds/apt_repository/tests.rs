//! Plans of `apt_repository` on hosts in each state, given as tables of answers.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::super::trial::{self, TrialFiles};
use super::*;
use crate::model::{Action, Operation, QueryAnswer, ShellQuery};

const DOCKER: &str = "name = 'docker'\nuri = 'https://download.docker.com/linux/ubuntu'\ncomponents = ['stable']\n\
                      key = { url = 'https://download.docker.com/linux/ubuntu/gpg' }";
const SOURCES: &str = "/etc/apt/sources.list.d/docker.sources";
const LISTS: &str = "download.docker.com_linux_ubuntu_dists_noble_InRelease";
const WANTED: &str = "# Managed by skep: changes made here are undone.\nTypes: deb\n\
    URIs: https://download.docker.com/linux/ubuntu\nSuites: noble\nComponents: stable\nArchitectures: amd64\n\
    Signed-By: /etc/apt/keyrings/docker.asc\n";

fn lists(names: &[&str]) -> QueryAnswer {
    QueryAnswer::AptLists(names.iter().map(|name| (*name).to_owned()).collect())
}

fn bare() -> HostAnswers {
    let facts = HostFacts {
        codename: "noble".into(),
        architecture: "amd64".into(),
        ..HostFacts::default()
    };
    let mut answers = HostAnswers::default()
        .with(Query::Shell(ShellQuery::Facts), QueryAnswer::Facts(facts))
        .with(
            Query::Shell(ShellQuery::AptSources),
            QueryAnswer::AptSources(Vec::new()),
        )
        .with(Query::Shell(ShellQuery::AptLists), lists(&[]))
        .with(Query::content(SOURCES), QueryAnswer::Path(None))
        .with(
            Query::content("/etc/apt/keyrings/docker.asc"),
            QueryAnswer::Path(None),
        )
        .with(
            Query::path(KEYRINGS),
            trial::path_answer(PathType::Directory, 0o755),
        );
    for path in [
        "/etc/apt/keyrings/docker.gpg",
        "/etc/apt/keyrings/docker.asc",
    ] {
        answers = answers.with(Query::path(path), QueryAnswer::Path(None));
    }
    for path in [
        "/etc/apt/trusted.gpg.d/docker.asc",
        "/etc/apt/trusted.gpg.d/docker.gpg",
    ] {
        answers = answers.with(Query::path(path), QueryAnswer::Path(None));
    }
    answers
}

fn ready() -> HostAnswers {
    bare()
        .with(Query::content(SOURCES), trial::file_answer(WANTED))
        .with(
            Query::content("/etc/apt/keyrings/docker.asc"),
            trial::file_answer("key"),
        )
        .with(Query::Shell(ShellQuery::AptLists), lists(&[LISTS]))
}

fn summaries(change: &Change) -> Vec<&str> {
    change
        .steps
        .iter()
        .map(|step| step.summary.as_str())
        .collect()
}

#[test]
fn plans_key_source_and_lists_on_a_bare_host() {
    let docker: AptRepositoryResource = trial::kind(DOCKER);
    let change = trial::plan(&docker, &bare()).unwrap();
    assert_eq!(change.action, Action::Create);
    assert_eq!(
        trial::fields(&change),
        [
            "key: - => https://download.docker.com/linux/ubuntu/gpg".to_owned(),
            format!("{SOURCES}: - => {WANTED}"),
            "package lists: - => fetched".to_owned()
        ]
    );
    assert_eq!(
        summaries(&change),
        [
            "fetch the key https://download.docker.com/linux/ubuntu/gpg into /etc/apt/keyrings/docker.asc",
            "write /etc/apt/sources.list.d/docker.sources",
            "fetch the package lists of docker"
        ]
    );
    assert!(trial::plan(&docker, &ready()).is_none());
}

#[test]
fn fetches_lists_again_after_a_failed_update() {
    let docker: AptRepositoryResource = trial::kind(DOCKER);
    let change = trial::plan(
        &docker,
        &ready().with(Query::Shell(ShellQuery::AptLists), lists(&[])),
    )
    .unwrap();
    assert_eq!(
        (trial::fields(&change), change.steps.len()),
        (vec!["package lists: - => fetched".into()], 1)
    );
    // Some mirrors have a detached signature and no InRelease.
    let detached = ready().with(
        Query::Shell(ShellQuery::AptLists),
        lists(&[&LISTS.replace("InRelease", "Release")]),
    );
    assert!(trial::plan(&docker, &detached).is_none());
}

#[test]
fn repairs_drifted_files() {
    let docker: AptRepositoryResource = trial::kind(DOCKER);
    let edited = ready().with(Query::content(SOURCES), trial::file_answer("Types: deb\n"));
    assert_eq!(
        trial::fields(&trial::plan(&docker, &edited).unwrap()),
        [format!("{SOURCES}: Types: deb\n => {WANTED}")]
    );
    let empty_key = ready().with(
        Query::content("/etc/apt/keyrings/docker.asc"),
        trial::file_answer(""),
    );
    assert!(summaries(&trial::plan(&docker, &empty_key).unwrap())[0].starts_with("fetch the key"));
    let QueryAnswer::Path(Some(key)) = trial::file_answer("key") else {
        panic!()
    };
    let closed = QueryAnswer::Path(Some(PathState { mode: 0o600, ..key }));
    let closed = ready().with(Query::content("/etc/apt/keyrings/docker.asc"), closed);
    assert_eq!(
        trial::fields(&trial::plan(&docker, &closed).unwrap()),
        ["mode of the key: 0600 => 0644"]
    );
    let directory = ready().with(
        Query::content(SOURCES),
        trial::path_answer(PathType::Directory, 0o755),
    );
    trial::refusal(&docker, &directory);
}

#[test]
fn removes_older_entries_and_keys() {
    let docker: AptRepositoryResource = trial::kind(DOCKER);
    let line = "deb [signed-by=/etc/apt/keyrings/docker.gpg] https://download.docker.com/linux/ubuntu noble stable\n";
    let list = AptSourceFile {
        path: "/etc/apt/sources.list.d/download.list".into(),
        content: line.into(),
    };
    let own = AptSourceFile {
        path: SOURCES.into(),
        content: WANTED.into(),
    };
    let old = ready()
        .with(
            Query::Shell(ShellQuery::AptSources),
            QueryAnswer::AptSources(vec![list, own]),
        )
        .with(
            Query::path("/etc/apt/keyrings/docker.gpg"),
            trial::file_answer("old"),
        )
        .with(
            Query::path("/etc/apt/trusted.gpg.d/docker.asc"),
            trial::file_answer("old"),
        );
    assert_eq!(
        trial::fields(&trial::plan(&docker, &old).unwrap()),
        [
            format!("/etc/apt/sources.list.d/download.list: {line} => -"),
            "old key /etc/apt/keyrings/docker.gpg: present => -".to_owned(),
            "old key /etc/apt/trusted.gpg.d/docker.asc: present => -".to_owned(),
        ]
    );
}

#[test]
fn accepts_keys_from_the_playbook() {
    let armoured =
        "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ==\n-----END PGP PUBLIC KEY BLOCK-----\n";
    let files = TrialFiles(
        [
            ("docker.asc", armoured.into()),
            ("docker.gpg", vec![0x99, 1]),
            ("motd", b"hello".into()),
        ]
        .into(),
    );
    let table =
        |key: &str| DOCKER.replace("url = 'https://download.docker.com/linux/ubuntu/gpg'", key);
    for key in [
        "file = 'docker.asc'".to_owned(),
        format!("inline = '''{armoured}'''"),
    ] {
        let docker: AptRepositoryResource = trial::kind_with(&table(&key), &files);
        let change = trial::plan(&docker, &ready()).unwrap();
        let Operation::WriteFile(file) = &change.steps[0].act else {
            panic!("{:?}", change.steps[0])
        };
        assert_eq!(
            (file.path.as_str(), file.content.as_slice()),
            ("/etc/apt/keyrings/docker.asc", armoured.as_bytes())
        );
        let same = ready().with(
            Query::content("/etc/apt/keyrings/docker.asc"),
            trial::file_answer(armoured),
        );
        assert!(trial::plan(&docker, &same).is_none());
    }
    let binary: AptRepositoryResource = trial::kind_with(&table("file = 'docker.gpg'"), &files);
    assert_eq!(binary.key_path().unwrap(), "/etc/apt/keyrings/docker.gpg");
    for bad in [
        "inline = 'hello'",
        "inline = ''",
        "url = 'https://x/k', inline = 'x'",
        "url = 'gopher://x'",
        "size = 1",
    ] {
        trial::invalid::<AptRepositoryResource>(&table(bad));
    }
}

#[test]
fn absent_removes_own_files() {
    let gone: AptRepositoryResource = trial::kind("name = 'docker'\nstate = 'absent'");
    assert!(trial::plan(&gone, &bare()).is_none());
    let there = ready().with(
        Query::path("/etc/apt/keyrings/docker.asc"),
        trial::file_answer("key"),
    );
    // A real host gives the same state to both queries of a path.
    let change = trial::plan(&gone, &there).unwrap();
    assert_eq!(change.action, Action::Delete);
    assert_eq!(
        trial::arguments(&change),
        [[SOURCES, "/etc/apt/keyrings/docker.asc"]]
    );
}

#[test]
fn list_names_match_those_of_apt() {
    let lists = |uri: &str, suite: &str| {
        let table = format!("name = 'x'\nuri = '{uri}'\nsuite = '{suite}'");
        trial::kind::<AptRepositoryResource>(&table)
            .list_names(&HostFacts::default())
            .map(|[path, _]| path)
    };
    let updates = "deb.debian.org_debian_dists_bookworm-updates_InRelease";
    assert_eq!(
        lists("http://deb.debian.org/debian/", "bookworm-updates").as_deref(),
        Some(updates)
    );
    let escaped = "m:8080_a%5fb_dists_s_InRelease";
    assert_eq!(lists("http://m:8080/a_b", "s").as_deref(), Some(escaped));
    assert_eq!(lists("file:/srv/debs", "s"), None);
    assert_eq!(lists("http://m/flat", "./"), None);
}

#[test]
fn bad_input_is_refused() {
    for (table, field) in [
        ("name = '../x'\nuri = 'https://x/'", "../x"),
        ("name = '-x'\nuri = 'https://x/'", "-x"),
        ("name = 'x'", "address"),
        ("name = 'x'\nuri = 'https://'", "address"),
        ("name = 'x'\nuri = 'https://x/$(id)'", "address"),
        ("name = 'x'\nuri = \"https://x/\\nSuites: y\"", "address"),
        ("name = 'x'\nuri = 'https://me:secret@x/'", "address"),
        ("name = 'x'\nuri = 'https://x/'\nsuite = 'a b'", "a b"),
        (
            "name = 'x'\nuri = 'https://x/'\ncomponents = [\"a\\nb\"]",
            "cannot be used",
        ),
        (
            "name = 'x'\nuri = 'https://x/'\ncomponents = []",
            "component",
        ),
        (
            "name = 'x'\nuri = 'https://x/'\narchitectures = ['a,b']",
            "a,b",
        ),
        ("name = 'x'\nurl = 'https://x/'", "unknown field"),
    ] {
        let error = trial::invalid::<AptRepositoryResource>(table);
        assert!(error.contains(field), "{table}: {error}");
    }
}
