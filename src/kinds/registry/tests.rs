//! Tests of the registry's own host and of the hosts that use it, from bare to in sync, and of
//! refusals.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::{Value, json};

use super::*;
use crate::kinds::trial;
use crate::model::{DockerAnswer, PathState, QueryAnswer, ShellQuery};
use crate::swarm::samples::*;

const TLS: &str = "name = 'registry.dream'\nport = 5001\nhost = 'docker01'\nimage = 'registry:2.8.3'\ncertificate = '/srv/tls'";
const PLAIN: &str = "name = 'docker01'\nhost = 'docker01'\nimage = 'registry:2.8.3'";

fn kind(table: &str, host: &str) -> RegistryResource {
    bound(table, host, &roster(&["docker01"])).unwrap()
}

fn invalid(table: &str) -> String {
    bound::<RegistryResource>(table, "docker01", &roster(&["docker01"]))
        .map(|_| ())
        .unwrap_err()
        .to_string()
}

fn directory() -> PathState {
    trial::path_state(PathType::Directory, 0o700)
}

/// Returns answers of the registry's own host, a manager; `files` are the existing files.
fn server(kind: &RegistryResource, service: Option<&Value>, files: &[(&str, &str)]) -> HostAnswers {
    let leader = voter(node("n1", "docker01", "192.168.56.11"), true, "reachable");
    let answers = own(
        "/info",
        good(manager("docker01", "n1", "192.168.56.11", "c1")),
    );
    let answers = answers.with(
        Query::docker("/nodes"),
        QueryAnswer::Engine(good(json!([leader]))),
    );
    with_files(
        kind,
        with_service(answers, service, Query::docker("/services/registry")),
        files,
    )
}

fn with_service(answers: HostAnswers, service: Option<&Value>, query: Query) -> HostAnswers {
    let absent = || DockerAnswer::Response {
        status: 404,
        body: json!({"message": "service registry not found"}),
    };
    answers.with(
        query,
        QueryAnswer::Engine(service.map_or_else(absent, |service| good(service.clone()))),
    )
}

fn with_files(
    kind: &RegistryResource,
    mut answers: HostAnswers,
    files: &[(&str, &str)],
) -> HostAnswers {
    for query in kind.queries() {
        let Query::Shell(ShellQuery::Path { path, .. }) = &query else {
            continue;
        };
        let content = files
            .iter()
            .find(|(name, _)| name == path)
            .map(|(_, content)| *content);
        let answer = match content {
            Some("(directory)") => QueryAnswer::Path(Some(directory())),
            Some(content) => trial::file_answer(content),
            None => QueryAnswer::Path(None),
        };
        answers.insert(query, Ok(answer));
    }
    answers
}

fn planned(kind: &RegistryResource, answers: &HostAnswers) -> Option<Change> {
    match kind.observe(answers).unwrap() {
        Observation::Known(seen) => kind.plan(&seen).unwrap(),
        Observation::Needs(queries) => panic!("{queries:?}"),
    }
}

fn created(change: &Change) -> Value {
    let mut calls = change.steps.iter().filter_map(|step| {
        if let Operation::DockerApi(call) = &step.act {
            Some(call)
        } else {
            None
        }
    });
    let body = calls.next_back().expect("a call").body.clone().unwrap();
    json!({"ID": "s1", "Version": {"Index": 7}, "Spec": body})
}

const HOSTS: &str = "127.0.0.1\tlocalhost\n192.168.56.11\tregistry.dream docker01\n";
const FILES: &[(&str, &str)] = &[
    ("/etc/hosts", HOSTS),
    ("/srv/registry", "(directory)"),
    ("/srv/tls/ca.crt", "authority"),
    ("/srv/tls/server.crt", "certificate"),
    (
        "/etc/docker/certs.d/registry.dream:5001/ca.crt",
        "authority",
    ),
];

#[test]
fn registry_host_runs_a_persistent_service() {
    let kind = kind(TLS, "docker01");
    let change = planned(&kind, &server(&kind, None, FILES)).unwrap();
    assert_eq!(change.action, Action::Create);
    let spec = &created(&change)["Spec"];
    assert_eq!(
        spec["TaskTemplate"]["Placement"]["Constraints"],
        json!(["node.id==n1"])
    );
    assert_eq!(spec["Labels"]["skep.registry.authority"], "authority");
    assert_eq!(spec["EndpointSpec"]["Ports"][0]["PublishMode"], "host");
    assert!(
        acts(&change)[1].contains("wait /services?status=true&filters=%7B%22name%22"),
        "{:?}",
        acts(&change)
    );
    let service = created(&change);
    assert!(planned(&kind, &server(&kind, Some(&service), FILES)).is_none());
}

#[test]
fn each_difference_of_the_service_is_a_field() {
    let kind = kind(TLS, "docker01");
    let service = created(&planned(&kind, &server(&kind, None, FILES)).unwrap());
    for (pointer, value, expected) in [
        (
            "/Spec/TaskTemplate/ContainerSpec/Image",
            json!("x:1"),
            "image: x:1 => registry:2.8.3",
        ),
        (
            "/Spec/Mode/Replicated/Replicas",
            json!(0),
            "replicas: 0 => 1",
        ),
        (
            "/Spec/TaskTemplate/Placement/Constraints",
            json!([]),
            "runs on: - => node.id==n1",
        ),
        (
            "/Spec/EndpointSpec/Ports/0/PublishedPort",
            json!(9),
            "port: 9:5000 (host) => 5001:5000 (host)",
        ),
        (
            "/Spec/TaskTemplate/ContainerSpec/Mounts/0/Source",
            json!("/tmp"),
            "mounts: /tmp:/var/lib/registry, /srv/tls:/certificate:ro => /srv/registry:/var/lib/registry, /srv/tls:/certificate:ro",
        ),
    ] {
        let change = planned(
            &kind,
            &server(&kind, Some(&set(service.clone(), pointer, value)), FILES),
        )
        .unwrap();
        assert_eq!(trial::fields(&change), [expected]);
        assert_eq!(
            acts(&change)[0],
            "docker01 POST /services/s1/update?version=7"
        );
        let replaced =
            acts(&change)[1] == "docker01 wait /services/s1 /UpdateStatus/State=\"completed\"";
        assert_eq!(
            replaced,
            !expected.starts_with("replicas"),
            "{:?}",
            acts(&change)
        );
    }
    // Fields that an Engine adds by itself are not differences.
    let mut filled = service;
    filled["Spec"]["TaskTemplate"]["ForceUpdate"] = json!(3);
    filled["Spec"]["EndpointSpec"]["Mode"] = json!("vip");
    assert!(planned(&kind, &server(&kind, Some(&filled), FILES)).is_none());
}

#[test]
fn new_certificate_restarts_the_registry() {
    let kind = kind(TLS, "docker01");
    let service = created(&planned(&kind, &server(&kind, None, FILES)).unwrap());
    let renewed: Vec<(&str, &str)> = FILES
        .iter()
        .map(|(path, text)| {
            if path.ends_with("server.crt") {
                (*path, "renewed")
            } else {
                (*path, *text)
            }
        })
        .collect();
    let change = planned(&kind, &server(&kind, Some(&service), &renewed)).unwrap();
    assert!(
        trial::fields(&change)[0].starts_with("certificate and users: sha256:"),
        "{:?}",
        trial::fields(&change)
    );
}

#[test]
fn bare_host_gets_a_complete_plan() {
    let kind = kind(TLS, "docker01");
    let answers = with_files(
        &kind,
        own("/info", DockerAnswer::Absent),
        &[("/etc/hosts", "127.0.0.1\tlocalhost\n")],
    );
    let change = planned(&kind, &answers).unwrap();
    let fields: Vec<&str> = change
        .fields
        .iter()
        .map(|field| field.field.as_str())
        .collect();
    assert_eq!(
        fields,
        [
            "directory",
            "service registry",
            "/etc/hosts",
            "/etc/docker/certs.d/registry.dream:5001/ca.crt"
        ]
    );
}

#[test]
fn other_hosts_read_the_authority_from_the_service() {
    let own_host = kind(TLS, "docker01");
    let service = created(&planned(&own_host, &server(&own_host, None, FILES)).unwrap());
    let kind = kind(TLS, "docker02");
    let user = |service: Option<&Value>, files: &[(&str, &str)]| {
        let info = worker(
            "docker02",
            "n2",
            "192.168.56.12",
            ("n1", "192.168.56.11:2377"),
        );
        let answers = and(
            own("/info", good(info)),
            "docker01",
            "/info",
            good(manager("docker01", "n1", "192.168.56.11", "c1")),
        );
        let answers = and(answers, "docker01", "/nodes", good(json!([])));
        with_files(
            &kind,
            with_service(
                answers,
                service,
                Query::docker_of(host("docker01"), "/services/registry"),
            ),
            files,
        )
    };
    let trusting = [
        ("/etc/hosts", HOSTS),
        (
            "/etc/docker/certs.d/registry.dream:5001/ca.crt",
            "authority",
        ),
    ];
    assert!(planned(&kind, &user(Some(&service), &trusting)).is_none());
    let change = planned(&kind, &user(Some(&service), &trusting[..1])).unwrap();
    assert!(
        trial::fields(&change)[0]
            .starts_with("/etc/docker/certs.d/registry.dream:5001/ca.crt: - => sha256:")
    );
    let written = change.steps.iter().find_map(|step| {
        if let Operation::WriteFile(file) = &step.act {
            Some(file)
        } else {
            None
        }
    });
    assert_eq!(written.unwrap().content, b"authority");
    // Before the registry exists; no trust is removed while it is missing.
    assert_eq!(
        acts(&planned(&kind, &user(None, &trusting[..1])).unwrap()),
        ["later"]
    );
    assert!(planned(&kind, &user(None, &trusting)).is_none());
}

#[test]
fn user_hashes_are_kept_while_the_password_matches() {
    let table = format!("{TLS}\nusers = {{ push = 'open sesame', pull = 'b' }}");
    let kind = kind(&table, "docker01");
    let change = planned(&kind, &server(&kind, None, FILES)).unwrap();
    let write = |change: &Change| {
        let files = change.steps.iter().filter_map(|step| {
            if let Operation::WriteFile(file) = &step.act {
                Some(file.clone())
            } else {
                None
            }
        });
        files
            .into_iter()
            .find(|file| file.path == "/srv/registry.htpasswd")
            .map(|file| {
                assert_eq!(file.mode, 0o600);
                String::from_utf8(file.content).unwrap()
            })
    };
    let text = write(&change).unwrap();
    assert!(
        text.lines().all(|line| line.contains(":$2y$10$")) && text.lines().count() == 2,
        "{text}"
    );
    assert!(!format!("{kind:?}{change:?}").contains("sesame"));
    let service = created(&change);
    let with = |text: &'static str| {
        FILES
            .iter()
            .copied()
            .chain([("/srv/registry.htpasswd", text)])
            .collect::<Vec<_>>()
    };
    let closed = |files: &[(&str, &str)]| {
        let mut answers = server(&kind, Some(&service), files);
        let query = Query::content("/srv/registry.htpasswd");
        let file = answers
            .path("/srv/registry.htpasswd")
            .unwrap()
            .cloned()
            .unwrap();
        answers.insert(
            query,
            Ok(QueryAnswer::Path(Some(PathState {
                mode: 0o600,
                ..file
            }))),
        );
        answers
    };
    let text: &'static str = text.leak();
    assert!(planned(&kind, &closed(&with(text))).is_none());
    let other: &'static str = format!("{}\nstranger:x\n", text.lines().last().unwrap()).leak();
    let change = planned(&kind, &closed(&with(other))).unwrap();
    assert_eq!(
        trial::fields(&change)[..2],
        [
            "user pull: (absent) => may push and pull",
            "user stranger: may push and pull => (absent)"
        ]
    );
    assert!(
        write(&change)
            .unwrap()
            .contains(text.lines().last().unwrap()),
        "a good hash stays"
    );
}

#[test]
fn foreign_services_and_invalid_tables_are_refused() {
    let kind = kind(PLAIN, "docker01");
    let foreign =
        json!({"ID": "s9", "Version": {"Index": 1}, "Spec": {"Name": "registry", "Labels": {}}});
    let files = [("/etc/hosts", HOSTS), ("/srv/registry", "(directory)")];
    let seen = match kind
        .observe(&server(&kind, Some(&foreign), &files))
        .unwrap()
    {
        Observation::Known(seen) => seen,
        Observation::Needs(queries) => panic!("{queries:?}"),
    };
    assert!(
        kind.plan(&seen)
            .unwrap_err()
            .why
            .contains("not a registry of skep")
    );
    for (table, why) in [
        (PLAIN.replace("registry:2.8.3", "registry"), "no exact tag"),
        (
            PLAIN.replace("registry:2.8.3", "a:5000/registry:latest"),
            "no exact tag",
        ),
        (
            PLAIN.replace("host = 'docker01'", "host = 'nowhere'"),
            "has no host nowhere",
        ),
        (format!("{PLAIN}\nusers = {{ a = 'b' }}"), "in the clear"),
        (format!("{TLS}\nusers = {{ 'a:b' = 'b' }}"), "no colon"),
        (format!("{TLS}\nusers = {{ a = '' }}"), "password of a"),
        (
            PLAIN.replace("name = 'docker01'", "name = 'a b'"),
            "is not a lower-case host name",
        ),
        (format!("{PLAIN}\nlabel = 'registry'"), "not key=value"),
    ] {
        assert!(
            invalid(&table).contains(why),
            "{table}: {}",
            invalid(&table)
        );
    }
}

#[test]
fn service_waits_for_the_label_of_the_node() {
    let kind = kind(&format!("{PLAIN}\nlabel = 'registry=true'"), "docker01");
    let files = [("/etc/hosts", HOSTS), ("/srv/registry", "(directory)")];
    assert_eq!(
        acts(&planned(&kind, &server(&kind, None, &files)).unwrap()),
        ["later"]
    );
    let mut labelled = voter(node("n1", "docker01", "192.168.56.11"), true, "reachable");
    labelled["Spec"]["Labels"] = json!({"registry": "true"});
    let answers = server(&kind, None, &files).with(
        Query::docker("/nodes"),
        QueryAnswer::Engine(good(json!([labelled]))),
    );
    let spec = &created(&planned(&kind, &answers).unwrap())["Spec"];
    assert_eq!(
        spec["TaskTemplate"]["Placement"]["Constraints"],
        json!(["node.labels.registry==true"])
    );
}

#[test]
fn absent_registry_is_removed_but_its_images_stay() {
    let there = kind(TLS, "docker01");
    let service = created(&planned(&there, &server(&there, None, FILES)).unwrap());
    let gone = kind(
        "name = 'registry.dream'\nport = 5001\nhost = 'docker01'\nstate = 'absent'",
        "docker01",
    );
    let files: Vec<(&str, &str)> = FILES
        .iter()
        .copied()
        .chain([("/srv/registry.htpasswd", "push:x")])
        .collect();
    let change = planned(&gone, &server(&gone, Some(&service), &files)).unwrap();
    assert_eq!(change.action, Action::Delete);
    let fields: Vec<&str> = change
        .fields
        .iter()
        .map(|field| field.field.as_str())
        .collect();
    assert_eq!(
        fields,
        [
            "service registry",
            "users",
            "/etc/hosts",
            "/etc/docker/certs.d/registry.dream:5001/ca.crt"
        ]
    );
    assert_eq!(acts(&change)[0], "docker01 DELETE /services/s1");
    assert!(
        change
            .notes
            .iter()
            .any(|note| note.contains("its images stay in /srv/registry of docker01")),
        "{:?}",
        change.notes
    );
    let written = change.steps.iter().find_map(|step| {
        if let Operation::WriteFile(file) = &step.act {
            Some(file)
        } else {
            None
        }
    });
    assert_eq!(
        written.unwrap().content,
        b"127.0.0.1\tlocalhost\n192.168.56.11\tdocker01\n"
    );
    // A second run has no change, whatever the directory contains, and foreign objects stay.
    let bare = [
        ("/etc/hosts", "127.0.0.1\tlocalhost\n"),
        ("/srv/registry", "(directory)"),
    ];
    assert!(planned(&gone, &server(&gone, None, &bare)).is_none());
    let foreign = json!({"ID": "s9", "Version": {"Index": 1}, "Spec": {"Name": "registry", "Labels": {LABEL: "other:5000"}}});
    assert!(planned(&gone, &server(&gone, Some(&foreign), &bare)).is_none());
}

#[test]
fn host_name_in_etc_hosts_is_kept() {
    let gone = kind(
        "name = 'docker01'\nhost = 'docker01'\nstate = 'absent'",
        "docker01",
    );
    assert!(planned(&gone, &server(&gone, None, &[("/etc/hosts", HOSTS)])).is_none());
}
