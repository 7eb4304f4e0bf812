//! web2py from its shipped playbook, first on one node without a registry, then on three with the
//! same data: Apache passes requests to the application tier, which reads and writes the database;
//! tiers are tagged and untagged. Apache and MariaDB are Debian's, started like the official images
//! of httpd and MySQL; ports are published on their hosts, since not every kernel has a routing
//! mesh.

use std::process::Command;
use std::time::{Duration, Instant};

use super::service_parts;
use crate::skep::{Said, skep};
use crate::test_lab::TestLab;

const PLAYBOOK: &str = "playbooks/web2py.toml";
const NODES: [&str; 3] = ["docker01", "docker02", "docker03"];
const WAIT_LIMIT: Duration = Duration::from_secs(180);

/// Debian's Apache with the contract of the official image: /usr/local/apache2 with
/// conf/httpd.conf, modules and htdocs, port 80.
const APACHE: &str = r#"mkdir -p /root/httpd && cd /root/httpd
cat >httpd.conf <<'END'
ServerRoot /usr/local/apache2
Listen 80
PidFile /tmp/httpd.pid
LoadModule mpm_event_module modules/mod_mpm_event.so
LoadModule authz_core_module modules/mod_authz_core.so
LoadModule mime_module modules/mod_mime.so
TypesConfig /etc/mime.types
User www-data
Group www-data
DocumentRoot /usr/local/apache2/htdocs
ErrorLog /proc/self/fd/2
<Directory /usr/local/apache2/htdocs>
    Require all granted
</Directory>
END
cat >Dockerfile <<'END'
FROM apache:lab
RUN mkdir -p /usr/local/apache2/conf/extra /usr/local/apache2/htdocs && ln -s /usr/lib/apache2/modules /usr/local/apache2/modules
COPY httpd.conf /usr/local/apache2/conf/httpd.conf
STOPSIGNAL SIGWINCH
EXPOSE 80
CMD ["apache2", "-d", "/usr/local/apache2", "-f", "conf/httpd.conf", "-DFOREGROUND"]
END
docker build -q -t httpd:lab ."#;

/// Debian's MariaDB with the contract of MySQL's official image: `MYSQL_*`, /etc/mysql/conf.d,
/// /docker-entrypoint-initdb.d, /var/lib/mysql of account 999, port 3306.
const DATABASE: &str = r#"mkdir -p /root/mysql && cd /root/mysql
cat >start <<'END'
#!/bin/sh
set -eu
data=/var/lib/mysql socket=/tmp/mysqld.sock
if [ ! -d $data/mysql ]; then
  mariadb-install-db --no-defaults --datadir=$data --auth-root-authentication-method=normal --skip-test-db >/dev/null
  mariadbd --datadir=$data --socket=$socket --pid-file=/tmp/mysqld.pid --skip-networking & first=$!
  until mariadb-admin --no-defaults --socket=$socket --user=root ping >/dev/null 2>&1; do kill -0 $first; sleep 0.2; done
  mariadb --no-defaults --socket=$socket --user=root <<SQL
CREATE DATABASE $MYSQL_DATABASE;
CREATE USER '$MYSQL_USER'@'%' IDENTIFIED BY '$(cat "$MYSQL_PASSWORD_FILE")';
GRANT ALL ON $MYSQL_DATABASE.* TO '$MYSQL_USER'@'%';
USE $MYSQL_DATABASE;
$(cat /docker-entrypoint-initdb.d/*.sql)
ALTER USER root@localhost IDENTIFIED BY '$(cat "$MYSQL_ROOT_PASSWORD_FILE")';
SQL
  kill $first && wait $first
fi
exec mariadbd --datadir=$data --socket=$socket --pid-file=/tmp/mysqld.pid --bind-address=*
END
chmod 755 start
printf 'FROM mariadb:lab\nCOPY start /start\nUSER 999:999\nEXPOSE 3306\nCMD ["/start"]\n' >Dockerfile
docker build -q -t mysql:lab ."#;

struct Web2py<'a> {
    lab: &'a TestLab,
}

impl Web2py<'_> {
    fn run(&self, verb: &str, inventory: &str, more: &[&str]) -> Said {
        let values = [
            "web2py_deploy=true",
            "registry_image=registry:lab",
            "web2py_apache2_base=httpd:lab",
            "web2py_python_base=python:lab",
            "web2py_python_install=:",
            "web2py_mysql5_base=mysql:lab",
            "published_mode=host",
            "endpoint_mode=dnsrr",
        ];
        let mut arguments = vec![verb, "-i", inventory, PLAYBOOK];
        arguments.extend(values.iter().flat_map(|value| ["-e", value]));
        arguments.extend(more);
        let mut command = crate::skep::command(&arguments);
        command
            .env("WEB2PY_PASSWORD", "hunter2 and more")
            .env("WEB2PY_ROOT_PASSWORD", "hunter2 of root");
        Said::from(command.output().expect("skep starts")).does_not_say("hunter2")
    }

    /// Writes the lab's inventory with these hosts only, each in these groups.
    fn inventory(&self, name: &str, hosts: &[(&str, &[&str])]) -> String {
        let mut table: toml::Table = std::fs::read_to_string(self.lab.inventory())
            .unwrap()
            .parse()
            .unwrap();
        let all = table["hosts"].as_table_mut().unwrap();
        all.retain(|host, _| hosts.iter().any(|(kept, _)| **kept == *host));
        for (host, groups) in hosts {
            all[*host]["groups"] = groups
                .iter()
                .map(|group| toml::Value::from(*group))
                .collect::<Vec<_>>()
                .into();
        }
        table.insert("groups".to_owned(), toml::toml! { workers = {} }.into());
        self.lab.write(name, &toml::to_string(&table).unwrap())
    }

    /// Waits until Apache on a node answers with this text, requested from outside; returns the
    /// page.
    #[track_caller]
    fn until_says(&self, node: &str, path: &str, wanted: &str) -> String {
        let address = format!("http://{}{path}", self.lab.address(node));
        let started = Instant::now();
        loop {
            let said = curl(&[&address]);
            match said {
                Ok(text) if text.contains(wanted) => return text,
                said => assert!(
                    started.elapsed() < WAIT_LIMIT,
                    "`{wanted}` did not come from {address}: {said:?}"
                ),
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Adds a note through Apache on a node. A failed request may still have written the note, so a
    /// second try may write it twice.
    #[track_caller]
    fn note(&self, node: &str, text: &str) {
        let address = format!("http://{}/", self.lab.address(node));
        let started = Instant::now();
        while let Err(said) = curl(&["--data-urlencode", &format!("text={text}"), &address]) {
            assert!(
                started.elapsed() < WAIT_LIMIT,
                "{address} takes no note: {said}"
            );
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn label(&self, node: &str) -> String {
        self.lab.on(
            "docker01",
            &format!("docker node inspect {node} --format '{{{{json .Spec.Labels}}}}'"),
        )
    }

    /// Returns the nodes on which tasks of a service run.
    fn nodes_of(&self, service: &str) -> String {
        let list = format!(
            "docker service ps {service} --filter desired-state=running --format '{{{{.Node}}}}' | sort | tr '\\n' ' '"
        );
        self.lab.on("docker01", &list)
    }
}

/// Sends a request; returns the body, or the reason of a failure.
fn curl(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("curl")
        .args(["-sS", "--fail", "--max-time", "10"])
        .args(arguments)
        .output()
        .expect("curl");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

const DATABASE_CONTAINER: &str =
    "docker ps -q --filter label=com.docker.swarm.service.name=web2py_mysql5";

#[test]
fn web2py_on_one_and_three_nodes() {
    let lab = TestLab::with_docker("web2py", &[]);
    lab.run(
        "apply",
        "playbooks/docker.toml",
        &["--yes", "-e", "insecure_registries=[\"docker01:5000\"]"],
    )
    .exits(0);
    // Only docker01 has the base images; the other nodes have nothing but images that they pull.
    lab.image("services", &["docker01"]);
    lab.image("registry", &["docker01"]);
    for part in [
        service_parts::PYTHON,
        service_parts::APACHE,
        service_parts::MARIADB,
    ] {
        part.build(&lab, "docker01");
    }
    lab.on("docker01", APACHE);
    lab.on("docker01", DATABASE);
    let web2py = Web2py { lab: &lab };

    let one = web2py.inventory("one.toml", &[("docker01", &["managers", "db"])]);
    let single = [
        "-e",
        "web2py_registry=",
        "-e",
        "web2py_replicas=1",
        "-e",
        "web2py_python_replicas=1",
    ];
    web2py
        .run("plan", &one, &single)
        .exits(0)
        .says("stack[web2py]");
    web2py
        .run("apply", &one, &[&single[..], &["--yes"]].concat())
        .exits(0);
    web2py.run("check", &one, &single).exits(0).says("In sync");
    web2py.note("docker01", "from one node");
    web2py.until_says("docker01", "/", "from one node");
    assert_eq!(web2py.label("docker01"), r#"{"web2py.tier.db":"true"}"#);

    scale_to_three_nodes(&lab, &web2py);
}

fn scale_to_three_nodes(lab: &TestLab, web2py: &Web2py<'_>) {
    let tiers = ["workers", "web", "app"];
    let first: &[&str] = &["managers", "registry", "db", "web", "app"];
    let all = web2py.inventory(
        "all.toml",
        &[
            ("docker01", first),
            ("docker02", &tiers),
            ("docker03", &tiers),
        ],
    );
    lab.on("docker02", "mkdir -p /srv/web2py/apache2/htdocs/static && echo 'served by Apache' >/srv/web2py/apache2/htdocs/static/own.txt");
    web2py.run("apply", &all, &["--yes"]).exits(0);
    web2py.run("check", &all, &[]).exits(0).says("In sync");
    assert_eq!(
        web2py.nodes_of("web2py_apache2"),
        "docker01 docker02 docker03"
    );
    assert_eq!(
        web2py.nodes_of("web2py_python"),
        "docker01 docker02 docker03"
    );
    assert_eq!(
        web2py.label("docker03"),
        r#"{"web2py.tier.app":"true","web2py.tier.web":"true"}"#
    );
    let images = skep(&["status", "-i", &all, "--images"]).exits(0).stdout;
    for image in ["web2py_apache2", "web2py_python", "web2py_mysql5"] {
        assert!(
            images.contains(image),
            "{image} is not in the registry:\n{images}"
        );
    }
    let pulled = lab.on(
        "docker02",
        "docker image ls --format '{{.Repository}}' | sort -u",
    );
    assert_eq!(
        pulled, "docker01:5000/web2py_apache2\ndocker01:5000/web2py_python",
        "all that docker02 has was pulled"
    );

    // Read and write through every node; the row of the single node must still exist.
    for node in NODES {
        web2py.note(node, &format!("through {node}"));
    }
    for node in NODES {
        let said = web2py.until_says(node, "/", "through docker03");
        assert!(
            said.contains("from one node") && said.contains("through docker01"),
            "{node} says: {said}"
        );
    }
    web2py.until_says("docker02", "/static/own.txt", "served by Apache");

    // The database's container is killed: its successor has the rows and its own settings, and
    // accepts writes.
    let before = lab.on("docker01", DATABASE_CONTAINER);
    lab.on("docker01", &format!("docker kill {before}"));
    lab.until(
        "docker01",
        &format!("new=$({DATABASE_CONTAINER}) && [ -n \"$new\" ] && [ \"$new\" != {before} ]"),
        WAIT_LIMIT,
    );
    for node in NODES {
        web2py.until_says(node, "/", "from one node");
    }
    web2py.note("docker03", "after the kill");
    let query = "SELECT text FROM notes; SELECT @@max_connections, @@character_set_server";
    let ask = format!(
        "docker exec $({DATABASE_CONTAINER}) sh -c 'mariadb --no-defaults -N -S /tmp/mysqld.sock -uroot -p\"$(cat $MYSQL_ROOT_PASSWORD_FILE)\" web2py -e \"{query}\"'"
    );
    let rows = lab.on("docker01", &ask);
    for row in [
        "from one node",
        "through docker02",
        "after the kill",
        "200\tutf8mb4",
    ] {
        assert!(
            rows.contains(row),
            "`{row}` is not in the database:\n{rows}"
        );
    }

    // docker03 is no longer tagged for the application tier, and its Apache uses the tasks on the
    // other nodes.
    let fewer = web2py.inventory(
        "fewer.toml",
        &[
            ("docker01", first),
            ("docker02", &tiers),
            ("docker03", &["workers", "web"]),
        ],
    );
    let two = ["-e", "web2py_python_replicas=2"];
    web2py
        .run("plan", &fewer, &two)
        .exits(0)
        .says("label web2py.tier.app: true -> (absent)");
    web2py
        .run("apply", &fewer, &[&two[..], &["--yes"]].concat())
        .exits(0);
    assert_eq!(web2py.label("docker03"), r#"{"web2py.tier.web":"true"}"#);
    assert_eq!(web2py.nodes_of("web2py_python"), "docker01 docker02");
    web2py.until_says("docker03", "/", "after the kill");
    web2py.run("check", &fewer, &two).exits(0).says("In sync");
    database_stays_with_its_data(web2py);
}

/// Puts another host into the group `db`: the label would move to it, and the database would start
/// there without data.
fn database_stays_with_its_data(web2py: &Web2py<'_>) {
    let hosts: [(&str, &[&str]); 3] = [
        ("docker01", &["managers", "registry", "web", "app"]),
        ("docker02", &["workers", "web", "app", "db"]),
        ("docker03", &["workers", "web"]),
    ];
    let moved = web2py.inventory("moved.toml", &hosts);
    let said = web2py
        .run("plan", &moved, &["-e", "web2py_python_replicas=2"])
        .exits(1);
    said.says("would bring services to docker02, whose /srv/web2py/mysql5/datadir is empty")
        .says("the volume web2py is on docker01");
    web2py.lab.on(
        "docker01",
        "grep -q web2py /srv/web2py/mysql5/datadir/.skep-volume",
    );
    web2py.lab.on(
        "docker02",
        "! test -e /srv/web2py/mysql5/datadir/.skep-volume",
    );
    // The database must also keep running where it is.
    let said = web2py
        .run(
            "apply",
            &moved,
            &["--yes", "-e", "web2py_python_replicas=2"],
        )
        .exits(1);
    said.says("docker01 has the volume web2py")
        .says("without the label web2py.tier.db=true, the services that use it would stop");
    assert!(web2py.label("docker01").contains("web2py.tier.db"));
    web2py.until_says("docker03", "/", "after the kill");
}
