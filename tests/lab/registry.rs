//! A private registry on two nodes, without TLS, and with TLS and users: a push from one node, a
//! pull from the other.

use crate::kinds::fields;
use crate::registry_images::{
    full_registry, images, one_play, stack_passes_registry_login, status_lists_registry_images,
    stopped_registry,
};
use crate::skep::root;
use crate::test_lab::TestLab;

/// Writes the plays of both registries; `certificate` is text for more fields of the certificate.
fn playbook(lab: &TestLab, certificate: &str) -> String {
    let folder = root().join("playbooks").display().to_string();
    lab.write(
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

fn push_and_pull(lab: &TestLab, name: &str) {
    lab.on(
        "docker02",
        &format!("docker tag busybox:lab {name}/box:1 && docker push -q {name}/box:1"),
    );
    let pulled = lab.on(
        "docker01",
        &format!("docker pull -q {name}/box:1 && docker run --rm {name}/box:1 echo it runs"),
    );
    assert!(pulled.ends_with("it runs"), "{pulled}");
}

fn plain_registry(lab: &TestLab) {
    push_and_pull(lab, "plain.dream:5000");
    lab.on(
        "docker01",
        "ls -d /srv/registry/docker/registry/v2/repositories/box",
    );
    // The images survive the container.
    lab.on("docker01", "docker rm -f $(docker ps -q --filter label=com.docker.swarm.service.name=plain) && docker rmi plain.dream:5000/box:1");
    lab.until(
        "docker01",
        "docker pull -q plain.dream:5000/box:1",
        std::time::Duration::from_secs(60),
    );
}

fn tls_registry_with_users(lab: &TestLab) {
    let (status, said) = lab.try_on(
        "docker02",
        "docker tag busybox:lab registry.dream:5001/box:1 && docker push registry.dream:5001/box:1",
    );
    assert!(
        status != 0 && said.contains("no basic auth credentials"),
        "{said}"
    );
    let answer = lab.on("docker02", "curl -s -o /dev/null -w '%{http_code}' --cacert /etc/docker/certs.d/registry.dream:5001/ca.crt https://registry.dream:5001/v2/");
    assert_eq!(answer, "401");
    let (status, said) = lab.try_on(
        "docker02",
        "echo wrong | docker login -u web --password-stdin registry.dream:5001",
    );
    assert!(status != 0 && said.contains("401 Unauthorized"), "{said}");
    for node in ["docker01", "docker02"] {
        lab.on(node, "echo open sesame | tr -d '\\n' | docker login -u web --password-stdin registry.dream:5001");
    }
    push_and_pull(lab, "registry.dream:5001");
    assert_eq!(
        lab.on(
            "docker01",
            "stat -c %a /srv/tls/ca.key /srv/tls/server.key /srv/images.htpasswd /srv/images"
        ),
        "600\n600\n600\n700"
    );
    lab.on(
        "docker02",
        "! test -e /srv/tls && ! grep -r PRIVATE /etc/docker",
    );
}

fn certificate_renewal(lab: &TestLab) {
    let serial = || {
        lab.on(
            "docker01",
            "openssl x509 -in /srv/tls/server.crt -noout -serial",
        )
    };
    let (before, trusted) = (
        serial(),
        lab.on("docker02", "sha256sum /etc/docker/certs.d/*/ca.crt"),
    );
    let sooner = playbook(lab, ", days = 700, renew_before = 400");
    let said = lab.run("check", &sooner, &[]).exits(3);
    assert_eq!(fields(&said.stdout).len(), 1, "{}", said.stdout);
    said.says("expires soon or has expired (36");
    lab.run("apply", &sooner, &["--yes"]).exits(0);
    lab.run("check", &sooner, &[]).exits(0).says("In sync");
    assert_ne!(before, serial());
    assert_eq!(
        trusted,
        lab.on("docker02", "sha256sum /etc/docker/certs.d/*/ca.crt"),
        "the authority is the same"
    );
    let served = "openssl s_client -connect registry.dream:5001 </dev/null 2>/dev/null | openssl x509 -noout -serial";
    assert_eq!(
        lab.on("docker02", served),
        serial(),
        "the registry serves the new one"
    );
    lab.on("docker02", "docker pull -q registry.dream:5001/box:1");
}

fn drift_is_reported(lab: &TestLab, playbook: &str) {
    lab.on("docker01", "docker service update --detach --replicas 0 plain; sed -i s/web/guest/ /srv/images.htpasswd");
    lab.on("docker02", "echo >/etc/docker/certs.d/registry.dream:5001/ca.crt; sed -i s/plain.dream/other/ /etc/hosts");
    let said = lab.run("check", playbook, &[]).exits(3);
    said.says("replicas: 0 -> 1")
        .says("user web: (absent) -> may push and pull")
        .says("user guest: may push and pull -> (absent)")
        .says("plain.dream")
        .says("ca.crt: sha256:")
        .does_not_say("sesame");
    lab.run("apply", playbook, &["--yes"]).exits(0);
    lab.run("check", playbook, &[]).exits(0).says("In sync");
    lab.on(
        "docker02",
        "docker pull -q plain.dream:5000/box:1 && docker pull -q registry.dream:5001/box:1",
    );
}

fn firewall(lab: &TestLab) {
    lab.on(
        "docker01",
        "apt-get update -qq && apt-get install -qq --yes ufw >/dev/null",
    );
    let rows = one_play(
        lab,
        "firewall.toml",
        r#"{ firewall = { published = ["80/tcp"] } }"#,
    );
    lab.run("check", &rows, &[]).exits(0).says("In sync");
    lab.on(
        "docker01",
        "ufw allow 22 && ufw --force enable && ufw allow 4789/udp",
    );
    let said = lab.run("check", &rows, &[]).exits(3);
    said.says("2377/tcp from 10.")
        .says("80/tcp from any: (absent) -> allowed")
        .says("4789/udp from any: allowed -> (absent)");
    lab.run("apply", &rows, &["--yes"]).exits(0);
    lab.run("check", &rows, &[]).exits(0).says("In sync");
    let status = lab.on("docker01", "ufw status");
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
    lab.on(
        "docker01",
        "docker node ls --format '{{.Status}}' | grep -c Ready | grep -qx 2",
    );
}

fn volumes(lab: &TestLab) {
    let volume =
        |table: &str| one_play(lab, "volume.toml", &format!("{{ volume = {{ {table} }} }}"));
    let plain = volume(r#"name = "content""#);
    lab.run("apply", &plain, &["--yes"]).exits(0);
    lab.run("check", &plain, &[]).exits(0).says("In sync");
    lab.on(
        "docker01",
        "docker run --rm -v content:/x busybox:lab sh -c 'echo kept >/x/file'",
    );
    let nfs = r#"name = "content", nfs = { server = "10.9.9.9", path = "/export" }"#;
    lab.run("check", &volume(nfs), &[])
        .exits(1)
        .says("which no Engine can change")
        .says("all data in it is lost");
    lab.on(
        "docker01",
        "docker run --rm -v content:/x busybox:lab cat /x/file",
    );
    let replacing = volume(&format!("{nfs}, replace = true"));
    lab.run("apply", &replacing, &["--yes"]).exits(0);
    lab.run("check", &replacing, &[]).exits(0).says("In sync");
    assert_eq!(
        lab.on(
            "docker01",
            "docker volume inspect --format '{{.Options.type}} {{.Options.o}} {{.Options.device}}' content"
        ),
        "nfs addr=10.9.9.9,rw,nfsvers=4 :/export"
    );
    let gone = volume(r#"name = "content", state = "absent""#);
    lab.run("apply", &gone, &["--yes"]).exits(0);
    lab.on("docker01", "! docker volume inspect content");
}

/// Checks that service, users, name and trust are removed from every host, and that the images are
/// kept.
fn removal(lab: &TestLab) {
    let gone = r#"{ registry = { name = "registry.dream", port = 5001, host = "docker01", directory = "/srv/images", state = "absent" } }"#;
    let gone = lab.write(
        "gone.toml",
        &format!("[[plays]]\nhosts = \"all\"\nresources = [{gone}]\n"),
    );
    lab.run("plan", &gone, &[])
        .exits(0)
        .says("its images stay in /srv/images of docker01");
    lab.run("apply", &gone, &["--yes"]).exits(0);
    lab.on(
        "docker01",
        "! docker service inspect registry && test -d /srv/images/docker && ! test -e /srv/images.htpasswd",
    );
    for node in ["docker01", "docker02"] {
        lab.on(
            node,
            "! grep registry.dream /etc/hosts && ! test -e /etc/docker/certs.d/registry.dream:5001",
        );
        lab.on(node, "grep plain.dream /etc/hosts");
    }
    lab.run("check", &gone, &[]).exits(0).says("In sync");
}

#[test]
fn registry_plain_and_tls() {
    let lab = TestLab::with_docker("registry", &["--managers", "1", "--workers", "1"]);
    let folder = root().join("playbooks");
    lab.run(
        "apply",
        folder.join("docker.toml").to_str().expect("UTF-8"),
        &["--yes"],
    )
    .exits(0);
    lab.image("registry", &["docker01"]);
    lab.image("busybox", &[]);
    let playbook = playbook(&lab, "");
    let said = lab.run("plan", &playbook, &[]).exits(0);
    said.says("authority new, for 3650 days")
        .says("user web: (absent) -> may push and pull")
        .does_not_say("sesame");
    lab.run("apply", &playbook, &["--yes"])
        .exits(0)
        .does_not_say("sesame");
    lab.run("check", &playbook, &[]).exits(0).says("In sync");
    plain_registry(&lab);
    tls_registry_with_users(&lab);
    certificate_renewal(&lab);
    drift_is_reported(&lab, &self::playbook(&lab, ""));
    images(&lab);
    status_lists_registry_images(&lab);
    stack_passes_registry_login(&lab);
    volumes(&lab);
    firewall(&lab);
    full_registry(&lab);
    stopped_registry(&lab);
    removal(&lab);
}
