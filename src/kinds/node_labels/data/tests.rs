//! Tests of data volumes: marked, adopted, moved and refused volumes, and invalid tables.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::json;

use super::super::super::trial::{fields, path_answer, path_state};
use super::super::NodeLabelsResource;
use super::*;
use crate::kinds::data_volume::owner;
use crate::model::{
    Examination, ExamineError, Operation, PathType, QueryAnswer, Resource, ResourceKind, ShellQuery,
};
use crate::swarm::samples::*;

const TABLE: &str =
    "labels = { db = 'true' }\ndata = { survey = { path = '/srv/db', link = '/home/db' } }";
const PLAIN: &str = "labels = { db = 'true' }\ndata = { survey = '/srv/db' }";

/// State of the disk and of the swarm.
#[derive(Default)]
struct HostFixture {
    directory: bool,
    marker: Option<String>,
    files: u64,
    link: Option<&'static str>,
    noted: Option<(&'static str, &'static str)>,
    labelled: bool,
}

impl HostFixture {
    fn answers(&self) -> HostAnswers {
        let mut own_node = node("n2", "docker02", "192.168.56.12");
        if self.labelled {
            own_node["Spec"]["Labels"] = json!({"db": "true"});
        }
        let leader = voter(node("n1", "docker01", "192.168.56.11"), true, "reachable");
        let info = worker(
            "docker02",
            "n2",
            "192.168.56.12",
            ("n1", "192.168.56.11:2377"),
        );
        let directory = if self.directory {
            path_answer(PathType::Directory, 0o755)
        } else {
            QueryAnswer::Path(None)
        };
        let marker = self.marker.as_ref().map(|text| PathState {
            content: Some(text.clone().into_bytes()),
            ..path_state(PathType::File, 0o644)
        });
        let link = self.link.map(|target| PathState {
            target: Some(target.into()),
            ..path_state(PathType::Symlink, 0o777)
        });
        let answers = own("/info", good(info))
            .with(Query::path("/srv/db"), directory)
            .with(
                Query::content("/srv/db/.skep-volume"),
                QueryAnswer::Path(marker),
            )
            .with(Query::path("/home/db"), QueryAnswer::Path(link))
            .with(
                Query::Shell(ShellQuery::Holding {
                    directory: "/srv/db".into(),
                }),
                QueryAnswer::Holding(Some(DirectoryUsage {
                    files: self.files,
                    bytes: 2048,
                })),
            )
            .with(
                ShellQuery::Holding {
                    directory: "/srv/db".into(),
                }
                .at(&host("docker03")),
                QueryAnswer::Holding(Some(DirectoryUsage {
                    files: 12,
                    bytes: 5 << 20,
                })),
            );
        let answers = and(
            answers,
            "docker01",
            "/info",
            good(manager("docker01", "n1", "192.168.56.11", "c1")),
        );
        let answers = and(
            answers,
            "docker01",
            "/nodes",
            good(json!([leader, own_node])),
        );
        let noted = self.noted.map(|(node, host)| {
            let volume = DataVolume {
                name: "survey".into(),
                path: "/srv/db".into(),
                node: node.into(),
                host: host.into(),
                marker: marker_of("c1"),
                labels: vec!["db=true".into()],
                ..DataVolume::default()
            };
            let Operation::DockerApi(call) = volume.remember(&[]).act else {
                panic!()
            };
            json!({"ID": "k1", "Version": {"Index": 5}, "Spec": call.body.unwrap()})
        });
        and(
            answers,
            "docker01",
            &DataVolume::list_path(None),
            good(json!(noted.into_iter().collect::<Vec<_>>())),
        )
    }

    fn examine(&self, table: &str) -> Result<Option<Change>, Refusal> {
        look(
            &bound::<NodeLabelsResource>(table, "docker02", &roster(&["docker01"])).unwrap(),
            &self.answers(),
        )
    }
}

fn look(kind: &NodeLabelsResource, answers: &HostAnswers) -> Result<Option<Change>, Refusal> {
    match kind.examine(answers) {
        Ok(Examination::InSync) => Ok(None),
        Ok(Examination::Differs(change)) => Ok(Some(change)),
        Ok(Examination::Needs(queries)) => panic!("{queries:?}"),
        Err(ExamineError::Refused(refusal)) => Err(refusal),
        Err(error) => panic!("{error}"),
    }
}

fn marker_of(cluster: &str) -> String {
    marker(cluster, "survey")
}

fn summaries(change: &Change) -> Vec<&str> {
    change
        .steps
        .iter()
        .map(|step| step.summary.split(" (").next().unwrap())
        .collect()
}

#[test]
fn first_installation_marks_records_and_then_labels() {
    let world = HostFixture {
        directory: true,
        ..HostFixture::default()
    };
    let change = world.examine(PLAIN).unwrap().unwrap();
    assert_eq!(
        fields(&change),
        [
            "label db: - => true",
            "volume survey: - => /srv/db on docker02"
        ]
    );
    assert_eq!(
        summaries(&change),
        [
            "mark /srv/db as the volume survey",
            "record in the swarm that docker02 has the volume survey",
            "label node n2"
        ]
    );
    let Operation::WriteFile(file) = &change.steps[0].act else {
        panic!()
    };
    assert_eq!(
        (
            file.path.as_str(),
            String::from_utf8_lossy(&file.content).as_ref()
        ),
        ("/srv/db/.skep-volume", marker_of("c1").as_str())
    );
    assert!(change.notes.is_empty());
    // Existing content is adopted, with a note.
    let change = HostFixture { files: 3, ..world }
        .examine(PLAIN)
        .unwrap()
        .unwrap();
    assert!(
        change.notes[0].contains("becomes the volume survey: 3 files, 2 KiB"),
        "{:?}",
        change.notes
    );
}

#[test]
fn volume_in_sync_is_no_change_and_its_files_are_not_counted() {
    let world = HostFixture {
        directory: true,
        marker: Some(marker_of("c1")),
        noted: Some(("n2", "docker02")),
        labelled: true,
        ..HostFixture::default()
    };
    assert!(world.examine(PLAIN).unwrap().is_none());
    let kind: NodeLabelsResource = bound(PLAIN, "docker02", &roster(&["docker01"])).unwrap();
    assert!(
        !Resource::queries(&kind)
            .iter()
            .any(|query| matches!(query, Query::Shell(ShellQuery::Holding { .. })))
    );
}

#[test]
fn missing_directory_or_link_blocks_the_label() {
    for (world, word) in [
        (
            HostFixture::default(),
            "the directory /srv/db does not exist",
        ),
        (
            HostFixture {
                directory: true,
                ..HostFixture::default()
            },
            "/home/db is not a link to /srv/db",
        ),
        (
            HostFixture {
                directory: true,
                link: Some("/srv/other"),
                ..HostFixture::default()
            },
            "/home/db is not a link to /srv/db",
        ),
    ] {
        let change = world.examine(TABLE).unwrap().unwrap();
        let [
            Step {
                act: Operation::Blocked { why, .. },
                ..
            },
        ] = change.steps.as_slice()
        else {
            panic!("{:?}", change.steps)
        };
        assert!(why.contains(word) && why.contains("docker02"), "{why}");
    }
    let linked = HostFixture {
        directory: true,
        link: Some("/srv/db"),
        ..HostFixture::default()
    };
    assert_eq!(linked.examine(TABLE).unwrap().unwrap().steps.len(), 3);
}

#[test]
fn label_does_not_move_to_an_empty_disk() {
    let noted = Some(("n3", "docker03"));
    for (world, words) in [
        (
            HostFixture {
                directory: true,
                noted,
                ..HostFixture::default()
            },
            &[
                "docker02, whose /srv/db is empty",
                "on docker03, in /srv/db (12 files, 5 MiB)",
                "left behind",
            ][..],
        ),
        // Files without the marker are foreign data.
        (
            HostFixture {
                directory: true,
                files: 9,
                noted,
                ..HostFixture::default()
            },
            &["is not marked as the volume"],
        ),
        (
            HostFixture {
                noted,
                ..HostFixture::default()
            },
            &["is empty", "12 files"],
        ),
        (
            HostFixture {
                directory: true,
                noted: Some(("n8", "docker08")),
                ..HostFixture::default()
            },
            &["is on docker08"],
        ),
        (
            HostFixture {
                directory: true,
                noted: Some(("n1", "docker02")),
                ..HostFixture::default()
            },
            &["the machine that was docker02 before"],
        ),
        (
            HostFixture {
                directory: true,
                noted: Some(("n2", "docker02")),
                labelled: true,
                ..HostFixture::default()
            },
            &["is gone: /srv/db is empty"],
        ),
    ] {
        let refusal = world.examine(PLAIN).unwrap_err();
        assert!(
            words.iter().all(|word| refusal.why.contains(word)),
            "{words:?}: {}",
            refusal.why
        );
        assert!(
            refusal.hint.contains("docker config rm skep-volume-survey"),
            "{}",
            refusal.hint
        );
        // A rebuild may declare that the data begins anew.
        let kind: NodeLabelsResource = bound(PLAIN, "docker02", &roster(&["docker01"])).unwrap();
        assert!(
            look(
                &ResourceKind::accepting(&kind, ForeignData::EmptyDirectories).unwrap(),
                &world.answers()
            )
            .unwrap()
            .is_some()
        );
    }
}

#[test]
fn label_is_not_removed_while_its_data_is_on_the_node() {
    let world = |node: &'static str| HostFixture {
        directory: true,
        noted: Some((node, "docker02")),
        labelled: true,
        ..HostFixture::default()
    };
    for table in [
        "absent = ['db']",
        "labels = { other = 'true' }\nmode = 'exact'",
        "labels = { db = 'false' }",
    ] {
        let change = world("n2").examine(table).unwrap().unwrap();
        let [
            Step {
                act: Operation::Blocked { why, hint },
                ..
            },
        ] = change.steps.as_slice()
        else {
            panic!("{table}: {:?}", change.steps)
        };
        assert!(
            why.contains("docker02 has the volume survey, in /srv/db") && why.contains("db=true"),
            "{why}"
        );
        assert!(
            hint.contains("docker config rm skep-volume-survey"),
            "{hint}"
        );
        assert!(
            change.notes.iter().any(|note| note.contains(why.as_str())),
            "{:?}",
            change.notes
        );
        // The data has moved to another node meanwhile.
        assert_eq!(
            summaries(&world("n3").examine(table).unwrap().unwrap()),
            ["label node n2"]
        );
    }
    // Labels without data are added and removed without further queries.
    let kind: NodeLabelsResource = bound(
        "labels = { other = 'true' }",
        "docker02",
        &roster(&["docker01"]),
    )
    .unwrap();
    assert_eq!(
        summaries(&look(&kind, &world("n2").answers()).unwrap().unwrap()),
        ["label node n2"]
    );
}

#[test]
fn changed_labels_of_a_volume_are_recorded() {
    let world = HostFixture {
        directory: true,
        marker: Some(marker_of("c1")),
        noted: Some(("n2", "docker02")),
        labelled: true,
        ..HostFixture::default()
    };
    let change = world
        .examine("labels = { db = 'true', more = '1' }\ndata = { survey = '/srv/db' }")
        .unwrap()
        .unwrap();
    assert_eq!(
        fields(&change)[1],
        "volume survey: /srv/db on docker02, by db=true => /srv/db on docker02, by db=true, more=1"
    );
    assert_eq!(
        summaries(&change),
        [
            "record in the swarm that docker02 has the volume survey",
            "label node n2"
        ]
    );
}

#[test]
fn moved_data_with_its_marker_is_the_volume() {
    let world = HostFixture {
        directory: true,
        marker: Some(marker_of("c1")),
        noted: Some(("n3", "docker03")),
        ..HostFixture::default()
    };
    let change = world.examine(PLAIN).unwrap().unwrap();
    assert_eq!(
        fields(&change)[1],
        "volume survey: /srv/db on docker03 => /srv/db on docker02"
    );
    assert_eq!(
        summaries(&change),
        [
            "record in the swarm that docker02 has the volume survey",
            "label node n2"
        ]
    );
    assert!(change.notes[0].contains("docker03"), "{:?}", change.notes);
    // Restored on the same host after it was rebuilt, without the marker.
    let world = HostFixture {
        directory: true,
        files: 4,
        noted: Some(("n1", "docker02")),
        ..HostFixture::default()
    };
    assert_eq!(summaries(&world.examine(PLAIN).unwrap().unwrap()).len(), 3);
}

#[test]
fn data_of_another_cluster_or_volume_is_refused() {
    for foreign in [marker_of("c9"), marker("c1", "other"), String::new()] {
        let world = HostFixture {
            directory: true,
            marker: Some(foreign.clone()),
            ..HostFixture::default()
        };
        let refusal = world.examine(PLAIN).unwrap_err();
        assert!(
            refusal.why.contains(&owner(&foreign))
                && refusal.why.contains("survey of the cluster c1"),
            "{}",
            refusal.why
        );
    }
}

#[test]
fn new_cluster_inherits_the_same_volume_of_the_former_cluster() {
    let kind: NodeLabelsResource = bound(PLAIN, "docker02", &roster(&["docker01"])).unwrap();
    let world = HostFixture {
        directory: true,
        marker: Some(marker_of("c9")),
        ..HostFixture::default()
    };
    let change = look(
        &ResourceKind::accepting(&kind, ForeignData::FormerCluster).unwrap(),
        &world.answers(),
    )
    .unwrap()
    .unwrap();
    assert_eq!(summaries(&change)[0], "mark /srv/db as the volume survey");
    assert!(
        change.notes[0].contains("of the cluster c9, and becomes")
            && change.notes[0].contains("c1"),
        "{:?}",
        change.notes
    );
    // Another volume is not inherited, nor is any volume that the new cluster already has.
    for world in [
        HostFixture {
            directory: true,
            marker: Some(marker("c9", "other")),
            ..HostFixture::default()
        },
        HostFixture {
            directory: true,
            marker: Some(marker_of("c9") + "more"),
            ..HostFixture::default()
        },
        HostFixture {
            directory: true,
            marker: Some(marker_of("c9")),
            noted: Some(("n3", "docker03")),
            ..HostFixture::default()
        },
    ] {
        assert!(
            look(
                &ResourceKind::accepting(&kind, ForeignData::FormerCluster).unwrap(),
                &world.answers()
            )
            .unwrap_err()
            .why
            .contains("holds the volume")
        );
    }
}

#[test]
fn path_lists_declare_no_volumes_and_invalid_tables_are_errors() {
    let kind: NodeLabelsResource = bound(
        "labels = { db = 'true' }\ndata = ['/srv/db']",
        "docker02",
        &roster(&["docker01"]),
    )
    .unwrap();
    assert_eq!(
        (kind.data.directories(), kind.data.volumes.len()),
        (vec!["/srv/db".to_owned()], 0)
    );
    for (data, word) in [
        ("['srv']", "absolute"),
        ("[7]", "of type integer"),
        ("'x'", "a list of paths, or a table"),
        ("{ a = { link = '/x' } }", "has no `path`"),
        ("{ a = { path = '/x', ling = '/y' } }", "unknown key `ling`"),
    ] {
        let error = toml::from_str::<NodeLabelsResource>(&format!(
            "labels = {{ db = 'true' }}\ndata = {data}"
        ))
        .unwrap_err()
        .to_string();
        assert!(error.contains(word), "{data}: {error}");
    }
    assert!(
        bound::<NodeLabelsResource>(
            "labels = { db = 'true' }\ndata = { 'a b' = '/x' }",
            "docker02",
            &roster(&["docker01"])
        )
        .is_err()
    );
}
