//! Plans that build, load, push or skip an image, and input that is refused.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::json;

use super::*;
use crate::kinds::trial;
use crate::kinds::trial::TrialFiles;
use crate::model::{DockerAnswer, DockerQuery, QueryAnswer, TreeContent, TreeEntry};

const TABLE: &str = "name = 'docker01:5000/web:1'\ncontext = 'web'\nargs = { VERSION = '7' }";

fn files() -> TrialFiles {
    TrialFiles(
        [
            ("web/Dockerfile", b"FROM busybox:lab\n".to_vec()),
            ("web/a/b", b"x".to_vec()),
        ]
        .into(),
    )
}

fn kind(table: &str) -> ImageResource {
    trial::kind_with(table, &files())
}

fn answers(kind: &ImageResource, local: Option<Value>, remote: DockerAnswer) -> HostAnswers {
    let missing = DockerAnswer::Response {
        status: 404,
        body: json!({"message": "No such image"}),
    };
    let local = local.map_or(missing, |body| DockerAnswer::Response { status: 200, body });
    HostAnswers::default()
        .with(Query::docker(kind.inspect()), QueryAnswer::Engine(local))
        .with(
            Query::Docker(DockerQuery::Distribution {
                image: kind.name.clone(),
                credentials: kind.credentials(),
            }),
            QueryAnswer::Engine(remote),
        )
}

fn has(digest: &str) -> DockerAnswer {
    DockerAnswer::Response {
        status: 200,
        body: json!({"Descriptor": {"digest": digest}}),
    }
}

fn refuses(status: u16, message: &str) -> DockerAnswer {
    DockerAnswer::Response {
        status,
        body: json!({"message": message}),
    }
}

fn image(content: &str, digest: &str) -> Value {
    json!({"Id": "sha256:1", "RepoDigests": [format!("docker01:5000/web@{digest}")], "Config": {"Labels": {LABEL: content}}})
}

fn summaries(change: &Change) -> Vec<&str> {
    change
        .steps
        .iter()
        .map(|step| step.summary.as_str())
        .collect()
}

#[test]
fn builds_and_pushes_a_missing_image() {
    let kind = kind(TABLE);
    let change = trial::plan(
        &kind,
        &answers(&kind, None, refuses(404, "manifest unknown")),
    )
    .unwrap();
    assert_eq!(change.action, Action::Create);
    assert_eq!(
        summaries(&change),
        ["build docker01:5000/web:1", "push docker01:5000/web:1"]
    );
    let Operation::Image(build) = &change.steps[0].act else {
        panic!()
    };
    assert!(
        build.path.contains(
            "&t=docker01%3A5000%2Fweb%3A1&dockerfile=Dockerfile&labels=%7B%22skep.content%22"
        ),
        "{}",
        build.path
    );
    assert!(
        build
            .path
            .ends_with("&buildargs=%7B%22VERSION%22%3A%227%22%7D"),
        "{}",
        build.path
    );
    let Operation::Image(push) = &change.steps[1].act else {
        panic!()
    };
    assert_eq!(
        (push.path.as_str(), push.archive.len()),
        ("/images/docker01:5000/web/push?tag=1", 0)
    );
}

#[test]
fn skips_the_same_content_and_builds_other_content() {
    let kind = kind(TABLE);
    let digest = kind.source.digest.clone();
    assert!(
        trial::plan(
            &kind,
            &answers(&kind, Some(image(&digest, "sha256:aa")), has("sha256:aa"))
        )
        .is_none()
    );
    let other: ImageResource = trial::kind_with(&TABLE.replace("'7'", "'8'"), &files());
    assert_ne!(other.source.digest, digest);
    let change = trial::plan(
        &other,
        &answers(&other, Some(image(&digest, "sha256:aa")), has("sha256:aa")),
    )
    .unwrap();
    assert_eq!(
        trial::fields(&change),
        [
            format!(
                "content: {} => {}",
                short(&digest),
                short(&other.source.digest)
            ),
            "digest in the registry: sha256:aa => ?".into()
        ]
    );
    // Somebody pushed another image under the tag, or the registry lost the image: skep pushes it
    // without a build.
    for remote in [
        has("sha256:bb"),
        refuses(404, "manifest unknown"),
        refuses(500, "errors:\nname unknown: repository name not known"),
    ] {
        let change = trial::plan(
            &kind,
            &answers(&kind, Some(image(&digest, "sha256:aa")), remote),
        )
        .unwrap();
        assert_eq!(summaries(&change), ["push docker01:5000/web:1"]);
    }
}

#[test]
fn registry_without_answer_is_never_in_sync() {
    let kind = kind(TABLE);
    let down = || refuses(500, "dial tcp 10.0.0.1:5000: connect: connection refused");
    let change = trial::plan(&kind, &answers(&kind, None, down())).unwrap();
    assert!(
        change.notes[0].contains("connection refused"),
        "{:?}",
        change.notes
    );
    let built = answers(&kind, Some(image(&kind.source.digest, "sha256:aa")), down());
    let error = kind.observe(&built).map(|_| ()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("docker01:5000/web:1 in its registry failed: dial tcp"),
        "{error}"
    );
}

#[test]
fn archive_is_identified_by_its_configuration_digest() {
    let config = br#"{"architecture":"amd64"}"#;
    let id = format!("sha256:{}", crate::model::sha256(config));
    let manifest = json!([{"Config": "c.json", "RepoTags": ["box:lab"], "Layers": []}]).to_string();
    let entry = |path: &str, content: &[u8]| TreeEntry {
        path: path.into(),
        executable: false,
        content: TreeContent::File(content.to_vec()),
    };
    let archive = content::tar(&[
        entry("manifest.json", manifest.as_bytes()),
        entry("c.json", config),
    ])
    .unwrap();
    let files = TrialFiles([("box.tar", archive), ("bad.tar", b"no".to_vec())].into());
    let table = "name = 'box:2'\npush = false\narchive = 'box.tar'";
    let kind: ImageResource = trial::kind_with(table, &files);
    let change = trial::plan(&kind, &answers(&kind, None, DockerAnswer::Absent)).unwrap();
    assert_eq!(summaries(&change), ["load box:lab", "tag it as box:2"]);
    assert!(
        matches!(&change.steps[1].act, Operation::DockerApi(call) if call.path == format!("/images/{id}/tag?repo=box&tag=2"))
    );
    assert!(
        trial::plan(
            &kind,
            &answers(&kind, Some(json!({"Id": id})), DockerAnswer::Absent)
        )
        .is_none()
    );
    let bad = content::saved(b"no").unwrap_err();
    assert!(bad.message.contains("docker save"), "{bad}");
}

#[test]
fn same_folder_gives_the_same_tar() {
    let entry = |path: &str, content| TreeEntry {
        path: path.into(),
        executable: path == "run",
        content,
    };
    let long = "d/".repeat(70) + "file";
    let entries = [
        entry("d", TreeContent::Folder),
        entry("run", TreeContent::File(b"x".to_vec())),
        entry(&long, TreeContent::File(b"y".to_vec())),
        entry("link", TreeContent::Link("../../run".into())),
    ];
    let tar = content::tar(&entries).unwrap();
    assert_eq!(tar, content::tar(&entries).unwrap());
    let mut archive = tar::Archive::new(tar.as_slice());
    let names: Vec<String> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert_eq!(names, ["d/", "run", long.as_str(), "link"]);
    assert_ne!(
        content::digest(b"a", ["bc"]),
        content::digest(b"a", ["b", "c"])
    );
}

#[test]
fn passwords_never_appear_in_text() {
    let kind = kind(&format!(
        "{TABLE}\nusername = 'web'\npassword = 'open sesame'"
    ));
    let change = trial::plan(&kind, &answers(&kind, None, refuses(404, "x"))).unwrap();
    assert!(!format!("{kind:?}{change:?}{:?}", ResourceKind::queries(&kind)).contains("sesame"));
    assert_eq!(
        kind.credentials().unwrap().header(),
        "eyJwYXNzd29yZCI6Im9wZW4gc2VzYW1lIiwic2VydmVyYWRkcmVzcyI6ImRvY2tlcjAxOjUwMDAiLCJ1c2VybmFtZSI6IndlYiJ9"
    );
}

#[test]
fn bad_input_is_refused() {
    for (table, why) in [
        ("name = 'web:1'\ncontext = 'web'", "names no registry"),
        (
            "name = 'docker01:5000/web'\ncontext = 'web'",
            "no exact tag",
        ),
        (
            "name = 'docker01:5000/web:1@sha256:aa'\ncontext = 'web'",
            "only known afterwards",
        ),
        ("name = 'a.b/web:1'", "either a context or an archive"),
        (
            "name = 'a.b/web:1'\ncontext = 'x'\narchive = 'y'",
            "either a context or an archive",
        ),
        (
            "name = 'a.b/web:1'\ncontext = 'nowhere'",
            "no folder nowhere",
        ),
        (
            "name = 'a.b/web:1'\narchive = 'x'\nargs = { a = 'b' }",
            "not built",
        ),
        (
            "name = 'a.b/web:1'\ncontext = 'x'\nusername = 'a'",
            "go together",
        ),
    ] {
        assert!(
            trial::invalid::<ImageResource>(table).contains(why),
            "{table}: {}",
            trial::invalid::<ImageResource>(table)
        );
    }
}
