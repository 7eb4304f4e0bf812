//! Certificates created, renewed and refused by this machine's real openssl in a scratch folder.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::super::trial::{self, ScratchFolder};
use super::*;
use crate::model::{Operation, QueryAnswer, ShellQuery};

fn kind(directory: &str, more: &str) -> CertificateResource {
    trial::kind(&format!(
        "directory = {}\nnames = ['registry.dream', '10.0.0.1']\n{more}",
        trial::quoted(directory)
    ))
}

/// Returns the answers of a host with this directory.
fn answers(kind: &CertificateResource, directory: &str) -> HostAnswers {
    let script = kind.script();
    let status = match trial::run(&format!("( {script} ) >/dev/null 2>&1"), &[], b"", &[]) {
        Ok(_) => 0,
        Err(said) => said.split(':').nth(1).unwrap().trim().parse().unwrap(),
    };
    let clock = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let at = |name: &str| format!("{directory}/{name}");
    let keys = |answers: HostAnswers, name: &str| {
        let found = trial::look(&at(name)).map(|file| PathState {
            content: None,
            uid: 0,
            ..file
        });
        answers.with(Query::path(at(name)), QueryAnswer::Path(found))
    };
    let answers = HostAnswers::default()
        .with(
            Query::Shell(ShellQuery::Test { script }),
            QueryAnswer::Test(status),
        )
        .with(
            Query::content(at("server.crt")),
            QueryAnswer::Path(trial::look(&at("server.crt"))),
        )
        .with(
            Query::Shell(ShellQuery::Facts),
            QueryAnswer::Facts(HostFacts {
                clock,
                ..HostFacts::default()
            }),
        );
    keys(keys(answers, "ca.key"), "server.key")
}

fn read(path: &str) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

#[test]
fn creates_and_renews_with_the_same_authority() {
    let scratch = ScratchFolder::new();
    let directory = scratch.path("a b/it's");
    let one = kind(&directory, "");
    let change = trial::plan(&one, &answers(&one, &directory)).unwrap();
    assert_eq!(
        trial::fields(&change),
        [
            "authority: - => new, for 3650 days",
            "certificate: - => for 365 days: registry.dream, 10.0.0.1"
        ]
    );
    trial::perform(&change).unwrap();
    assert!(trial::plan(&one, &answers(&one, &directory)).is_none());
    for key in ["ca.key", "server.key"] {
        assert_eq!(
            trial::look(&format!("{directory}/{key}")).unwrap().mode,
            0o600
        );
    }
    let authority = read(&format!("{directory}/ca.crt"));

    let sooner = kind(&directory, "days = 700\nrenew_before = 400");
    let change = trial::plan(&sooner, &answers(&sooner, &directory)).unwrap();
    let shown = trial::fields(&change);
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert!(
        shown[0].starts_with("certificate: expires soon or has expired (36"),
        "{shown:?}"
    );
    trial::perform(&change).unwrap();
    assert!(trial::plan(&sooner, &answers(&sooner, &directory)).is_none());
    assert_eq!(
        read(&format!("{directory}/ca.crt")),
        authority,
        "hosts that trust the authority need nothing"
    );

    let named: CertificateResource = trial::kind(&format!(
        "directory = {}\nnames = ['registry.dream', 'other.dream']",
        trial::quoted(&directory)
    ));
    let change = trial::plan(&named, &answers(&named, &directory)).unwrap();
    assert!(
        trial::fields(&change)[0].starts_with("certificate: lacks a name"),
        "{:?}",
        trial::fields(&change)
    );
    trial::perform(&change).unwrap();
    assert!(trial::plan(&named, &answers(&named, &directory)).is_none());
}

#[test]
fn recreates_mismatched_keys_and_certificates() {
    let scratch = ScratchFolder::new();
    let (directory, other) = (scratch.path("one"), scratch.path("two"));
    let (one, two) = (kind(&directory, ""), kind(&other, ""));
    for (kind, directory) in [(&one, &directory), (&two, &other)] {
        trial::perform(&trial::plan(kind, &answers(kind, directory)).unwrap()).unwrap();
    }
    let problem = |expected: &str| {
        let change = trial::plan(&one, &answers(&one, &directory)).unwrap();
        assert!(
            trial::fields(&change)[0].contains(expected),
            "{:?}",
            trial::fields(&change)
        );
        trial::perform(&change).unwrap();
        assert!(trial::plan(&one, &answers(&one, &directory)).is_none());
    };
    std::fs::copy(
        format!("{other}/server.key"),
        format!("{directory}/server.key"),
    )
    .unwrap();
    problem("belongs to another key");
    std::fs::copy(
        format!("{other}/server.crt"),
        format!("{directory}/server.crt"),
    )
    .unwrap();
    problem("not signed by the authority");
    std::fs::write(format!("{directory}/ca.key"), "").unwrap();
    problem("authority: - => new");
    std::fs::write(format!("{directory}/server.crt"), "").unwrap();
    problem("certificate: - =>");
}

#[test]
fn restricts_a_key_that_other_accounts_can_read() {
    let scratch = ScratchFolder::new();
    let directory = scratch.path("open");
    let one = kind(&directory, "");
    trial::perform(&trial::plan(&one, &answers(&one, &directory)).unwrap()).unwrap();
    let key = format!("{directory}/server.key");
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let change = trial::plan(&one, &answers(&one, &directory)).unwrap();
    assert_eq!(
        trial::fields(&change),
        ["server.key is for: more than root => root alone"]
    );
    assert!(matches!(&change.steps[0].act, Operation::Script(script) if script.arguments == [key]));
}

#[test]
fn notes_a_host_without_openssl() {
    let one = kind("/srv/tls", "");
    let mut seen = answers(&one, "/srv/tls");
    seen.insert(
        Query::Shell(ShellQuery::Test {
            script: one.script(),
        }),
        Ok(QueryAnswer::Test(probe::NO_OPENSSL)),
    );
    assert!(trial::plan(&one, &seen).unwrap().notes[0].contains("openssl"));
}

#[test]
fn bad_input_is_refused() {
    for (table, why) in [
        ("directory = '/a'\nnames = []", "no name"),
        (
            "directory = '/a'\nnames = ['a,DNS:b']",
            "neither a host name",
        ),
        (
            "directory = '/a'\nnames = ['a']\ndays = 10",
            "renew_before must be below",
        ),
        (
            "directory = '/a'\nnames = ['a']\nauthority_days = 99999",
            "over 100 years",
        ),
    ] {
        assert!(
            trial::invalid::<CertificateResource>(table).contains(why),
            "{table}"
        );
    }
}
