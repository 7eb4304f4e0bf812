//! A private registry on two nodes, in the clear and with TLS and users: a push from one node, a pull from the other.

use crate::kinds::fields;
use crate::lot::Lot;
use crate::skep::{Said, root, skep};

/// The plays of both registries; `certificate` is more fields of the certificate.
fn playbook(lot: &Lot, certificate: &str) -> String {
    let folder = root().join("playbooks").display().to_string();
    lot.write(
        "registry.toml",
        &format!(
            r#"include = ["{folder}/docker.toml", "{folder}/swarm.toml"]
[vars]
insecure_registries = ["plain.dream:5000"]
[[plays]]
name = "Registry"
hosts = "docker01"
resources = [
  {{ node_labels = {{ "registry" = "true" }} }},
  {{ registry = {{ name = "plain.dream", host = "docker01", image = "registry:lab", service = "plain", label = "registry=true" }} }},
  {{ certificate = {{ directory = "/srv/tls", names = ["registry.dream"]{certificate} }} }},
  {{ registry = {{ name = "registry.dream", port = 5001, host = "docker01", image = "registry:lab", directory = "/srv/images", certificate = "/srv/tls", users = {{ web = "open sesame" }} }} }},
]
[[plays]]
name = "Everybody"
hosts = "all:!docker01"
resources = [
  {{ registry = {{ name = "plain.dream", host = "docker01", image = "registry:lab", service = "plain", label = "registry=true" }} }},
  {{ registry = {{ name = "registry.dream", port = 5001, host = "docker01", image = "registry:lab", directory = "/srv/images", certificate = "/srv/tls", users = {{ web = "open sesame" }} }} }},
]
"#
        ),
    )
}

fn push_and_pull(lot: &Lot, name: &str) {
    lot.on(
        "docker02",
        &format!("docker tag busybox:lab {name}/box:1 && docker push -q {name}/box:1"),
    );
    let pulled = lot.on(
        "docker01",
        &format!("docker pull -q {name}/box:1 && docker run --rm {name}/box:1 echo it runs"),
    );
    assert!(pulled.ends_with("it runs"), "{pulled}");
}

fn in_the_clear(lot: &Lot) {
    push_and_pull(lot, "plain.dream:5000");
    lot.on(
        "docker01",
        "ls -d /srv/registry/docker/registry/v2/repositories/box",
    );
    // The images outlive the container.
    lot.on("docker01", "docker rm -f $(docker ps -q --filter label=com.docker.swarm.service.name=plain) && docker rmi plain.dream:5000/box:1");
    lot.until(
        "docker01",
        "docker pull -q plain.dream:5000/box:1",
        std::time::Duration::from_secs(60),
    );
}

fn with_tls_and_users(lot: &Lot) {
    let (status, said) = lot.try_on(
        "docker02",
        "docker tag busybox:lab registry.dream:5001/box:1 && docker push registry.dream:5001/box:1",
    );
    assert!(
        status != 0 && said.contains("no basic auth credentials"),
        "{said}"
    );
    let answer = lot.on("docker02", "curl -s -o /dev/null -w '%{http_code}' --cacert /etc/docker/certs.d/registry.dream:5001/ca.crt https://registry.dream:5001/v2/");
    assert_eq!(answer, "401");
    let (status, said) = lot.try_on(
        "docker02",
        "echo wrong | docker login -u web --password-stdin registry.dream:5001",
    );
    assert!(status != 0 && said.contains("401 Unauthorized"), "{said}");
    for node in ["docker01", "docker02"] {
        lot.on(node, "echo open sesame | tr -d '\\n' | docker login -u web --password-stdin registry.dream:5001");
    }
    push_and_pull(lot, "registry.dream:5001");
    assert_eq!(
        lot.on(
            "docker01",
            "stat -c %a /srv/tls/ca.key /srv/tls/server.key /srv/images.htpasswd /srv/images"
        ),
        "600\n600\n600\n700"
    );
    lot.on(
        "docker02",
        "! test -e /srv/tls && ! grep -r PRIVATE /etc/docker",
    );
}

fn a_certificate_is_renewed(lot: &Lot) {
    let serial = || {
        lot.on(
            "docker01",
            "openssl x509 -in /srv/tls/server.crt -noout -serial",
        )
    };
    let (before, trusted) = (
        serial(),
        lot.on("docker02", "sha256sum /etc/docker/certs.d/*/ca.crt"),
    );
    let sooner = playbook(lot, ", days = 700, renew_before = 400");
    let said = lot.run("check", &sooner, &[]).exits(3);
    assert_eq!(fields(&said.stdout).len(), 1, "{}", said.stdout);
    said.says("ends soon, or has ended (36");
    lot.run("apply", &sooner, &["--yes"]).exits(0);
    lot.run("check", &sooner, &[]).exits(0).says("In sync");
    assert_ne!(before, serial());
    assert_eq!(
        trusted,
        lot.on("docker02", "sha256sum /etc/docker/certs.d/*/ca.crt"),
        "the authority is the same"
    );
    let served = "openssl s_client -connect registry.dream:5001 </dev/null 2>/dev/null | openssl x509 -noout -serial";
    assert_eq!(
        lot.on("docker02", served),
        serial(),
        "the registry serves the new one"
    );
    lot.on("docker02", "docker pull -q registry.dream:5001/box:1");
}

fn drift_is_named(lot: &Lot, playbook: &str) {
    lot.on("docker01", "docker service update --detach --replicas 0 plain; sed -i s/web/guest/ /srv/images.htpasswd");
    lot.on("docker02", "echo >/etc/docker/certs.d/registry.dream:5001/ca.crt; sed -i s/plain.dream/other/ /etc/hosts");
    let said = lot.run("check", playbook, &[]).exits(3);
    said.says("replicas: 0 -> 1")
        .says("user web: (absent) -> may push and pull")
        .says("user guest: may push and pull -> (absent)")
        .says("plain.dream")
        .says("ca.crt: sha256:")
        .does_not_say("sesame");
    lot.run("apply", playbook, &["--yes"]).exits(0);
    lot.run("check", playbook, &[]).exits(0).says("In sync");
    lot.on(
        "docker02",
        "docker pull -q plain.dream:5000/box:1 && docker pull -q registry.dream:5001/box:1",
    );
}

fn one_play(lot: &Lot, name: &str, resources: &str) -> String {
    lot.write(name, &format!("[[plays]]\nhosts = \"docker01\"\nresources = [\n{resources}\n]\n[[plays]]\nhosts = \"all\"\nresources = [{{ directory = {{ path = \"/srv\" }} }}]\n"))
}

fn images(lot: &Lot) {
    std::fs::create_dir_all(lot.path("web/www")).expect("a folder");
    lot.write(
        "web/Dockerfile",
        "FROM plain.dream:5000/box:1\nARG GREETING\nCOPY www /www\nRUN echo $GREETING >/www/greeting\n",
    );
    lot.write("web/www/index.html", "one\n");
    let image = |greeting: &str| {
        let to = "registry.dream:5001/team/web:1";
        one_play(
            lot,
            "image.toml",
            &format!(
                r#"{{ image = {{ name = "{to}", context = "web", args = {{ GREETING = "{greeting}" }}, username = "web", password = "open sesame" }} }}"#
            ),
        )
    };
    let first = image("hello");
    lot.run("plan", &first, &[])
        .exits(0)
        .says("+ image[registry.dream:5001/team/web:1]")
        .does_not_say("sesame");
    lot.run("apply", &first, &["--yes"])
        .exits(0)
        .says("Applied")
        .does_not_say("sesame");
    lot.run("check", &first, &[]).exits(0).says("In sync");
    let run = || {
        lot.on("docker02", "docker pull -q registry.dream:5001/team/web:1 >/dev/null; docker run --rm registry.dream:5001/team/web:1 cat /www/index.html /www/greeting")
    };
    assert_eq!(run(), "one\nhello");
    lot.write("web/www/index.html", "two\n");
    let said = lot.run("check", &first, &[]).exits(3);
    let shown = fields(&said.stdout);
    assert!(
        shown.len() == 2
            && shown[0].starts_with("content: sha256:")
            && shown[1].starts_with("digest in the registry: sha256:"),
        "{shown:?}"
    );
    lot.run("apply", &first, &["--yes"]).exits(0);
    assert_eq!(run(), "two\nhello");
    // Somebody else's image under the same tag is named, and replaced without a build.
    lot.on(
        "docker02",
        "docker tag busybox:lab registry.dream:5001/team/web:1 && docker push -q registry.dream:5001/team/web:1",
    );
    let said = lot.run("check", &first, &[]).exits(3);
    assert_eq!(fields(&said.stdout).len(), 1, "{}", said.stdout);
    lot.run("apply", &first, &["--yes"]).exits(0);
    assert_eq!(run(), "two\nhello");

    lot.write(
        "web/Dockerfile",
        "FROM plain.dream:5000/box:1\nRUN echo so far && cat /nowhere\n",
    );
    lot.run("apply", &image("x"), &["--yes"])
        .exits(1)
        .says("cat: can't open '/nowhere'")
        .says("returned a non-zero code: 1");
    lot.write("web/Dockerfile", "FROM plain.dream:5000/nothing:1\n");
    lot.run("apply", &image("x"), &["--yes"])
        .exits(1)
        .says("plain.dream:5000/nothing:1");
    lot.write(
        "web/Dockerfile",
        "FROM plain.dream:5000/box:1\nARG GREETING\nCOPY www /www\nRUN echo $GREETING >/www/greeting\n",
    );
    lot.run("check", &image("hello"), &[])
        .exits(0)
        .says("In sync");

    lot.on(
        "docker01",
        "docker save -o /srv/box.tar plain.dream:5000/box:1",
    );
    lot.fetch("docker01", "/srv/box.tar", "box.tar");
    let archive = one_play(
        lot,
        "archive.toml",
        r#"{ image = { name = "plain.dream:5000/other:1", archive = "box.tar" } }"#,
    );
    lot.run("apply", &archive, &["--yes"]).exits(0);
    lot.run("check", &archive, &[]).exits(0).says("In sync");
    lot.on("docker02", "docker pull -q plain.dream:5000/other:1");
}

/// The nodes have no leave of their own: a stack hands on that of the account which deploys it.
fn a_stack_hands_leave_on(lot: &Lot) {
    lot.on(
        "docker02",
        "docker logout registry.dream:5001 && docker rmi -f $(docker images -q registry.dream:5001/team/web)",
    );
    let body = "image: 'registry.dream:5001/team/web:1', command: sleep 3600, stop_grace_period: 100ms, \
                deploy: { endpoint_mode: dnsrr, restart_policy: { delay: 1s }, placement: { constraints: [node.role == worker] } }";
    lot.write(
        "leave.yml",
        &format!("version: \"3.8\"\nservices:\n  web: {{ {body} }}\n"),
    );
    std::fs::create_dir_all(lot.path("account")).expect("a folder");
    // `web:open sesame` in Base64, as `docker login` keeps it.
    let leave = r#"{"auths": {"registry.dream:5001": {"auth": "d2ViOm9wZW4gc2VzYW1l"}}}"#;
    lot.write("account/config.json", leave);
    let run = |verb: &str, fields: &str, more: &[&str]| {
        let stack = one_play(
            lot,
            "leave.toml",
            &format!(r#"{{ stack = {{ name = "leave", sources = ["leave.yml"]{fields} }} }}"#),
        );
        let output = lot
            .command(verb, &stack, more)
            .env("DOCKER_CONFIG", lot.path("account"))
            .output()
            .expect("skep");
        Said::from(output)
            .does_not_say("sesame")
            .does_not_say("d2ViOm9wZW4gc2VzYW1l")
    };
    run("apply", "", &["--yes"])
        .exits(1)
        .says("No such image: registry.dream:5001/team/web:1 (on docker02)");
    lot.on("docker01", "docker stack rm leave");
    lot.until(
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
        lot.on("docker01", image).contains("team/web:1@sha256:"),
        "the registry told the digest"
    );
    lot.on("docker01", "docker stack rm leave");
}

fn what_registries_hold(lot: &Lot) {
    let inventory = lot.inventory();
    let said = skep(&["status", "--images", "-i", &inventory]).exits(0);
    let lines: Vec<String> = said
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let digest = lot.on(
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

/// Its disk has no room for one more layer. The Engine tries for a minute, and is told no more than a status.
fn a_registry_that_is_full(lot: &Lot) {
    let image = one_play(
        lot,
        "full.toml",
        r#"{ image = { name = "plain.dream:5000/full:1", context = "web" } }"#,
    );
    let restart = |before: &str| {
        let task = "$(docker ps -q --filter label=com.docker.swarm.service.name=plain)";
        lot.on(
            "docker01",
            &format!("{before} /srv/registry && docker rm -f {task}"),
        );
        lot.until(
            "docker01",
            "curl -sf http://plain.dream:5000/v2/",
            std::time::Duration::from_secs(60),
        );
    };
    restart("mount -t tmpfs -o size=128k full");
    let said = lot.run("apply", &image, &["--yes"]).exits(1);
    said.says("push plain.dream:5000/full:1")
        .says("whether the disk of its directory is full");
    restart("umount -l");
    lot.run("apply", &image, &["--yes"]).exits(0);
}

fn a_registry_that_is_down(lot: &Lot) {
    let image = one_play(
        lot,
        "down.toml",
        r#"{ image = { name = "plain.dream:5000/down:1", context = "web" } }"#,
    );
    lot.on("docker01", "docker service scale --detach plain=0");
    lot.until(
        "docker01",
        "! curl -sf http://plain.dream:5000/v2/",
        std::time::Duration::from_secs(30),
    );
    // The base image is on the node; only the push needs the registry.
    lot.run("apply", &image, &["--yes"])
        .exits(1)
        .says("push plain.dream:5000/down:1")
        .says("connection refused");
    lot.run("check", &image, &[])
        .exits(1)
        .says("connection refused");
    let inventory = lot.inventory();
    skep(&["status", "--images", "-i", &inventory])
        .exits(1)
        .says("no task of its service runs");
}

fn the_firewall(lot: &Lot) {
    lot.on(
        "docker01",
        "apt-get update -qq && apt-get install -qq --yes ufw >/dev/null",
    );
    let rows = one_play(
        lot,
        "firewall.toml",
        r#"{ firewall = { published = ["80/tcp"] } }"#,
    );
    lot.run("check", &rows, &[]).exits(0).says("In sync");
    lot.on(
        "docker01",
        "ufw allow 22 && ufw --force enable && ufw allow 4789/udp",
    );
    let said = lot.run("check", &rows, &[]).exits(3);
    said.says("2377/tcp from 10.")
        .says("80/tcp from any: (absent) -> allowed")
        .says("4789/udp from any: allowed -> (absent)");
    lot.run("apply", &rows, &["--yes"]).exits(0);
    lot.run("check", &rows, &[]).exits(0).says("In sync");
    let status = lot.on("docker01", "ufw status");
    assert!(
        status.contains("Status: active") && status.contains("2377/tcp") && status.contains("22  "),
        "{status}"
    );
    assert!(
        !status
            .lines()
            .any(|line| line.starts_with("4789/udp") && line.contains("Anywhere")),
        "{status}"
    );
    lot.on(
        "docker01",
        "docker node ls --format '{{.Status}}' | grep -c Ready | grep -qx 2",
    );
}

fn volumes(lot: &Lot) {
    let volume =
        |table: &str| one_play(lot, "volume.toml", &format!("{{ volume = {{ {table} }} }}"));
    let plain = volume(r#"name = "content""#);
    lot.run("apply", &plain, &["--yes"]).exits(0);
    lot.run("check", &plain, &[]).exits(0).says("In sync");
    lot.on(
        "docker01",
        "docker run --rm -v content:/x busybox:lab sh -c 'echo kept >/x/file'",
    );
    let nfs = r#"name = "content", nfs = { server = "10.9.9.9", path = "/export" }"#;
    lot.run("check", &volume(nfs), &[])
        .exits(1)
        .says("which no Engine can change")
        .says("all data in it is lost");
    lot.on(
        "docker01",
        "docker run --rm -v content:/x busybox:lab cat /x/file",
    );
    let replacing = volume(&format!("{nfs}, replace = true"));
    lot.run("apply", &replacing, &["--yes"]).exits(0);
    lot.run("check", &replacing, &[]).exits(0).says("In sync");
    assert_eq!(
        lot.on(
            "docker01",
            "docker volume inspect --format '{{.Options.type}} {{.Options.o}} {{.Options.device}}' content"
        ),
        "nfs addr=10.9.9.9,rw,nfsvers=4 :/export"
    );
    let gone = volume(r#"name = "content", state = "absent""#);
    lot.run("apply", &gone, &["--yes"]).exits(0);
    lot.on("docker01", "! docker volume inspect content");
}

/// Service, users, name and trust go on every host; the images stay.
fn taken_away(lot: &Lot) {
    let gone = r#"{ registry = { name = "registry.dream", port = 5001, host = "docker01", directory = "/srv/images", state = "absent" } }"#;
    let gone = lot.write(
        "gone.toml",
        &format!("[[plays]]\nhosts = \"all\"\nresources = [{gone}]\n"),
    );
    lot.run("plan", &gone, &[])
        .exits(0)
        .says("its images stay in /srv/images of docker01");
    lot.run("apply", &gone, &["--yes"]).exits(0);
    lot.on(
        "docker01",
        "! docker service inspect registry && test -d /srv/images/docker && ! test -e /srv/images.htpasswd",
    );
    for node in ["docker01", "docker02"] {
        lot.on(
            node,
            "! grep registry.dream /etc/hosts && ! test -e /etc/docker/certs.d/registry.dream:5001",
        );
        lot.on(node, "grep plain.dream /etc/hosts");
    }
    lot.run("check", &gone, &[]).exits(0).says("In sync");
}

#[test]
fn a_private_registry_in_the_clear_and_with_tls_and_users() {
    let lot = Lot::up_with("registry", &["--managers", "1", "--workers", "1"]);
    let folder = root().join("playbooks");
    lot.run(
        "apply",
        folder.join("docker.toml").to_str().expect("UTF-8"),
        &["--yes"],
    )
    .exits(0);
    lot.image("registry", &["docker01"]);
    lot.image("busybox", &[]);
    let playbook = playbook(&lot, "");
    let said = lot.run("plan", &playbook, &[]).exits(0);
    said.says("authority new, for 3650 days")
        .says("user web: (absent) -> may push and pull")
        .does_not_say("sesame");
    lot.run("apply", &playbook, &["--yes"])
        .exits(0)
        .does_not_say("sesame");
    lot.run("check", &playbook, &[]).exits(0).says("In sync");
    in_the_clear(&lot);
    with_tls_and_users(&lot);
    a_certificate_is_renewed(&lot);
    drift_is_named(&lot, &self::playbook(&lot, ""));
    images(&lot);
    what_registries_hold(&lot);
    a_stack_hands_leave_on(&lot);
    volumes(&lot);
    the_firewall(&lot);
    a_registry_that_is_full(&lot);
    a_registry_that_is_down(&lot);
    taken_away(&lot);
}
