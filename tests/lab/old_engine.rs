//! Three managers of Debian 12 with Docker Engine 20.10, and its `docker` command on this side:
//! stacks are deployed, pruned and refused as with new Engines. Then the delegate, which runs
//! cluster-scoped resources, loses power, and its fallback takes over.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use crate::skep::{Said, root};
use crate::small_image::make_small_image;
use crate::test_lab::TestLab;

const NODES: [&str; 3] = ["docker01", "docker02", "docker03"];

fn service(name: &str, more: &str) -> String {
    format!(
        "  {name}: {{ image: 'tiny:1', command: sleep 3600, stop_grace_period: 100ms, deploy: {{ endpoint_mode: dnsrr, mode: global }}{more} }}\n"
    )
}

fn compose(lab: &TestLab, file: &str, services: &[String], rest: &str) {
    lab.write(
        file,
        &format!("version: \"3.8\"\nservices:\n{}{rest}", services.concat()),
    );
}

/// Writes a playbook with the secret `token` and a stack.
fn playbook(lab: &TestLab, name: &str, fields: &str) -> String {
    let text = format!(
        "[[plays]]\nname = \"Stack\"\nhosts = \"managers\"\nresources = [\n  {{ secret = {{ name = \"token\", file = \"token\" }} }},\n  \
         {{ stack = {{ name = \"{name}\", sources = [\"{name}.yml\"], {fields} }} }},\n]\n"
    );
    lab.write(&format!("{name}.toml"), &text)
}

/// Runs skep with the `docker` command of the nodes' own release.
fn run(lab: &TestLab, verb: &str, playbook: &str, more: &[&str]) -> Said {
    let path = format!("{}:{}", lab.path("old"), std::env::var("PATH").unwrap());
    Said::from(
        lab.command(verb, playbook, more)
            .env("PATH", path)
            .output()
            .unwrap(),
    )
    .does_not_say("hunter2")
}

fn provision(lab: &TestLab) {
    let folder = root().join("playbooks");
    let include = format!(
        "include = [\"{0}/docker.toml\", \"{0}/swarm.toml\"]\n",
        folder.display()
    );
    lab.run("apply", &lab.write("swarm.toml", &include), &["--yes"])
        .exits(0);
    make_small_image(lab, &NODES, "tiny:1");
    std::fs::create_dir(lab.path("old")).unwrap();
    lab.fetch("docker01", "/usr/bin/docker", "old/docker");
    std::fs::set_permissions(
        lab.path("old/docker"),
        std::fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    let version = Command::new(lab.path("old/docker"))
        .arg("--version")
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&version.stdout).contains("version 20.10"),
        "{version:?}"
    );
    assert!(
        lab.on("docker01", "docker version --format '{{.Server.Version}}'")
            .starts_with("20.10")
    );
}

#[test]
fn docker_20_10_and_delegate_loss() {
    let lab = TestLab::up_with(
        "old",
        &["--suite", "bookworm", "--managers", "3", "--workers", "0"],
    );
    provision(&lab);
    lab.write("token", "hunter2");
    lab.write("password", "hunter2");
    let external = "secrets: { password: { file: ./password }, token: { external: true } }\nnetworks: { back: { name: back, attachable: true } }\n";
    let app = service("app", ", secrets: [password, token], networks: [back]");
    compose(
        &lab,
        "web.yml",
        &[app.clone(), service("gone", "")],
        external,
    );
    let web = playbook(&lab, "web", "files = [\"password\"], prune = true");
    run(&lab, "plan", &web, &[])
        .exits(0)
        .says("service web_app: (absent) -> tiny:1, global")
        .says("secret web_password");
    run(&lab, "apply", &web, &["--yes"]).exits(0);
    run(&lab, "check", &web, &[]).exits(0).says("In sync");

    compose(&lab, "web.yml", &[app], external);
    run(&lab, "check", &web, &[])
        .exits(3)
        .says("service web_gone: tiny:1, global -> (absent)");
    run(&lab, "apply", &web, &["--yes"]).exits(0);
    run(&lab, "check", &web, &[]).exits(0);
    assert_eq!(
        lab.on("docker01", "docker service ls --format '{{.Name}}'"),
        "web_app"
    );

    refusals(&lab);
    port_in_use(&lab);
    delegate_is_lost(&lab, &web);
}

fn refusals(lab: &TestLab) {
    // A second stack would create the same network.
    compose(
        lab,
        "blog.yml",
        &[service("app", ", networks: [back]")],
        "networks: { back: { name: back } }\n",
    );
    run(lab, "apply", &playbook(lab, "blog", ""), &["--yes"])
        .exits(1)
        .says("the stack blog would create the network back, which already exists and belongs to the stack web");
    lab.write("large", &"x".repeat(600_000));
    compose(
        lab,
        "large.yml",
        &[service("app", ", secrets: [large]")],
        "secrets: { large: { file: ./large } }\n",
    );
    run(
        lab,
        "apply",
        &playbook(lab, "large", "files = [\"large\"]"),
        &["--yes"],
    )
    .exits(1)
    .says("the secret large_large has")
    .says("at most 500 KiB");
    assert_eq!(
        lab.on(
            "docker01",
            "docker network ls -q --filter label=com.docker.stack.namespace=large"
        ),
        ""
    );
}

/// A program of the node itself uses the port, which the swarm does not know.
fn port_in_use(lab: &TestLab) {
    let listen = "setsid perl -MIO::Socket::INET -e 'my $taken = IO::Socket::INET->new(LocalPort => 18099, Listen => 5) or die; sleep 3600' </dev/null >/dev/null 2>&1 &";
    NODES.iter().for_each(|node| {
        lab.on(node, listen);
        lab.until(
            node,
            "ss -Hltn 'sport = :18099' | grep -q .",
            Duration::from_secs(30),
        );
    });
    let ports = ", ports: [{ target: 80, published: 18099, mode: host }]";
    compose(lab, "port.yml", &[service("app", ports)], "");
    let port = playbook(lab, "port", "timeout = \"3m\"");
    run(lab, "apply", &port, &["--yes"])
        .exits(1)
        .says("port_app")
        .says("address already in use")
        .says("(on docker0");
    let absent = "[[plays]]\nhosts = \"managers\"\nresources = [{ stack = { name = \"port\", state = \"absent\" } }]\n";
    run(lab, "apply", &lab.write("absent.toml", absent), &["--yes"]).exits(0);
}

fn delegate_is_lost(lab: &TestLab, web: &str) {
    lab.cut_power("docker01");
    // The two remaining managers elect a leader.
    lab.until("docker02", "docker service ls", Duration::from_secs(120));
    lab.on(
        "docker02",
        "docker service update -d --label-add by=hand web_app",
    );
    run(lab, "check", web, &[])
        .exits(4)
        .says("docker02 takes over secret[token], stack[web] from docker01, which cannot be read")
        .says("web_app label by: hand -> (absent)");
    run(lab, "apply", web, &["--yes", "--limit", "docker01"])
        .exits(4)
        .does_not_say("takes over");
    let labels = || {
        lab.on(
            "docker02",
            "docker service inspect web_app --format '{{.Spec.Labels}}'",
        )
    };
    assert!(labels().contains("by:hand"));
    // A global service may still count the task of the lost node; the difference is repaired all
    // the same.
    run(lab, "apply", web, &["--yes"])
        .says("docker02 takes over")
        .does_not_say("defect");
    assert!(!labels().contains("by:hand"), "{}", labels());
}
