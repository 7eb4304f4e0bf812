//! The guestbook from its shipped playbook on four nodes: two instances of the web tier, never on
//! the same node; the database on the node with size=big; and a front that answers all requests
//! while the node of an instance loses power. nginx is Debian's. Debian has no MongoDB, so a
//! stand-in implements enough of its wire protocol for the real driver (`guestbook/mongod.py`).

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::service_parts::{self, copy_image};
use crate::skep::Said;
use crate::test_lab::TestLab;

const PLAYBOOK: &str = "playbooks/guestbook.toml";
const WAIT_LIMIT: Duration = Duration::from_secs(240);
/// Node with `size=big`.
const BIG: &str = "docker04";

/// Debian's nginx, which reads /etc/nginx/conf.d as the official image does.
const FRONT: &str = r#"mkdir -p /root/front && cd /root/front
printf 'FROM nginx-php:lab\nRUN rm -f /etc/nginx/sites-enabled/*\nEXPOSE 80\nCMD ["nginx", "-g", "daemon off;"]\n' >Dockerfile
docker build -q -t nginx:lab ."#;

/// The stand-in for MongoDB, with path, port and account of the official image.
const DATABASE: &str = r#"cd /root/mongo
printf 'FROM python:lab\nCOPY mongod.py /mongod.py\nUSER 999:999\nEXPOSE 27017\nCMD ["python3", "/mongod.py"]\n' >Dockerfile
docker build -q -t mongo:lab ."#;

struct Guestbook<'a> {
    lab: &'a TestLab,
    inventory: String,
}

impl<'a> Guestbook<'a> {
    /// Writes the lab's inventory with a size for each worker.
    fn new(lab: &'a TestLab) -> Self {
        let mut table: toml::Table = std::fs::read_to_string(lab.inventory())
            .unwrap()
            .parse()
            .unwrap();
        for (name, host) in table["hosts"].as_table_mut().unwrap() {
            let size = match name.as_str() {
                "docker01" => continue,
                BIG => "big",
                _ => "small",
            };
            host["vars"]
                .as_table_mut()
                .unwrap()
                .insert("size".to_owned(), size.into());
        }
        let inventory = lab.write("sizes.toml", &toml::to_string(&table).unwrap());
        Self { lab, inventory }
    }

    fn run(&self, verb: &str, more: &[&str]) -> Said {
        let values = [
            "registry_image=registry:lab",
            "guestbook_base=python:lab",
            "guestbook_install=:",
            "guestbook_front_image=nginx:lab",
            "guestbook_database_image=mongo:lab",
            "published_mode=host",
            "endpoint_mode=dnsrr",
        ];
        let mut arguments = vec![verb, "-i", &self.inventory, PLAYBOOK];
        arguments.extend(values.iter().flat_map(|value| ["-e", value]));
        arguments.extend(more);
        Said::from(
            crate::skep::command(&arguments)
                .output()
                .expect("skep starts"),
        )
    }

    /// Sends one request to the front, from outside.
    fn front(&self, more: &[&str]) -> Result<String, String> {
        let address = format!("http://{}/", self.lab.address("docker01"));
        let output = Command::new("curl")
            .args(["-sS", "--fail", "--max-time", "60"])
            .args(more)
            .arg(address)
            .output();
        let output = output.expect("curl");
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }

    #[track_caller]
    fn sign(&self, name: &str) {
        let started = Instant::now();
        while let Err(said) = self.front(&["--data", &format!("name={name}&message=was+here")]) {
            assert!(started.elapsed() < WAIT_LIMIT, "{name} cannot sign: {said}");
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Waits until the book contains an entry of this name.
    #[track_caller]
    fn until_signed_by(&self, name: &str) {
        let started = Instant::now();
        loop {
            match self.front(&[]) {
                Ok(text) if text.contains(&format!("<li>{name}: was here</li>")) => return,
                said => assert!(
                    started.elapsed() < WAIT_LIMIT,
                    "{name} is not in the book: {said:?}"
                ),
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Returns the nodes with running instances of a service, according to the swarm.
    fn nodes_of(&self, service: &str) -> Vec<String> {
        let list = format!(
            "docker service ps guestbook_{service} --filter desired-state=running --format '{{{{.Node}}}} {{{{.CurrentState}}}}' | sort"
        );
        let text = self.lab.on("docker01", &list);
        let running = text.lines().filter_map(|line| line.split_once(" Running "));
        running.map(|(node, _)| node.to_owned()).collect()
    }

    /// Cuts the power of a node, waits until its instance runs elsewhere, and returns the nodes of
    /// the instances. Requests are sent to the front without a pause from before the power cut on,
    /// and each must be answered.
    fn lose(&self, lost: &str) -> Vec<String> {
        let moved = AtomicBool::new(false);
        std::thread::scope(|threads| {
            let asking = threads.spawn(|| {
                let mut asked = 0;
                while !moved.load(Ordering::Relaxed) {
                    let said = self.front(&[]);
                    asked += 1;
                    if !said.as_ref().is_ok_and(|text| text.contains("Ada")) {
                        return Err(format!("request {asked} was lost: {said:?}"));
                    }
                }
                Ok(asked)
            });
            self.lab.cut_power(lost);
            let started = Instant::now();
            let mut nodes = self.nodes_of("web");
            while nodes.len() != 2 || nodes.iter().any(|node| node == lost) {
                if started.elapsed() > WAIT_LIMIT || asking.is_finished() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(500));
                nodes = self.nodes_of("web");
            }
            moved.store(true, Ordering::Relaxed);
            let asked = asking
                .join()
                .unwrap()
                .unwrap_or_else(|lost| panic!("{lost}"));
            assert!(asked > 10, "only {asked} requests were made");
            assert!(
                !nodes.iter().any(|node| node == lost),
                "the instance of {lost} did not move: {nodes:?}"
            );
            nodes
        })
    }
}

#[test]
fn guestbook_survives_node_loss() {
    let lab = TestLab::with_docker("guestbook", &["--managers", "1", "--workers", "3"]);
    lab.run(
        "apply",
        "playbooks/docker.toml",
        &["--yes", "-e", "insecure_registries=[\"docker01:5000\"]"],
    )
    .exits(0);
    lab.image("services", &["docker01"]);
    lab.image("registry", &["docker01"]);
    service_parts::PYTHON.build(&lab, "docker01");
    service_parts::NGINX_PHP.build(&lab, "docker01");
    copy_image(&lab, service_parts::PYTHON.image, "docker01", &[BIG]);
    lab.on("docker01", FRONT);
    lab.on(BIG, "mkdir -p /root/mongo");
    lab.put(
        BIG,
        concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/lab/applications/guestbook/mongod.py"
        ),
        "/root/mongo/mongod.py",
    );
    lab.on(BIG, DATABASE);
    let guestbook = Guestbook::new(&lab);

    guestbook
        .run("plan", &[])
        .exits(0)
        .says("stack[guestbook]")
        .says("label size big");
    guestbook.run("apply", &["--yes"]).exits(0);
    guestbook.run("check", &[]).exits(0).says("In sync");
    assert_eq!(guestbook.nodes_of("mongodb"), [BIG]);
    lab.on(BIG, "grep -q guestbook /srv/guestbook/.skep-volume");
    assert_eq!(guestbook.nodes_of("front"), ["docker01"]);
    guestbook.sign("Ada");
    guestbook.until_signed_by("Ada");

    // The node that loses power has an instance, but not the database.
    let before = guestbook.nodes_of("web");
    assert!(
        before.len() == 2 && before[0] != before[1],
        "never two on one node: {before:?}"
    );
    let lost = before.iter().find(|node| *node != BIG).unwrap();
    let after = guestbook.lose(lost);
    assert!(
        after.len() == 2 && after[0] != after[1],
        "never two on one node: {after:?}"
    );
    guestbook.sign("Grace");
    guestbook.until_signed_by("Grace");

    // The node comes back and gets no instance: the swarm moves no task without need, and all is in
    // sync.
    lab.fault("start", lost);
    lab.until(
        "docker01",
        &format!(
            "docker node ls --format '{{{{.Hostname}}}} {{{{.Status}}}}' | grep -x '{lost} Ready'"
        ),
        WAIT_LIMIT,
    );
    guestbook.run("check", &[]).exits(0).says("In sync");
    assert_eq!(guestbook.nodes_of("web"), after);

    // A new container of the database has all entries.
    let database = "docker ps -q --filter label=com.docker.swarm.service.name=guestbook_mongodb";
    let killed = lab.on(BIG, database);
    lab.on(BIG, &format!("docker kill {killed}"));
    lab.until(
        BIG,
        &format!("new=$({database}) && [ -n \"$new\" ] && [ \"$new\" != {killed} ]"),
        WAIT_LIMIT,
    );
    guestbook.until_signed_by("Ada");
    guestbook.until_signed_by("Grace");
}
