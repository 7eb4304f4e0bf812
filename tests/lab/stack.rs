//! `stack` on a swarm of three nodes: the preview writes nothing, apply deploys it, drift is
//! reported and repaired, and a service that cannot run is a failure with its reason. The real
//! `docker` command of this machine uses the Docker API proxy.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::skep::{Said, root};
use crate::small_image::make_small_image;
use crate::test_lab::TestLab;

const NODES: [&str; 3] = ["docker01", "docker02", "docker03"];

/// No virtual IPs, which not every kernel supports; the process ends immediately when it is
/// stopped.
const COMPOSE: &str = r#"version: "3.8"
services:
  app:
    image: tiny:1
    command: sleep 3600
    stop_grace_period: 100ms
    environment: { PASSWORD: "${PASSWORD}", MODE: plain }
    env_file: [app.env]
    configs: [settings]
    ports: [{ target: 80, published: 18080, mode: host }]
    deploy: { replicas: 2, endpoint_mode: dnsrr, placement: { max_replicas_per_node: 1 } }
  db:
    image: tiny:1
    command: sleep 3600
    stop_grace_period: 100ms
    secrets: [password]
    deploy:
      endpoint_mode: dnsrr
      placement: { constraints: [node.role == manager] }
      update_config: { failure_action: rollback, monitor: 2s }
secrets:
  password: { file: ./password }
configs:
  settings: { file: ./settings }
"#;

/// Returns a compose file with the services of another stack.
fn service(body: &str) -> String {
    format!("version: \"3.8\"\nservices:\n{body}\n")
}

fn playbook(lab: &TestLab, name: &str, fields: &str) -> String {
    let text = format!(
        "[[plays]]\nname = \"Stack\"\nhosts = \"all\"\nresources = [{{ stack = {{ {fields} }} }}]\n"
    );
    lab.write(&format!("{name}.toml"), &text)
}

/// Runs skep with its private folders at a place where the test can check that none is left.
fn run(lab: &TestLab, verb: &str, playbook: &str, more: &[&str]) -> Said {
    let mut command = lab.command(verb, playbook, more);
    let output = command
        .env("XDG_RUNTIME_DIR", lab.path("run"))
        .output()
        .unwrap();
    let left: Vec<_> = std::fs::read_dir(lab.path("run")).unwrap().collect();
    assert!(left.is_empty(), "private folders are left: {left:?}");
    Said::from(output).does_not_say("hunter2")
}

fn web(lab: &TestLab) -> String {
    lab.write("web.yml", COMPOSE);
    lab.write("app.env", "TOKEN=hunter2\n");
    lab.write("password", "hunter2");
    lab.write("settings", "one");
    let files =
        r#"files = ["app.env", "password", "settings"], variables = { PASSWORD = "hunter2" }"#;
    playbook(
        lab,
        "web",
        &format!(r#"name = "web", sources = ["web.yml"], {files}, timeout = "90s""#),
    )
}

fn provision(lab: &TestLab) {
    let folder = root().join("playbooks");
    let include = format!(
        "include = [\"{0}/docker.toml\", \"{0}/swarm.toml\"]\n",
        folder.display()
    );
    run(lab, "apply", &lab.write("swarm.toml", &include), &["--yes"]).exits(0);
    make_small_image(lab, &NODES, "tiny:1");
    make_small_image(lab, &NODES, "tiny:2");
}

fn objects(lab: &TestLab) -> String {
    lab.on(
        "docker01",
        "docker service ls -q; docker secret ls -q; docker config ls -q; docker network ls -q --filter driver=overlay",
    )
}

#[test]
fn stack_lifecycle() {
    let lab = TestLab::with_docker("stack", &[]);
    std::fs::create_dir(lab.path("run")).unwrap();
    let web = web(&lab);
    // Bare nodes: the plan is complete, and a missing `docker` command is one clear sentence.
    run(&lab, "plan", &web, &[])
        .exits(0)
        .says("service web_app: (absent) -> tiny:1, 2 replicas")
        .says("secret web_password");
    missing_command(&lab, &web);
    interrupted(&lab, &web);

    provision(&lab);
    let before = objects(&lab);
    run(&lab, "plan", &web, &["--exit-code"])
        .exits(3)
        .says("network web_default")
        .says("service web_db");
    assert_eq!(objects(&lab), before, "a plan made something");
    run(&lab, "apply", &web, &["--yes"])
        .exits(0)
        .says("web_app: 2/2 running");
    let running = lab.on(
        "docker01",
        "docker service ls --format '{{.Name}} {{.Replicas}}'",
    );
    assert!(
        running.contains("web_app 2/2 (max 1 per node)") && running.contains("web_db 1/1"),
        "{running}"
    );
    run(&lab, "check", &web, &[])
        .exits(0)
        .says("In sync")
        .does_not_say("defect");

    drift(&lab, &web);
    versions(&lab);
    refusals(&lab, &web);
    failures(&lab);
    rollback(&lab, &web);
    removal(&lab);
}

fn missing_command(lab: &TestLab, web: &str) {
    // PATH is an empty folder: skep's own ssh must be enough.
    std::fs::create_dir(lab.path("bin")).unwrap();
    let mut command = lab.command("plan", web, &[]);
    let output = command
        .env("PATH", lab.path("bin"))
        .env("XDG_RUNTIME_DIR", lab.path("run"))
        .output()
        .unwrap();
    Said::from(output)
        .exits(1)
        .says("the `docker` command is not installed on this machine")
        .says("docker-cli");
}

fn interrupted(lab: &TestLab, web: &str) {
    let fake = lab.write("bin/docker", "#!/bin/sh\nexec sleep 60\n");
    std::fs::set_permissions(&fake, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", lab.path("bin"), std::env::var("PATH").unwrap());
    let mut command = lab.command("plan", web, &[]);
    let mut child = command
        .env("PATH", path)
        .env("XDG_RUNTIME_DIR", lab.path("run"))
        .spawn()
        .unwrap();
    let entries = || std::fs::read_dir(lab.path("run")).unwrap().count();
    let started = Instant::now();
    while entries() == 0 {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "the command was not started"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(entries(), 0, "Ctrl-C left a private folder");
}

fn drift(lab: &TestLab, web: &str) {
    lab.on("docker01", "docker service scale -d web_app=1 && docker service update -d --image tiny:2 --env-add EXTRA=hunter2 --force web_db");
    run(lab, "check", web, &[])
        .exits(3)
        .says("changed behind our back")
        .says("web_app replicas: 1 -> 2")
        .says("web_db image: tiny:2 -> tiny:1")
        .says("web_db environment EXTRA: (secret) -> (absent)")
        .says("web_db: tasks are replaced")
        .does_not_say("force");
    run(lab, "apply", web, &["--yes"]).exits(0);
    run(lab, "check", web, &[]).exits(0);
    let image = lab.on(
        "docker01",
        "docker service inspect web_db --format '{{.Spec.TaskTemplate.ContainerSpec.Image}}'",
    );
    assert_eq!(image, "tiny:1");
}

/// A secret of the playbook beside the stack: created first, named by the compose file without its
/// version, and rotated.
fn versions(lab: &TestLab) {
    let body = "  app:\n    image: tiny:1\n    command: sleep 3600\n    stop_grace_period: 100ms\n    secrets: [token]\n    deploy: { endpoint_mode: dnsrr }\n\
                secrets: { token: { external: true } }";
    lab.write("versions.yml", &service(body));
    let text = "[[plays]]\nname = \"Stack\"\nhosts = \"all\"\nresources = [\n  { secret = { name = \"token\", file = \"token\" } },\n  \
                { stack = { name = \"versions\", sources = [\"versions.yml\"] } },\n]\n";
    let playbook = lab.write("versions.toml", text);
    let uses = "docker service inspect versions_app --format '{{range .Spec.TaskTemplate.ContainerSpec.Secrets}}{{.SecretName}} {{.File.Name}}{{end}}'";
    for (value, name) in [("hunter2", "token-1 token"), ("hunter22", "token-2 token")] {
        lab.write("token", value);
        run(lab, "apply", &playbook, &["--yes"]).exits(0);
        assert_eq!(lab.on("docker01", uses), name);
        run(lab, "check", &playbook, &[]).exits(0);
    }
}

fn refusals(lab: &TestLab, web: &str) {
    let before = objects(lab);
    lab.write("settings", "two");
    run(lab, "plan", web, &[])
        .exits(1)
        .says("the content of the config web_settings has changed")
        .says("web_settings-v2");
    lab.write("settings", "one");

    lab.write(
        "wrong.yml",
        &service("  app:\n    image: tiny:1\n    imagge: x"),
    );
    let wrong = playbook(lab, "wrong", r#"name = "wrong", sources = ["wrong.yml"]"#);
    run(lab, "apply", &wrong, &["--yes"])
        .exits(1)
        .says("wrong.yml, line 5")
        .says("imagge");

    let external = "  app: { image: 'tiny:1', secrets: [gone], networks: [lost] }\nsecrets: { gone: { external: true } }\n\
                    networks: { lost: { external: true } }";
    lab.write("external.yml", &service(external));
    let external = playbook(
        lab,
        "external",
        r#"name = "external", sources = ["external.yml"]"#,
    );
    run(lab, "plan", &external, &[])
        .exits(0)
        .says("not in the swarm now")
        .says("network lost, secret gone");
    run(lab, "apply", &external, &["--yes"])
        .exits(1)
        .says("network lost, secret gone")
        .says("nothing was done");

    let taken = "  app: { image: 'tiny:1', networks: [shared] }\nnetworks: { shared: { name: web_default } }";
    lab.write("taken.yml", &service(taken));
    let taken = playbook(lab, "taken", r#"name = "taken", sources = ["taken.yml"]"#);
    run(lab, "plan", &taken, &[])
        .exits(1)
        .says("belongs to the stack web");
    assert_eq!(objects(lab), before, "something was deployed");
}

fn failures(lab: &TestLab) {
    let quick = "stop_grace_period: 100ms, networks: []";
    let body = format!(
        "  dies: {{ image: 'tiny:1', command: [sh, -c, 'sleep 0.2; exit 3'], {quick}, deploy: {{ endpoint_mode: dnsrr, restart_policy: {{ delay: 1s }} }} }}\n\
         \x20 nowhere: {{ image: 'tiny:1', command: sleep 60, {quick}, deploy: {{ endpoint_mode: dnsrr, placement: {{ constraints: [node.labels.gone == yes] }} }} }}\n\
         \x20 unknown: {{ image: 'nowhere.invalid/none:9', {quick}, deploy: {{ endpoint_mode: dnsrr, restart_policy: {{ delay: 1s }} }} }}"
    );
    lab.write("bad.yml", &service(&body));
    // A registry that does not exist takes time at each query.
    let bad = playbook(
        lab,
        "bad",
        r#"name = "bad", sources = ["bad.yml"], timeout = "60s", resolve_image = "never""#,
    );
    let said = run(lab, "apply", &bad, &["--yes"])
        .exits(1)
        .says("the deployed objects stay");
    // The first known failure ends the wait; each is reported when it is observed.
    for (service, word) in [
        ("bad_dies", "non-zero exit (3) (on docker0"),
        ("bad_nowhere", "no suitable node"),
        (
            "bad_unknown",
            "No such image: nowhere.invalid/none:9 (on docker0",
        ),
    ] {
        let told = said
            .stderr
            .lines()
            .any(|line| line.contains(service) && line.contains(word));
        assert!(told, "{service}: {word}\n{}", said.stderr);
    }
    // A later check reports it too, although there is nothing to deploy.
    run(lab, "check", &bad, &[])
        .exits(3)
        .says("running tasks: 0 -> 1");
}

fn rollback(lab: &TestLab, web: &str) {
    let dying = COMPOSE.replacen(
        "command: sleep 3600\n    stop_grace_period: 100ms\n    secrets",
        "command: [sh, -c, 'exit 7']\n    stop_grace_period: 100ms\n    secrets",
        1,
    );
    assert_ne!(dying, COMPOSE);
    lab.write("web.yml", &dying);
    run(lab, "apply", web, &["--yes"])
        .exits(1)
        .says("web_db")
        .says("rolled back")
        .says("non-zero exit (7) (on docker01)");
    lab.write("web.yml", COMPOSE);
    // On a busy machine, tasks need time to come back.
    let lacking =
        "docker service ls --filter name=web_ --format '{{.Replicas}}' | grep -e '^0/' -e '^1/2'";
    lab.until(
        "docker01",
        &format!("! ({lacking})"),
        Duration::from_secs(60),
    );
    run(lab, "check", web, &[]).exits(0);
}

fn removal(lab: &TestLab) {
    for name in ["bad", "web", "versions"] {
        let absent = playbook(
            lab,
            "absent",
            &format!(r#"name = "{name}", state = "absent""#),
        );
        run(lab, "apply", &absent, &["--yes"]).exits(0);
        run(lab, "check", &absent, &[]).exits(0);
    }
    let left = lab.on("docker01", "docker service ls -q; docker secret ls -q --filter label=com.docker.stack.namespace; docker config ls -q --filter label=com.docker.stack.namespace; docker network ls --filter label=com.docker.stack.namespace -q");
    assert_eq!(left, "");
}
