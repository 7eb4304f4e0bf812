//! Plans of `apt_repository` on hosts in each state, given as tables of answers.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::super::trial::{self, TrialFiles};
use super::openpgp::ARMOUR;
use super::samples::{FINGERPRINT, KEY, RSA, RSA_FINGERPRINT, binary};
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
        base_id: "ubuntu".into(),
        base_codename: "noble".into(),
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
            "fetch the key https://download.docker.com/linux/ubuntu/gpg into /etc/apt/keyrings/docker.asc, \
             write /etc/apt/sources.list.d/docker.sources, fetch the package lists of docker"
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
        let Operation::Script(script) = &change.steps[0].act else {
            panic!("{:?}", change.steps[0])
        };
        let length = armoured.len().to_string();
        assert_eq!(
            script.arguments[2..6],
            ["/etc/apt/keyrings/docker.asc", &length, "", ""]
        );
        assert!(script.stdin.ends_with(armoured.as_bytes()));
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
        "url = 'https://x/k', fingerprint = '0EBFCD88'",
        "url = 'https://x/k', fingerprint = 1",
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

/// A key of the playbook that is `KEY`, or another one.
fn with_fingerprint(fingerprint: &str) -> String {
    let key = format!("/linux/ubuntu/gpg', fingerprint = '{fingerprint}' }}");
    DOCKER.replace("/linux/ubuntu/gpg' }", &key)
}

#[test]
fn replaced_key_on_the_host_is_fetched_again() {
    let key_file = Query::content("/etc/apt/keyrings/docker.asc");
    let with_key =
        |answers: HostAnswers, key: &str| answers.with(key_file.clone(), trial::file_answer(key));
    // With a fingerprint, the key itself tells.
    let docker: AptRepositoryResource = trial::kind(&with_fingerprint(FINGERPRINT));
    assert!(trial::plan(&docker, &with_key(ready(), KEY)).is_none());
    let change = trial::plan(&docker, &ready()).unwrap();
    assert!(
        trial::fields(&change)[0].starts_with("key: no usable key"),
        "{:?}",
        trial::fields(&change)
    );
    assert_eq!(
        trial::arguments(&change)[0][3..6],
        [
            "fetch",
            "https://download.docker.com/linux/ubuntu/gpg",
            FINGERPRINT
        ]
    );
    let other: AptRepositoryResource = trial::kind(&with_fingerprint(&"AA".repeat(20)));
    let change = trial::plan(&other, &with_key(ready(), KEY)).unwrap();
    assert_eq!(
        trial::fields(&change),
        [format!(
            "key: fingerprint {FINGERPRINT} => https://download.docker.com/linux/ubuntu/gpg"
        )]
    );
    // Without one, the digest of the key that skep fetched tells.
    let docker: AptRepositoryResource = trial::kind(DOCKER);
    let recorded = WANTED.replacen(
        '\n',
        &format!("\n# Key: sha256:{}\n", crate::model::sha256(b"key")),
        1,
    );
    let recorded = ready().with(Query::content(SOURCES), trial::file_answer(&recorded));
    assert!(trial::plan(&docker, &recorded).is_none());
    let change = trial::plan(&docker, &with_key(recorded, KEY)).unwrap();
    assert!(
        trial::fields(&change)[0].contains("another key than skep has fetched"),
        "{:?}",
        trial::fields(&change)
    );
    // Given keys are compared when the playbook is read.
    let files = TrialFiles([("docker.asc", KEY.into())].into());
    let given = |fingerprint: &str| {
        let key = format!("file = 'docker.asc', fingerprint = ['{fingerprint}']");
        DOCKER.replace("url = 'https://download.docker.com/linux/ubuntu/gpg'", &key)
    };
    let _: AptRepositoryResource = trial::kind_with(&given(FINGERPRINT), &files);
    let inline = format!(
        "inline = \"\"\"{KEY}\"\"\", fingerprint = '{}'",
        "AA".repeat(20)
    );
    let table = DOCKER.replace(
        "url = 'https://download.docker.com/linux/ubuntu/gpg'",
        &inline,
    );
    let error = trial::invalid::<AptRepositoryResource>(&table);
    assert!(error.contains(FINGERPRINT), "{error}");
}

#[test]
fn key_over_http_without_a_fingerprint_is_a_warning() {
    let http = |table: &str| table.replace("{ url = 'https://", "{ url = 'http://");
    let docker: AptRepositoryResource = trial::kind(&http(DOCKER));
    assert!(ResourceKind::warnings(&docker)[0].contains("fingerprint"));
    let change = trial::plan(&docker, &bare()).unwrap();
    assert!(
        change.notes[0].contains("over http://"),
        "{:?}",
        change.notes
    );
    for safe in [DOCKER.to_owned(), http(&with_fingerprint(FINGERPRINT))] {
        let docker: AptRepositoryResource = trial::kind(&safe);
        assert!(ResourceKind::warnings(&docker).is_empty(), "{safe}");
    }
}

#[test]
fn key_that_another_source_names_stays() {
    let gone: AptRepositoryResource = trial::kind("name = 'docker'\nstate = 'absent'");
    let there = ready().with(
        Query::path("/etc/apt/keyrings/docker.asc"),
        trial::file_answer("key"),
    );
    let other = AptSourceFile {
        path: "/etc/apt/sources.list.d/y.sources".into(),
        content: "# Managed by skep: x\nTypes: deb\nSigned-By:\n /etc/apt/keyrings/docker.asc\n"
            .into(),
    };
    let shared = there.with(
        Query::Shell(ShellQuery::AptSources),
        QueryAnswer::AptSources(vec![other]),
    );
    let change = trial::plan(&gone, &shared).unwrap();
    assert_eq!(trial::arguments(&change), [[SOURCES]]);
}

/// A scratch folder with substitutes for apt-get and curl, and the install step of a plan.
struct InstallTrial {
    scratch: trial::ScratchFolder,
    script: String,
}

impl InstallTrial {
    /// `apt_get` is shell text; `$source` is the tried source and `$key` its key. The address
    /// answers with `key`.
    fn new(apt_get: &str, key: &[u8]) -> Self {
        let scratch = trial::ScratchFolder::new();
        for folder in ["sources.list.d", "tmp"] {
            std::fs::create_dir(scratch.path(folder)).unwrap();
        }
        std::fs::write(scratch.path("body"), key).unwrap();
        let apt_get = format!(
            "for one; do case $one in Dir::Etc::sourcelist=*) source=${{one#*=}} ;; esac; done\n\
             key=$(sed -n 's/^Signed-By: //p' \"$source\")\n{apt_get}"
        );
        let curl = format!(
            "while [ \"$1\" != -o ]; do shift; done\ncat '{}' >\"$2\"",
            scratch.path("body")
        );
        for (name, text) in [("apt-get", apt_get), ("curl", curl)] {
            std::fs::write(scratch.path(name), format!("#!/bin/sh\n{text}\n")).unwrap();
            trial::run("chmod 755 \"$1\"", &[scratch.path(name)], b"", &[]).unwrap();
        }
        let docker: AptRepositoryResource = trial::kind(DOCKER);
        let change = trial::plan(&docker, &bare()).unwrap();
        let script = trial::scripts(&change)[0].clone();
        Self { scratch, script }
    }

    fn source(&self) -> String {
        self.scratch.path("sources.list.d/docker.sources")
    }

    fn key(&self) -> String {
        self.scratch.path("keyrings/$(x).asc")
    }

    /// Runs the step; `more` are older entries, and `input` is the input after the source.
    fn run(
        &self,
        key_from: &str,
        fingerprints: &str,
        more: &[String],
        input: &str,
    ) -> Result<String, String> {
        let source = format!("# Managed\nTypes: deb\nSigned-By: {}\n", self.key());
        let input = format!("{source}{input}");
        let mut arguments = vec![
            self.source(),
            source.len().to_string(),
            self.key(),
            key_from.to_owned(),
            "https://x/$(touch pwned)".to_owned(),
            fingerprints.to_owned(),
            input.len().to_string(),
        ];
        arguments.extend_from_slice(more);
        let path = format!(
            "{}:/usr/bin:/bin",
            self.scratch.path("").trim_end_matches('/')
        );
        let environment = [
            ("PATH", path.as_str()),
            ("TMPDIR", &self.scratch.path("tmp")),
        ];
        trial::run(&self.script, &arguments, input.as_bytes(), &environment)
    }

    /// Returns names and contents of all files that apt would read.
    fn files(&self) -> Vec<(String, String)> {
        let mut files = Vec::new();
        for folder in ["sources.list.d", "keyrings", "tmp"] {
            let Ok(entries) = std::fs::read_dir(self.scratch.path(folder)) else {
                continue;
            };
            for entry in entries.map(Result::unwrap) {
                let name = entry.file_name().into_string().unwrap();
                files.push((name, std::fs::read_to_string(entry.path()).unwrap()));
            }
        }
        files.sort();
        files
    }
}

#[test]
fn repository_that_cannot_be_fetched_changes_nothing() {
    let dead = "echo 'E: The repository has no Release file.' >&2; exit 100";
    let new = InstallTrial::new(dead, KEY.as_bytes());
    let said = new.run("fetch", "", &[], "").unwrap_err();
    assert!(
        said.contains("no Release file") && said.contains("nothing was changed"),
        "{said}"
    );
    assert_eq!(new.files(), []);

    let old = InstallTrial::new(dead, KEY.as_bytes());
    std::fs::create_dir(old.scratch.path("keyrings")).unwrap();
    std::fs::write(old.source(), "old\u{fc}\n").unwrap();
    std::fs::write(old.key(), "old key").unwrap();
    let list = old.scratch.path("sources.list.d/a b.list");
    std::fs::write(&list, "older").unwrap();
    let before = old.files();
    let older = ["remove".to_owned(), list];
    old.run("fetch", "", &older, "").unwrap_err();
    assert_eq!(old.files(), before);
    // A key that is kept, and does not verify the repository, is named with the remedy.
    let expired = InstallTrial::new(
        "echo 'E: GPG error: EXPKEYSIG 7EA0A9C3F273FCD8' >&2; exit 100",
        KEY.as_bytes(),
    );
    std::fs::create_dir(expired.scratch.path("keyrings")).unwrap();
    std::fs::write(expired.key(), "old key").unwrap();
    let said = expired.run("keep", "", &[], "").unwrap_err();
    assert!(
        said.contains(&expired.key()) && said.contains("remove this file"),
        "{said}"
    );
}

#[test]
fn repository_is_installed_with_its_key_after_the_trial() {
    // Apt must be able to read the staged key.
    let apt = "[ \"$(stat -c %a \"$key\" \"${key%/*}\" | tr '\\n' ' ')\" = '644 755 ' ] && grep -q BEGIN \"$key\"";
    for (body, stored) in [
        (KEY.as_bytes(), KEY.to_owned()),
        (
            &b"\x99"[..],
            format!("{ARMOUR}\n\nmQ==\n-----END PGP PUBLIC KEY BLOCK-----\n"),
        ),
    ] {
        let trial = InstallTrial::new(apt, body);
        let list = trial.scratch.path("sources.list.d/docker.list");
        let mixed = trial.scratch.path("sources.list.d/a b.list");
        std::fs::write(&list, "older").unwrap();
        std::fs::write(&mixed, "deb x\ndeb docker\n").unwrap();
        let rest = "deb x\n# deb docker\n";
        let older = ["remove".to_owned(), list, "write".to_owned(), mixed];
        let older = [&older[..], &[rest.len().to_string()]].concat();
        trial.run("fetch", "", &older, rest).unwrap();
        let digest = crate::model::sha256(stored.as_bytes());
        let source = format!(
            "# Managed\n# Key: sha256:{digest}\nTypes: deb\nSigned-By: {}\n",
            trial.key()
        );
        assert_eq!(
            trial.files(),
            [
                ("$(x).asc".to_owned(), stored),
                ("a b.list".to_owned(), rest.to_owned()),
                ("docker.sources".to_owned(), source),
            ]
        );
        for path in [trial.source(), trial.key()] {
            assert_eq!(trial::look(&path).unwrap().mode, 0o644);
        }
        assert!(trial::look("/pwned").is_none());
    }
}

#[test]
fn fetched_key_must_have_the_fingerprint() {
    let other = "BB".repeat(20);
    for (body, fingerprints, refused) in [
        (KEY.as_bytes().to_vec(), FINGERPRINT.to_owned(), None),
        (
            KEY.as_bytes().to_vec(),
            format!("{other} {FINGERPRINT}"),
            None,
        ),
        (KEY.as_bytes().to_vec(), other.clone(), Some(FINGERPRINT)),
        (binary(KEY), FINGERPRINT.to_owned(), None),
        (binary(KEY), other, Some(FINGERPRINT)),
        // Somebody adds a key to the vendor's.
        (
            [binary(KEY), binary(RSA)].concat(),
            FINGERPRINT.to_owned(),
            Some(RSA_FINGERPRINT),
        ),
        (
            format!("{KEY}{RSA}").into_bytes(),
            FINGERPRINT.to_owned(),
            Some(RSA_FINGERPRINT),
        ),
        (
            binary(KEY)[..40].to_vec(),
            FINGERPRINT.to_owned(),
            Some("no OpenPGP public key"),
        ),
        (
            b"<html>Not found</html>".to_vec(),
            FINGERPRINT.to_owned(),
            Some("is not an OpenPGP public key"),
        ),
        (
            Vec::new(),
            String::new(),
            Some("is not an OpenPGP public key"),
        ),
    ] {
        let trial = InstallTrial::new("exit 0", &body);
        let done = trial.run("fetch", &fingerprints, &[], "");
        match refused {
            None => assert!(done.is_ok(), "{done:?}"),
            Some(word) => {
                let said = done.unwrap_err();
                assert!(said.contains(word), "{said}");
                assert_eq!(trial.files(), []);
            }
        }
    }
}

#[test]
fn extended_key_with_the_same_fingerprint_is_fetched() {
    let apt = "! grep -q 'old key' \"$key\" || { echo 'EXPKEYSIG' >&2; exit 100; }";
    let trial = InstallTrial::new(apt, KEY.as_bytes());
    std::fs::create_dir(trial.scratch.path("keyrings")).unwrap();
    // A key of the same fingerprint in another form; the fake apt refuses it.
    let old = KEY.replacen("\n\n", "\nComment: old key\n\n", 1);
    std::fs::write(trial.key(), &old).unwrap();
    trial.run("keep", FINGERPRINT, &[], "").unwrap();
    assert_eq!(std::fs::read_to_string(trial.key()).unwrap(), KEY);
}

#[test]
fn truncated_input_changes_nothing() {
    let trial = InstallTrial::new("exit 0", KEY.as_bytes());
    let mut arguments = vec![trial.source(), "5".to_owned(), String::new()];
    arguments.extend(["none", "", "", "99"].map(str::to_owned));
    let said = trial::run(&trial.script, &arguments, b"Types", &[]).unwrap_err();
    assert!(said.contains("only a part of the content"), "{said}");
}
