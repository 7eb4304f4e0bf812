//! `stack` on a swarm of three nodes: the preview writes nothing, apply makes it run, drift is named and mended, and what cannot run
//! is a failure with its reason. The real `docker` command of this machine goes through the gate.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::image::make_small_image;
use crate::lot::Lot;
use crate::skep::{Said, root};

const NODES: [&str; 3] = ["docker01", "docker02", "docker03"];

/// No virtual IPs, which not every kernel can make; a process that ends at once when it is told to.
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

/// What one service of another stack may look like.
fn service(body: &str) -> String {
    format!("version: \"3.8\"\nservices:\n{body}\n")
}

fn playbook(lot: &Lot, name: &str, fields: &str) -> String {
    let text = format!(
        "[[plays]]\nname = \"Stack\"\nhosts = \"all\"\nresources = [{{ stack = {{ {fields} }} }}]\n"
    );
    lot.write(&format!("{name}.toml"), &text)
}

/// A run whose private folders are made where the test can see that none is left.
fn run(lot: &Lot, verb: &str, playbook: &str, more: &[&str]) -> Said {
    let mut command = lot.command(verb, playbook, more);
    let output = command
        .env("XDG_RUNTIME_DIR", lot.path("run"))
        .output()
        .unwrap();
    let left: Vec<_> = std::fs::read_dir(lot.path("run")).unwrap().collect();
    assert!(left.is_empty(), "private folders are left: {left:?}");
    Said::from(output).does_not_say("hunter2")
}

fn web(lot: &Lot) -> String {
    lot.write("web.yml", COMPOSE);
    lot.write("app.env", "TOKEN=hunter2\n");
    lot.write("password", "hunter2");
    lot.write("settings", "one");
    let files =
        r#"files = ["app.env", "password", "settings"], variables = { PASSWORD = "hunter2" }"#;
    playbook(
        lot,
        "web",
        &format!(r#"name = "web", sources = ["web.yml"], {files}, timeout = "90s""#),
    )
}

fn provision(lot: &Lot) {
    let folder = root().join("playbooks");
    let include = format!(
        "include = [\"{0}/docker.toml\", \"{0}/swarm.toml\"]\n",
        folder.display()
    );
    run(lot, "apply", &lot.write("swarm.toml", &include), &["--yes"]).exits(0);
    make_small_image(lot, &NODES, "tiny:1");
    make_small_image(lot, &NODES, "tiny:2");
}

fn objects(lot: &Lot) -> String {
    lot.on(
        "docker01",
        "docker service ls -q; docker secret ls -q; docker config ls -q; docker network ls -q --filter driver=overlay",
    )
}

#[test]
fn a_stack_is_previewed_deployed_watched_and_mended() {
    let lot = Lot::up("stack");
    std::fs::create_dir(lot.path("run")).unwrap();
    let web = web(&lot);
    // Bare nodes: the plan is whole, and a missing command is one clear sentence.
    run(&lot, "plan", &web, &[])
        .exits(0)
        .says("service web_app: (absent) -> tiny:1, 2 replicas")
        .says("secret web_password");
    missing_command(&lot, &web);
    interrupted(&lot, &web);

    provision(&lot);
    let before = objects(&lot);
    run(&lot, "plan", &web, &["--exit-code"])
        .exits(3)
        .says("network web_default")
        .says("service web_db");
    assert_eq!(objects(&lot), before, "a plan made something");
    run(&lot, "apply", &web, &["--yes"])
        .exits(0)
        .says("web_app: 2/2 running");
    let running = lot.on(
        "docker01",
        "docker service ls --format '{{.Name}} {{.Replicas}}'",
    );
    assert!(
        running.contains("web_app 2/2 (max 1 per node)") && running.contains("web_db 1/1"),
        "{running}"
    );
    run(&lot, "check", &web, &[])
        .exits(0)
        .says("In sync")
        .does_not_say("defect");

    drift(&lot, &web);
    versions(&lot);
    refusals(&lot, &web);
    failures(&lot);
    rollback(&lot, &web);
    removal(&lot);
}

fn missing_command(lot: &Lot, web: &str) {
    // Its own ssh, and nothing else.
    std::fs::create_dir(lot.path("bin")).unwrap();
    let mut command = lot.command("plan", web, &[]);
    let output = command
        .env("PATH", lot.path("bin"))
        .env("XDG_RUNTIME_DIR", lot.path("run"))
        .output()
        .unwrap();
    Said::from(output)
        .exits(1)
        .says("the `docker` command is not on this machine")
        .says("docker-cli");
}

fn interrupted(lot: &Lot, web: &str) {
    let fake = lot.write("bin/docker", "#!/bin/sh\nexec sleep 60\n");
    std::fs::set_permissions(&fake, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", lot.path("bin"), std::env::var("PATH").unwrap());
    let mut command = lot.command("plan", web, &[]);
    let mut child = command
        .env("PATH", path)
        .env("XDG_RUNTIME_DIR", lot.path("run"))
        .spawn()
        .unwrap();
    let entries = || std::fs::read_dir(lot.path("run")).unwrap().count();
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

fn drift(lot: &Lot, web: &str) {
    lot.on("docker01", "docker service scale -d web_app=1 && docker service update -d --image tiny:2 --env-add EXTRA=hunter2 --force web_db");
    run(lot, "check", web, &[])
        .exits(3)
        .says("changed behind our back")
        .says("web_app replicas: 1 -> 2")
        .says("web_db image: tiny:2 -> tiny:1")
        .says("web_db environment EXTRA: (secret) -> (absent)")
        .says("web_db: tasks are replaced")
        .does_not_say("force");
    run(lot, "apply", web, &["--yes"]).exits(0);
    run(lot, "check", web, &[]).exits(0);
    let image = lot.on(
        "docker01",
        "docker service inspect web_db --format '{{.Spec.TaskTemplate.ContainerSpec.Image}}'",
    );
    assert_eq!(image, "tiny:1");
}

/// A secret of the playbook beside the stack: made first, named by the compose file without its version, and rotated.
fn versions(lot: &Lot) {
    let body = "  app:\n    image: tiny:1\n    command: sleep 3600\n    stop_grace_period: 100ms\n    secrets: [token]\n    deploy: { endpoint_mode: dnsrr }\n\
                secrets: { token: { external: true } }";
    lot.write("versions.yml", &service(body));
    let text = "[[plays]]\nname = \"Stack\"\nhosts = \"all\"\nresources = [\n  { secret = { name = \"token\", file = \"token\" } },\n  \
                { stack = { name = \"versions\", sources = [\"versions.yml\"] } },\n]\n";
    let playbook = lot.write("versions.toml", text);
    let uses = "docker service inspect versions_app --format '{{range .Spec.TaskTemplate.ContainerSpec.Secrets}}{{.SecretName}} {{.File.Name}}{{end}}'";
    for (value, name) in [("hunter2", "token-1 token"), ("hunter22", "token-2 token")] {
        lot.write("token", value);
        run(lot, "apply", &playbook, &["--yes"]).exits(0);
        assert_eq!(lot.on("docker01", uses), name);
        run(lot, "check", &playbook, &[]).exits(0);
    }
}

fn refusals(lot: &Lot, web: &str) {
    let before = objects(lot);
    lot.write("settings", "two");
    run(lot, "plan", web, &[])
        .exits(1)
        .says("the content of the config web_settings has changed")
        .says("web_settings-v2");
    lot.write("settings", "one");

    lot.write(
        "wrong.yml",
        &service("  app:\n    image: tiny:1\n    imagge: x"),
    );
    let wrong = playbook(lot, "wrong", r#"name = "wrong", sources = ["wrong.yml"]"#);
    run(lot, "apply", &wrong, &["--yes"])
        .exits(1)
        .says("wrong.yml, line 5")
        .says("imagge");

    let external = "  app: { image: 'tiny:1', secrets: [gone], networks: [lost] }\nsecrets: { gone: { external: true } }\n\
                    networks: { lost: { external: true } }";
    lot.write("external.yml", &service(external));
    let external = playbook(
        lot,
        "external",
        r#"name = "external", sources = ["external.yml"]"#,
    );
    run(lot, "plan", &external, &[])
        .exits(0)
        .says("not in the swarm now")
        .says("network lost, secret gone");
    run(lot, "apply", &external, &["--yes"])
        .exits(1)
        .says("network lost, secret gone")
        .says("nothing was done");

    let taken = "  app: { image: 'tiny:1', networks: [shared] }\nnetworks: { shared: { name: web_default } }";
    lot.write("taken.yml", &service(taken));
    let taken = playbook(lot, "taken", r#"name = "taken", sources = ["taken.yml"]"#);
    run(lot, "plan", &taken, &[])
        .exits(1)
        .says("belongs to the stack web");
    assert_eq!(objects(lot), before, "something was deployed");
}

fn failures(lot: &Lot) {
    let quick = "stop_grace_period: 100ms, networks: []";
    let body = format!(
        "  dies: {{ image: 'tiny:1', command: [sh, -c, 'sleep 0.2; exit 3'], {quick}, deploy: {{ endpoint_mode: dnsrr, restart_policy: {{ delay: 1s }} }} }}\n\
         \x20 nowhere: {{ image: 'tiny:1', command: sleep 60, {quick}, deploy: {{ endpoint_mode: dnsrr, placement: {{ constraints: [node.labels.gone == yes] }} }} }}\n\
         \x20 unknown: {{ image: 'nowhere.invalid/none:9', {quick}, deploy: {{ endpoint_mode: dnsrr, restart_policy: {{ delay: 1s }} }} }}"
    );
    lot.write("bad.yml", &service(&body));
    // A registry that is not there costs time at each look.
    let bad = playbook(
        lot,
        "bad",
        r#"name = "bad", sources = ["bad.yml"], timeout = "60s", resolve_image = "never""#,
    );
    let said = run(lot, "apply", &bad, &["--yes"])
        .exits(1)
        .says("what was deployed stays");
    // Whichever is known first ends the waiting; each is told as it is seen.
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
    // A later look sees it too, though there is nothing to deploy.
    run(lot, "check", &bad, &[])
        .exits(3)
        .says("running tasks: 0 -> 1");
}

fn rollback(lot: &Lot, web: &str) {
    let dying = COMPOSE.replacen(
        "command: sleep 3600\n    stop_grace_period: 100ms\n    secrets",
        "command: [sh, -c, 'exit 7']\n    stop_grace_period: 100ms\n    secrets",
        1,
    );
    assert_ne!(dying, COMPOSE);
    lot.write("web.yml", &dying);
    run(lot, "apply", web, &["--yes"])
        .exits(1)
        .says("web_db")
        .says("rolled back")
        .says("non-zero exit (7) (on docker01)");
    lot.write("web.yml", COMPOSE);
    // On a busy machine tasks take their time to come back.
    let lacking =
        "docker service ls --filter name=web_ --format '{{.Replicas}}' | grep -e '^0/' -e '^1/2'";
    lot.until(
        "docker01",
        &format!("! ({lacking})"),
        Duration::from_secs(60),
    );
    run(lot, "check", web, &[]).exits(0);
}

fn removal(lot: &Lot) {
    for name in ["bad", "web", "versions"] {
        let absent = playbook(
            lot,
            "absent",
            &format!(r#"name = "{name}", state = "absent""#),
        );
        run(lot, "apply", &absent, &["--yes"]).exits(0);
        run(lot, "check", &absent, &[]).exits(0);
    }
    let left = lot.on("docker01", "docker service ls -q; docker secret ls -q --filter label=com.docker.stack.namespace; docker config ls -q --filter label=com.docker.stack.namespace; docker network ls --filter label=com.docker.stack.namespace -q");
    assert_eq!(left, "");
}
