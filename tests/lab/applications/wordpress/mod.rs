//! WordPress on two nodes, from its shipped playbook: the development form, then the production
//! form with another password and with monitoring. Caddy, WordPress, Apache, PHP, MariaDB, Adminer,
//! Prometheus and its blackbox exporter are Debian's, started like the official images; Grafana is
//! a stand-in. Ports are published on their hosts, since not every kernel has a routing mesh.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::skep::{Said, root};
use crate::test_lab::TestLab;

const PLAYBOOK: &str = "playbooks/wordpress.toml";
const STAND_INS: &str = include_str!("stand_ins.sh");
const NODES: [&str; 2] = ["docker01", "docker02"];
/// First password of the administrator, and the password after the change.
const PASSWORDS: [&str; 2] = ["hunter2: first, $HOME", "hunter2: second"];
/// A generous time limit: it is only reached if a feature does not work or the machine is busy.
const WAIT_LIMIT: Duration = Duration::from_secs(180);

struct WordPress {
    lab: TestLab,
    accounts: [String; 2],
}

impl WordPress {
    /// Runs a verb with a form and a password.
    fn run(&self, verb: &str, form: &str, password: &str, more: &[&str]) -> Said {
        let [database, web] = &self.accounts;
        let values = [
            &format!("wordpress_form={form}"),
            &format!("wordpress_database_account={database}"),
            &format!("wordpress_account={web}"),
            "registry_image=registry:lab",
            "wordpress_image=wordpress:lab",
            // WordPress would wait for external servers, and none can be reached.
            "wordpress_config_extra=define('WP_HTTP_BLOCK_EXTERNAL', true);",
            "wordpress_database_image=mariadb:lab",
            "wordpress_adminer_image=adminer:lab",
            "wordpress_caddy_base=caddy:lab",
            "wordpress_prometheus_image=prometheus:lab",
            "wordpress_blackbox_image=blackbox:lab",
            "wordpress_grafana_image=grafana-stand-in:lab",
            "wordpress_exporter_base=python:lab",
            "wordpress_scrape_interval=3s",
            "wordpress_alert_after=0s",
            "published_mode=host",
            "endpoint_mode=dnsrr",
        ];
        let mut arguments: Vec<&str> = values.iter().flat_map(|value| ["-e", value]).collect();
        arguments.extend(more);
        let mut command = self.lab.command(verb, PLAYBOOK, &arguments);
        command.envs([("LB_ADMIN_USER", "admin"), ("LB_ADMIN_PASS", password)]);
        command.envs([
            ("WP_DB_PASS", "hunter2 of wp"),
            ("DB_ROOT_PASS", "hunter2 of root"),
        ]);
        Said::from(command.output().expect("skep starts")).does_not_say("hunter2")
    }

    /// Sends a request to a node from outside; returns the status (0: no answer) and the body.
    fn get(&self, node: &str, rest: &str, password: Option<&str>, more: &[&str]) -> (u16, String) {
        let mut command = Command::new("curl");
        command
            .args([
                "-sS",
                "--location",
                "--max-time",
                "100",
                "--write-out",
                "\n%{http_code}",
            ])
            .args(more);
        if let Some(password) = password {
            command.args(["--user", &format!("admin:{password}")]);
        }
        let output = command
            .arg(format!("http://{}{rest}", self.lab.address(node)))
            .output()
            .expect("curl");
        let text = String::from_utf8_lossy(&output.stdout);
        let (body, status) = text.rsplit_once('\n').unwrap_or_default();
        (status.parse().unwrap_or_default(), body.to_owned())
    }

    /// Waits until the node answers with this status and text.
    #[track_caller]
    fn until(&self, node: &str, rest: &str, password: Option<&str>, wanted: (u16, &str)) {
        until(wanted.1, || {
            let (status, body) = self.get(node, rest, password, &[]);
            let good = status == wanted.0 && body.contains(wanted.1);
            if good {
                Ok(())
            } else {
                Err(format!("{node}{rest}: {status}\n{body}"))
            }
        });
    }

    /// Queries Prometheus through its Caddy.
    fn prometheus(&self, path: &str) -> Value {
        let (status, body) = self.get(
            "docker01",
            &format!(":9090/api/v1/{path}"),
            Some(PASSWORDS[1]),
            &[],
        );
        serde_json::from_str(&body)
            .unwrap_or_else(|_| serde_json::json!({ "status": status, "body": body }))
    }

    /// Waits until an alert for a service fires, or no longer fires.
    #[track_caller]
    fn until_alert(&self, service: &str, fires: bool) {
        until(service, || {
            let said = self.prometheus("alerts");
            let Some(alerts) = said["data"]["alerts"].as_array() else {
                return Err(said.to_string());
            };
            let found = alerts.iter().any(|alert| {
                alert["labels"]["alertname"] == "ServiceLacksReplicas"
                    && alert["labels"]["service"] == service
                    && alert["state"] == "firing"
            });
            if found == fires {
                Ok(())
            } else {
                Err(said.to_string())
            }
        });
    }
}

/// Retries until the check succeeds.
#[track_caller]
fn until(what: &str, mut attempt: impl FnMut() -> Result<(), String>) {
    let started = Instant::now();
    while let Err(why) = attempt() {
        assert!(
            started.elapsed() < WAIT_LIMIT,
            "`{what}` is still not so: {why}"
        );
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn set_up() -> WordPress {
    let lab = TestLab::with_docker("wordpress", &["--managers", "1", "--workers", "1"]);
    lab.run("apply", "playbooks/docker.toml", &["--yes"])
        .exits(0);
    lab.image("services", &[]);
    lab.image("busybox", &[]);
    lab.image("registry", &["docker01"]);
    std::thread::scope(|scope| {
        for node in NODES {
            let lab = &lab;
            scope.spawn(move || lab.on(node, STAND_INS));
        }
    });
    let account = |name: &str| {
        lab.on(
            "docker02",
            &format!("docker run --rm services:lab id -u {name}"),
        )
    };
    let accounts = [account("mysql"), account("www-data")];
    WordPress { lab, accounts }
}

/// Installs WordPress through its web form, with a title that is then in the database.
fn install(system: &WordPress) {
    system.until(
        "docker01",
        ":80/wp-admin/install.php",
        None,
        (200, "weblog_title"),
    );
    let form = "weblog_title=Kept+in+a+skep&user_name=admin&admin_password=admin-of-it&admin_password2=admin-of-it&pw_weak=on\
                &admin_email=admin@domain.test&blog_public=0&language=";
    let (status, body) = system.get(
        "docker01",
        ":80/wp-admin/install.php?step=2",
        None,
        &["--data", form],
    );
    assert!(
        status == 200 && body.contains("Success"),
        "{status}\n{body}"
    );
}

/// Checks for 401 without the password and with another one, and 200 with the password.
fn adminer_requires_password(system: &WordPress, password: &str, wrong: &str) {
    for node in NODES {
        system.until(node, ":8888/", Some(password), (200, "Adminer"));
        assert_eq!(system.get(node, ":8888/", None, &[]).0, 401);
        assert_eq!(system.get(node, ":8888/", Some(wrong), &[]).0, 401);
    }
}

/// Logs in through Adminer and expects WordPress's own tables.
fn adminer_reaches_the_database(system: &WordPress) {
    let jar = system.lab.path("cookies");
    let mut arguments = vec!["--cookie", &jar, "--cookie-jar", &jar];
    for field in [
        "auth[driver]=server",
        "auth[server]=tasks.mariadb",
        "auth[username]=wp",
        "auth[password]=hunter2 of wp",
        "auth[db]=wp_dbase",
    ] {
        arguments.extend(["--data-urlencode", field]);
    }
    let (status, body) = system.get("docker01", ":8888/", Some(PASSWORDS[0]), &arguments);
    assert!(
        status == 200 && body.contains("wp_posts"),
        "{status}\n{body}"
    );
}

fn development(system: &WordPress) {
    let lab = &system.lab;
    let run = |verb: &str, more: &[&str]| system.run(verb, "development", PASSWORDS[0], more);
    run("plan", &[])
        .exits(0)
        .says("stack[wpstack]")
        .does_not_say("prometheus");
    run("apply", &["--yes"]).exits(0);
    install(system);
    for node in NODES {
        system.until(node, ":80/", None, (200, "Kept in a skep"));
    }
    adminer_requires_password(system, PASSWORDS[0], PASSWORDS[1]);
    adminer_reaches_the_database(system);
    run("check", &[]).exits(0).says("In sync");
    // docker01 pushed, docker02 pulled, over TLS.
    let pulled = lab.on(
        "docker02",
        "docker image ls --digests --format '{{.Repository}}@{{.Digest}}'",
    );
    assert!(
        pulled.contains("registry.dream:5001/wordpress-caddy@sha256:"),
        "{pulled}"
    );
    lab.on(
        "docker02",
        "curl -sf --cacert /etc/docker/certs.d/registry.dream:5001/ca.crt https://registry.dream:5001/v2/",
    );

    lab.on("docker02", "test -s /srv/wordpress/.skep-volume");
    // Both containers are killed, and new ones find their data.
    for service in ["mariadb", "wordpress"] {
        lab.on(
            "docker02",
            &format!("docker kill $(docker ps -q --filter label=com.docker.swarm.service.name=wpstack_{service})"),
        );
    }
    system.until("docker01", ":80/", None, (200, "Kept in a skep"));
}

/// Checks that every target is up, that the probes from outside have the expected results, and that
/// all data of the dashboard exists.
fn monitoring(system: &WordPress) {
    until("all targets are up", || {
        let said = system.prometheus("targets?state=active");
        let targets = said["data"]["activeTargets"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let up = targets
            .iter()
            .filter(|target| target["health"] == "up")
            .count();
        if up == 5 && targets.len() == 5 {
            Ok(())
        } else {
            Err(said.to_string())
        }
    });
    until("both probes succeed", || {
        let said = system.prometheus("query?query=probe_http_status_code+and+probe_success==1");
        let results = said["data"]["result"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let mut seen: Vec<_> = results
            .iter()
            .map(|one| (one["metric"]["job"].as_str(), one["value"][1].as_str()))
            .collect();
        seen.sort_unstable();
        let wanted = [
            (Some("adminer"), Some("401")),
            (Some("wordpress"), Some("200")),
        ];
        if seen == wanted {
            Ok(())
        } else {
            Err(said.to_string())
        }
    });
    for port in [":3000/", ":9090/", ":9115/"] {
        assert_eq!(system.get("docker02", port, None, &[]).0, 401, "{port}");
    }
    let dashboard =
        std::fs::read_to_string(root().join("templates/wordpress/grafana_services.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    system.until(
        "docker02",
        ":3000/api/search",
        Some(PASSWORDS[1]),
        (200, dashboard["title"].as_str().unwrap()),
    );
    for panel in dashboard["panels"].as_array().unwrap() {
        let query = format!("query={}", panel["targets"][0]["expr"].as_str().unwrap());
        let proxied = ":3000/api/datasources/proxy/uid/prometheus/api/v1/query";
        until(&query, || {
            let (status, body) = system.get(
                "docker02",
                proxied,
                Some(PASSWORDS[1]),
                &["--get", "--data-urlencode", &query],
            );
            if body.contains(r#""metric""#) {
                Ok(())
            } else {
                Err(format!("{status} {body}"))
            }
        });
    }
}

fn production(system: &WordPress) {
    let lab = &system.lab;
    let run = |verb: &str, more: &[&str]| system.run(verb, "production", PASSWORDS[1], more);
    run("apply", &["--yes"]).exits(0);
    run("check", &[]).exits(0).says("In sync");
    adminer_requires_password(system, PASSWORDS[1], PASSWORDS[0]);
    system.until("docker02", ":80/", None, (200, "Kept in a skep"));
    monitoring(system);

    // More replicas than can run: one node has the data, and takes one task.
    lab.on(
        "docker01",
        "docker service scale --detach wpstack_wordpress=3",
    );
    system.until_alert("wpstack_wordpress", true);
    run("check", &[])
        .exits(3)
        .says("wpstack_wordpress replicas: 3 -> 1");
    run("apply", &["--yes"]).exits(0);
    system.until_alert("wpstack_wordpress", false);

    // A return to development would remove the monitoring.
    system
        .run("plan", "development", PASSWORDS[1], &[])
        .exits(0)
        .says("monitoring_prometheus");

    // Tasks of a lost node do not count as running, whatever the last reported state was.
    lab.cut_power("docker02");
    system.until_alert("wpstack_mariadb", true);
}

#[test]
fn wordpress_development_and_production() {
    let system = set_up();
    development(&system);
    production(&system);
}
