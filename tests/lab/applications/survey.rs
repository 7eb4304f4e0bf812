//! The survey system on three nodes, from its shipped playbook: the form is answered from outside,
//! answers survive the database's container and the stack, the web tier scales, and the queue form
//! stores answers too. PostgreSQL and Redis are Debian's, started like the official images; ports
//! are published on their hosts, since not every kernel has a routing mesh.

use std::process::Command;
use std::time::Duration;

use super::service_parts::{self, copy_image};
use crate::skep::{Said, skep};
use crate::test_lab::TestLab;

const PLAYBOOK: &str = "playbooks/survey.toml";
const PASSWORD: &str = "hunter2 and more";

/// Debian's PostgreSQL with the contract of the official image: `POSTGRES_PASSWORD_FILE`, `PGDATA`,
/// port 5432.
const DATABASE: &str = r#"set -e
mkdir -p /root/database && cd /root/database
cat >start <<'END'
#!/bin/sh
set -eu
PATH=$PATH:$(echo /usr/lib/postgresql/*/bin)
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb --pgdata="$PGDATA" --username=postgres --pwfile="$POSTGRES_PASSWORD_FILE" --auth=scram-sha-256 --locale=C.UTF-8
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
fi
exec postgres -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=/tmp
END
chmod 755 start
printf 'FROM postgresql:lab\nCOPY start /start\nUSER postgres\nCMD ["/start"]\n' >Dockerfile
docker build -q -t postgres:lab . >/dev/null
docker run --rm postgresql:lab id -u postgres"#;

/// Debian's Redis, on the official image's port.
const QUEUE: &str = r#"mkdir -p /root/queue && cd /root/queue
printf 'FROM redis-server:lab\nUSER redis\nCMD ["redis-server", "--bind", "*", "--protected-mode", "no", "--save", "", "--dir", "/tmp"]\n' >Dockerfile
docker build -q -t redis:lab ."#;

struct Survey<'a> {
    lab: &'a TestLab,
    account: String,
}

impl Survey<'_> {
    fn run(&self, verb: &str, more: &[&str]) -> Said {
        let account = format!("survey_database_account={}", self.account);
        let values = [
            "registry_image=registry:lab",
            "survey_base=python:lab",
            "survey_install=:",
            "survey_database_image=postgres:lab",
            "survey_queue_image=redis:lab",
            "published_mode=host",
            "endpoint_mode=dnsrr",
            &account,
        ];
        let mut arguments: Vec<&str> = values.iter().flat_map(|value| ["-e", value]).collect();
        arguments.extend(more);
        let mut command = self.lab.command(verb, PLAYBOOK, &arguments);
        Said::from(
            command
                .env("SURVEY_PASSWORD", PASSWORD)
                .output()
                .expect("skep starts"),
        )
        .does_not_say("hunter2")
    }

    /// Returns the answers shown by the first node that responds, requested from outside.
    fn answers(&self) -> String {
        let get = |node: &&str| curl(&[&format!("http://{}:2154/answers", self.lab.address(node))]);
        ["docker01", "docker02", "docker03"]
            .iter()
            .find_map(get)
            .unwrap_or_default()
    }

    fn answer(&self, name: &str) {
        let form = format!("name={name}&coat=tortie&donut=strawberry");
        let post = |node: &&str| {
            curl(&[
                "--data",
                &form,
                &format!("http://{}:2154/", self.lab.address(node)),
            ])
        };
        assert!(
            ["docker01", "docker02", "docker03"]
                .iter()
                .find_map(post)
                .is_some(),
            "no node takes the answer of {name}"
        );
    }

    fn until_answers_have(&self, name: &str) {
        let wanted = format!("{name} | tortie | strawberry");
        let started = std::time::Instant::now();
        let mut said = String::new();
        while started.elapsed() < Duration::from_secs(90) {
            said = self.answers();
            if said.contains(&wanted) {
                return;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        panic!("`{wanted}` was not answered within 90 s; last: {said}");
    }
}

/// Sends a request; returns the body if the status is a success.
fn curl(arguments: &[&str]) -> Option<String> {
    let output = Command::new("curl")
        .args(["-sS", "--fail", "--max-time", "5"])
        .args(arguments)
        .output()
        .expect("curl");
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn survey_keeps_data() {
    let lab = TestLab::with_docker("survey", &[]);
    lab.run(
        "apply",
        "playbooks/docker.toml",
        &["--yes", "-e", "insecure_registries=[\"docker01:5000\"]"],
    )
    .exits(0);
    lab.image("services", &["docker01"]);
    lab.image("registry", &["docker01"]);
    for part in [
        service_parts::PYTHON,
        service_parts::POSTGRESQL,
        service_parts::REDIS,
    ] {
        part.build(&lab, "docker01");
    }
    let account = lab.on("docker01", DATABASE).trim().to_owned();
    copy_image(&lab, "postgres:lab", "docker01", &["docker02"]);
    lab.on("docker01", QUEUE);
    copy_image(&lab, "redis:lab", "docker01", &["docker02", "docker03"]);
    let survey = Survey { lab: &lab, account };

    survey.run("plan", &[]).exits(0).says("stack[survey]");
    survey.run("apply", &["--yes"]).exits(0);
    survey.run("check", &[]).exits(0).says("In sync");
    survey.answer("Pika");
    survey.until_answers_have("Pika");

    // The database's container is killed: a new one finds the data.
    lab.on(
        "docker02",
        "docker kill $(docker ps -q --filter label=com.docker.swarm.service.name=survey_db)",
    );
    survey.until_answers_have("Pika");

    // Down and up: `check` reports the missing parts, `apply` restores them with their answers. The
    // stack's network may be in use for a moment longer: `docker stack rm` then removes the rest
    // and fails.
    lab.until(
        "docker01",
        "docker stack rm survey",
        Duration::from_secs(120),
    );
    // The command returns before it is done: each node removes networks and tasks later.
    for node in ["docker01", "docker02", "docker03"] {
        let gone = "! docker ps -a --format '{{.Names}}' | grep -q ^survey_ && ! docker network ls --format '{{.Name}}' | grep -q ^survey_";
        lab.until(node, gone, Duration::from_secs(60));
    }
    survey.run("check", &[]).exits(3).says("stack[survey]");
    survey.run("apply", &["--yes"]).exits(0);
    survey.until_answers_have("Pika");

    // With more replicas, and with the queue.
    survey
        .run(
            "apply",
            &[
                "--yes",
                "-e",
                "survey_replicas=3",
                "-e",
                "survey_queue=true",
            ],
        )
        .exits(0);
    survey.answer("Momo");
    survey.until_answers_have("Momo");
    survey
        .run(
            "check",
            &["-e", "survey_replicas=3", "-e", "survey_queue=true"],
        )
        .exits(0);
    skep(&["status", "-i", &lab.inventory()]).exits(0);
}
