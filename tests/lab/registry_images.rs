//! Images in the private registry: build, push, drift, login of stacks, and a registry that is full
//! or stopped.

use crate::kinds::fields;
use crate::skep::{Said, skep};
use crate::test_lab::TestLab;

pub fn one_play(lab: &TestLab, name: &str, resources: &str) -> String {
    lab.write(name, &format!("[[plays]]\nhosts = \"docker01\"\nresources = [\n{resources}\n]\n[[plays]]\nhosts = \"all\"\nresources = [{{ directory = {{ path = \"/srv\" }} }}]\n"))
}

pub fn images(lab: &TestLab) {
    std::fs::create_dir_all(lab.path("web/www")).expect("a folder");
    lab.write(
        "web/Dockerfile",
        "FROM plain.dream:5000/box:1\nARG GREETING\nCOPY www /www\nRUN echo $GREETING >/www/greeting\n",
    );
    lab.write("web/www/index.html", "one\n");
    let image = |greeting: &str| {
        let to = "registry.dream:5001/team/web:1";
        one_play(
            lab,
            "image.toml",
            &format!(
                r#"{{ image = {{ name = "{to}", context = "web", args = {{ GREETING = "{greeting}" }}, username = "web", password = "open sesame" }} }}"#
            ),
        )
    };
    let first = image("hello");
    lab.run("plan", &first, &[])
        .exits(0)
        .says("+ image[registry.dream:5001/team/web:1]")
        .does_not_say("sesame");
    lab.run("apply", &first, &["--yes"])
        .exits(0)
        .says("Applied")
        .does_not_say("sesame");
    lab.run("check", &first, &[]).exits(0).says("In sync");
    let run = || {
        lab.on("docker02", "docker pull -q registry.dream:5001/team/web:1 >/dev/null; docker run --rm registry.dream:5001/team/web:1 cat /www/index.html /www/greeting")
    };
    assert_eq!(run(), "one\nhello");
    lab.write("web/www/index.html", "two\n");
    let said = lab.run("check", &first, &[]).exits(3);
    let shown = fields(&said.stdout);
    assert!(
        shown.len() == 2
            && shown[0].starts_with("content: sha256:")
            && shown[1].starts_with("digest in the registry: sha256:"),
        "{shown:?}"
    );
    lab.run("apply", &first, &["--yes"]).exits(0);
    assert_eq!(run(), "two\nhello");
    // A different image under the same tag is reported, and replaced without a build.
    lab.on(
        "docker02",
        "docker tag busybox:lab registry.dream:5001/team/web:1 && docker push -q registry.dream:5001/team/web:1",
    );
    let said = lab.run("check", &first, &[]).exits(3);
    assert_eq!(fields(&said.stdout).len(), 1, "{}", said.stdout);
    lab.run("apply", &first, &["--yes"]).exits(0);
    assert_eq!(run(), "two\nhello");

    lab.write(
        "web/Dockerfile",
        "FROM plain.dream:5000/box:1\nRUN echo so far && cat /nowhere\n",
    );
    lab.run("apply", &image("x"), &["--yes"])
        .exits(1)
        .says("cat: can't open '/nowhere'")
        .says("returned a non-zero code: 1");
    lab.write("web/Dockerfile", "FROM plain.dream:5000/nothing:1\n");
    lab.run("apply", &image("x"), &["--yes"])
        .exits(1)
        .says("plain.dream:5000/nothing:1");
    lab.write(
        "web/Dockerfile",
        "FROM plain.dream:5000/box:1\nARG GREETING\nCOPY www /www\nRUN echo $GREETING >/www/greeting\n",
    );
    lab.run("check", &image("hello"), &[])
        .exits(0)
        .says("In sync");

    lab.on(
        "docker01",
        "docker save -o /srv/box.tar plain.dream:5000/box:1",
    );
    lab.fetch("docker01", "/srv/box.tar", "box.tar");
    let archive = one_play(
        lab,
        "archive.toml",
        r#"{ image = { name = "plain.dream:5000/other:1", archive = "box.tar" } }"#,
    );
    lab.run("apply", &archive, &["--yes"]).exits(0);
    lab.run("check", &archive, &[]).exits(0).says("In sync");
    lab.on("docker02", "docker pull -q plain.dream:5000/other:1");
}

/// The nodes have no login of their own: a stack passes on the login of the account that deploys
/// it.
pub fn stack_passes_registry_login(lab: &TestLab) {
    lab.on(
        "docker02",
        "docker logout registry.dream:5001 && docker rmi -f $(docker images -q registry.dream:5001/team/web)",
    );
    let body = "image: 'registry.dream:5001/team/web:1', command: sleep 3600, stop_grace_period: 100ms, \
                deploy: { endpoint_mode: dnsrr, restart_policy: { delay: 1s }, placement: { constraints: [node.role == worker] } }";
    lab.write(
        "leave.yml",
        &format!("version: \"3.8\"\nservices:\n  web: {{ {body} }}\n"),
    );
    std::fs::create_dir_all(lab.path("account")).expect("a folder");
    // `web:open sesame` in Base64, as `docker login` stores it.
    let leave = r#"{"auths": {"registry.dream:5001": {"auth": "d2ViOm9wZW4gc2VzYW1l"}}}"#;
    lab.write("account/config.json", leave);
    let run = |verb: &str, fields: &str, more: &[&str]| {
        let stack = one_play(
            lab,
            "leave.toml",
            &format!(r#"{{ stack = {{ name = "leave", sources = ["leave.yml"]{fields} }} }}"#),
        );
        let output = lab
            .command(verb, &stack, more)
            .env("DOCKER_CONFIG", lab.path("account"))
            .output()
            .expect("skep");
        Said::from(output)
            .does_not_say("sesame")
            .does_not_say("d2ViOm9wZW4gc2VzYW1l")
    };
    run("apply", "", &["--yes"])
        .exits(1)
        .says("No such image: registry.dream:5001/team/web:1 (on docker02)");
    lab.on("docker01", "docker stack rm leave");
    lab.until(
        "docker02",
        "! docker network ls --format '{{.Name}}' | grep -q ^leave_",
        std::time::Duration::from_secs(90),
    );
    run("apply", ", registry_auth = true", &["--yes"]).exits(0);
    run("check", ", registry_auth = true", &[])
        .exits(0)
        .says("In sync");
    let image =
        "docker service inspect leave_web --format '{{.Spec.TaskTemplate.ContainerSpec.Image}}'";
    assert!(
        lab.on("docker01", image).contains("team/web:1@sha256:"),
        "the registry told the digest"
    );
    lab.on("docker01", "docker stack rm leave");
}

pub fn status_lists_registry_images(lab: &TestLab) {
    let inventory = lab.inventory();
    let said = skep(&["status", "--images", "-i", &inventory]).exits(0);
    let lines: Vec<String> = said
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let digest = lab.on(
        "docker02",
        "docker image inspect --format '{{index .RepoDigests 0}}' registry.dream:5001/team/web:1",
    );
    let digest = digest.split_once('@').expect("a digest").1;
    for line in [
        "plain.dream:5000 docker01 box 1 sha256:",
        "plain.dream:5000 docker01 other 1 sha256:",
    ] {
        assert!(
            lines.iter().any(|found| found.starts_with(line)),
            "{line} is not in\n{}",
            said.stdout
        );
    }
    let web = format!("registry.dream:5001 docker01 team/web 1 {digest}");
    assert!(lines.contains(&web), "{web} is not in\n{}", said.stdout);
    skep(&["status", "--images", "--json", "-i", &inventory])
        .exits(0)
        .says(digest);
}

/// The registry's disk has no space for one more layer. The Engine retries for a minute, and only
/// gets a status.
pub fn full_registry(lab: &TestLab) {
    let image = one_play(
        lab,
        "full.toml",
        r#"{ image = { name = "plain.dream:5000/full:1", context = "web" } }"#,
    );
    let restart = |before: &str| {
        let task = "$(docker ps -q --filter label=com.docker.swarm.service.name=plain)";
        lab.on(
            "docker01",
            &format!("{before} /srv/registry && docker rm -f {task}"),
        );
        lab.until(
            "docker01",
            "curl -sf http://plain.dream:5000/v2/",
            std::time::Duration::from_secs(60),
        );
    };
    restart("mount -t tmpfs -o size=128k full");
    let said = lab.run("apply", &image, &["--yes"]).exits(1);
    said.says("push plain.dream:5000/full:1")
        .says("whether the disk of its directory is full");
    restart("umount -l");
    lab.run("apply", &image, &["--yes"]).exits(0);
}

pub fn stopped_registry(lab: &TestLab) {
    let image = one_play(
        lab,
        "down.toml",
        r#"{ image = { name = "plain.dream:5000/down:1", context = "web" } }"#,
    );
    lab.on("docker01", "docker service scale --detach plain=0");
    lab.until(
        "docker01",
        "! curl -sf http://plain.dream:5000/v2/",
        std::time::Duration::from_secs(30),
    );
    // The base image is on the node; only the push needs the registry.
    lab.run("apply", &image, &["--yes"])
        .exits(1)
        .says("push plain.dream:5000/down:1")
        .says("connection refused");
    lab.run("check", &image, &[])
        .exits(1)
        .says("connection refused");
    let inventory = lab.inventory();
    skep(&["status", "--images", "-i", &inventory])
        .exits(1)
        .says("its service has no running task");
}
