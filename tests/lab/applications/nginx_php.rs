//! nginx and PHP on five nodes, from the shipped playbook: the page on every node and through each
//! balancer, changes of the upstream list without a lost request, and a manager that loses power.
//! The pages are plain directories, since not every kernel mounts NFS; the NFS server is
//! provisioned as far as the kernel permits.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::service_parts::{self, copy_image};
use crate::skep::Said;
use crate::test_lab::TestLab;

const PLAYBOOK: &str = "playbooks/nginx-php.toml";
const NODES: [&str; 5] = ["docker01", "docker02", "docker03", "docker04", "docker05"];
const BALANCERS: [&str; 3] = ["docker01", "docker02", "docker03"];
/// Time limit for operations that are slow on a busy machine.
const WAIT_LIMIT: Duration = Duration::from_secs(240);

fn run(lab: &TestLab, verb: &str, more: &[&str]) -> Said {
    let values = [
        "registry_image=registry:lab",
        "nginx_php_base=nginx-php:lab",
        "nginx_php_install=:",
        "nginx_php_balancer_image=nginx-php:lab",
        "nginx_php_content=directory",
    ];
    let mut arguments: Vec<&str> = values.iter().flat_map(|value| ["-e", value]).collect();
    arguments.extend(more);
    lab.run(verb, PLAYBOOK, &arguments)
}

/// Sends a request; returns the body, or the reason of a failure.
fn get(url: &str, seconds: &str) -> Result<String, String> {
    let output = Command::new("curl")
        .args(["-sS", "--fail", "--max-time", seconds, url])
        .output()
        .expect("curl");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

/// Returns the node that the text of a page names.
fn node_of(page: &str) -> Option<&str> {
    page.split("You have reached ").nth(1)?.split('.').next()
}

/// Returns the nodes that answer forty requests to a balancer, each on a new connection.
fn behind(address: &str) -> BTreeSet<String> {
    let output = Command::new("curl")
        .args(["-sS", "--max-time", "20", "-H", "Connection: close"])
        .arg(format!("http://{address}/?[1-40]"))
        .output()
        .expect("curl");
    let pages = String::from_utf8_lossy(&output.stdout);
    let nodes = pages.split("You have reached ").skip(1);
    nodes
        .filter_map(|page| page.split('.').next().map(str::to_owned))
        .collect()
}

/// Waits until exactly these nodes are behind a balancer.
fn until_behind(address: &str, wanted: &[&str]) {
    let wanted: BTreeSet<String> = wanted.iter().map(|&node| node.to_owned()).collect();
    let started = Instant::now();
    loop {
        let seen = behind(address);
        if seen == wanted {
            return;
        }
        assert!(
            started.elapsed() < WAIT_LIMIT,
            "behind {address}: {seen:?}, wanted {wanted:?}"
        );
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Visitors that send requests repeatedly, each on a new connection.
struct Visitors {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<(usize, Vec<String>)>>,
}

impl Visitors {
    fn of(urls: impl IntoIterator<Item = String>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let visitor = |url: String| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                let (mut answered, mut lost) = (0, Vec::new());
                while !stop.load(Ordering::Relaxed) {
                    match get(&url, "60") {
                        Ok(_) => answered += 1,
                        Err(why) => lost.push(format!("{url}: {why}")),
                    }
                    std::thread::sleep(Duration::from_millis(200));
                }
                (answered, lost)
            })
        };
        let threads = urls.into_iter().map(visitor).collect();
        Self { stop, threads }
    }

    /// Stops the visitors. Each must have had answers, and none may have lost a request.
    #[track_caller]
    fn lost_nothing(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            let (answered, lost) = thread.join().unwrap();
            assert!(
                lost.is_empty(),
                "{} of {} requests were lost: {lost:#?}",
                lost.len(),
                answered + lost.len()
            );
            assert!(answered > 3, "a visitor was answered {answered} times");
        }
    }
}

#[test]
fn nginx_php_behind_load_balancers() {
    let lab = TestLab::with_docker("nginx", &["--managers", "3", "--workers", "2"]);
    lab.run(
        "apply",
        "playbooks/docker.toml",
        &["--yes", "-e", "insecure_registries=[\"docker01:5000\"]"],
    )
    .exits(0);
    lab.image("services", &["docker01"]);
    service_parts::NGINX_PHP.build(&lab, "docker01");
    copy_image(
        &lab,
        service_parts::NGINX_PHP.image,
        "docker01",
        &["docker02", "docker03"],
    );
    lab.image("registry", &["docker01"]);
    let address = |node: &str| lab.address(node);

    run(&lab, "plan", &[]).exits(0).says("stack[nginx-php]");
    run(&lab, "apply", &["--yes"]).exits(0);
    run(&lab, "check", &[]).exits(0).says("In sync");
    for node in NODES {
        let page = get(&format!("http://{}:8081/", address(node)), "20").unwrap();
        assert_eq!(node_of(&page), Some(node), "{page}");
        assert!(page.contains("<h1>nginx and PHP 8</h1>"), "{page}");
        // This request takes longer than a reload, whenever the reload happens.
        lab.on(
            node,
            "echo '<?php sleep(2); echo \"slow\";' >/srv/nginx-php/www/slow.php",
        );
    }
    for balancer in BALANCERS {
        until_behind(&address(balancer), &NODES);
    }
    let page = get(&format!("http://{}/", address("docker02")), "20").unwrap();
    // This machine's own address on the lab's bridge, where the packages are served.
    let inventory = std::fs::read_to_string(lab.inventory()).unwrap();
    let here = inventory
        .split("docker_repository = \"http://")
        .nth(1)
        .unwrap()
        .split('/')
        .next()
        .unwrap();
    assert!(page.contains(&format!("Your address is {here}.")), "{page}");

    upstream_change_loses_no_request(&lab);
    manager_power_loss(&lab);
    nfs_server(&lab);
}

fn upstream_change_loses_no_request(lab: &TestLab) {
    let urls = BALANCERS.iter().flat_map(|node| {
        ["", "slow.php"].map(|path| format!("http://{}/{path}", lab.address(node)))
    });
    let visitors = Visitors::of(urls);
    let without = ["-e", "nginx_php_web=all:!docker05"];
    run(lab, "plan", &without)
        .exits(0)
        .says("command[reload the balancer]");
    run(lab, "apply", &[&["--yes"], &without[..]].concat()).exits(0);
    for balancer in BALANCERS {
        until_behind(&lab.address(balancer), &NODES[..4]);
    }
    run(lab, "check", &without).exits(0).says("In sync");
    // The removed node still serves direct requests.
    get(&format!("http://{}:8081/", lab.address("docker05")), "20").unwrap();
    run(lab, "apply", &["--yes"]).exits(0);
    for balancer in BALANCERS {
        until_behind(&lab.address(balancer), &NODES);
    }
    visitors.lost_nothing();

    // A list that was changed and loaded by hand is drift, and is replaced.
    let container =
        "$(docker ps -q --filter label=com.docker.swarm.service.name=nginx-php_balancer)";
    let meddle = "sed -i /docker04/d /srv/nginx-php/balancer/nginx.conf";
    lab.on(
        "docker03",
        &format!("{meddle} && docker exec {container} nginx -c /balancer/nginx.conf -s reload"),
    );
    until_behind(
        &lab.address("docker03"),
        &["docker01", "docker02", "docker03", "docker05"],
    );
    run(lab, "check", &[])
        .exits(3)
        .says("file[/srv/nginx-php/balancer/nginx.conf]");
    run(lab, "apply", &["--yes"]).exits(0);
    until_behind(&lab.address("docker03"), &NODES);
}

fn manager_power_loss(lab: &TestLab) {
    let others = ["docker02", "docker03"];
    let visitors = Visitors::of(others.map(|node| format!("http://{}/", lab.address(node))));
    lab.cut_power("docker01");
    lab.until(
        "docker02",
        "docker node ls --format '{{.Hostname}} {{.Status}}' | grep -qx 'docker01 Down'",
        WAIT_LIMIT,
    );
    for balancer in others {
        until_behind(&lab.address(balancer), &NODES[1..]);
    }
    assert!(get(&format!("http://{}/", lab.address("docker01")), "5").is_err());
    run(lab, "check", &[]).exits(4).says("docker01");

    lab.fault("start", "docker01");
    for balancer in BALANCERS {
        until_behind(&lab.address(balancer), &NODES);
    }
    visitors.lost_nothing();
    let started = Instant::now();
    loop {
        let said = run(lab, "check", &[]);
        if said.code == 0 {
            return;
        }
        assert!(
            started.elapsed() < WAIT_LIMIT,
            "the cluster is not whole:\n{}{}",
            said.stdout,
            said.stderr
        );
    }
}

/// Checks packages and exports, and the server itself if the kernel has one.
fn nfs_server(lab: &TestLab) {
    let said = run(
        lab,
        "apply",
        &[
            "--yes",
            "--limit",
            "docker05",
            "--tags",
            "storage",
            "-e",
            "nginx_php_content=nfs",
        ],
    );
    let exports = lab.on("docker05", "cat /etc/exports.d/nginx-php.exports");
    let table = lab.on("docker05", "cat /var/lib/nfs/etab");
    for node in NODES {
        let address = lab.address(node);
        assert!(
            exports.contains(&format!(" {address}(ro,sync,no_subtree_check)")),
            "{exports}"
        );
        assert!(
            table.contains(&format!("/srv/nginx-php/www\t{address}(ro,")),
            "{table}"
        );
    }
    if said.code == 0 {
        lab.on("docker05", "systemctl is-active nfs-server");
    } else {
        said.exits(1)
            .says("Dependency failed for nfs-server.service");
    }
}
