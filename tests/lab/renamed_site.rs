//! A swarm of three managers and two workers, with names in the inventory that differ from the host
//! names, and the observers that a test of its maintenance needs.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::skep::{Said, command, skep};
use crate::test_lab::TestLab;

/// Host names of the machines.
pub const NODES: [&str; 5] = ["docker01", "docker02", "docker03", "docker04", "docker05"];
/// Limit for a state that the swarm reaches by itself.
pub const LIMIT: Duration = Duration::from_secs(60);

/// The machines under the names of an inventory of its own.
pub struct RenamedSite {
    pub lab: TestLab,
    pub inventory: String,
}

impl RenamedSite {
    /// Installs Docker and creates the swarm.
    pub fn make(name: &str) -> Self {
        let lab = TestLab::with_docker(name, &["--managers", "3", "--workers", "2"]);
        lab.run(
            "apply",
            "playbooks/docker.toml",
            &["playbooks/swarm.toml", "--yes"],
        )
        .exits(0);
        lab.image("busybox", &NODES);
        let inventory = Self::renamed_inventory(&lab);
        Self { lab, inventory }
    }

    /// Writes the inventory with other names, and with the present keys of the machines.
    pub fn renamed_inventory(lab: &TestLab) -> String {
        let names = ["amber", "beryl", "coral", "diamond", "emerald"];
        let hosts: Vec<String> = NODES
            .iter()
            .map(|node| {
                let group = if *node < "docker04" {
                    "managers"
                } else {
                    "workers"
                };
                format!(
                    "address = {:?}\nuser = \"vagrant\"\nbecome = true\ngroups = [{group:?}]",
                    lab.address(node)
                )
            })
            .collect();
        let hosts: Vec<(&str, &str)> = names
            .into_iter()
            .zip(hosts.iter().map(String::as_str))
            .collect();
        lab.inventory_of("renamed.toml", "", &hosts)
    }

    /// Runs `skep node` with these arguments.
    pub fn node(&self, arguments: &[&str]) -> Said {
        skep(&[&["node"], arguments, &["-i", &self.inventory, "--yes"]].concat())
    }

    /// Starts `skep node` with these arguments.
    pub fn start(&self, arguments: &[&str]) -> std::process::Child {
        command(&[&["node"], arguments, &["-i", &self.inventory, "--yes"]].concat())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Returns availability, role and labels of a node, as a manager lists it.
    pub fn specification(&self, node: &str) -> String {
        let format = "{{.Spec.Availability}} {{.Spec.Role}} {{range $key, $value := .Spec.Labels}}{{$key}} {{end}}";
        let script = format!("docker node inspect -f '{format}' {node}");
        // A manager that has just rebooted, or a leader that has just left, answers late.
        site_answer(&self.lab, &script)
    }

    /// Creates a service of the lab's busybox image.
    pub fn create(&self, name: &str, options: &str, program: &str) {
        self.lab.on(
            "docker01",
            &format!(
                "docker service create --quiet --no-resolve-image --name {name} {options} busybox:lab {program}"
            ),
        );
    }

    /// Returns the nodes on which tasks of a service run.
    pub fn runs_on(&self, service: &str) -> String {
        let script = format!(
            "docker service ps {service} --filter desired-state=running --format '{{{{.Node}}}} {{{{.CurrentState}}}}' |
             sed -n 's/ Running .*//p' | sort | tr '\\n' ' '"
        );
        self.lab.on("docker01", &script).trim().to_owned()
    }

    /// Waits until a node has this availability.
    pub fn wait_for(&self, node: &str, availability: &str) {
        let begun = Instant::now();
        while !self.specification(node).starts_with(availability) {
            assert!(begun.elapsed() < LIMIT, "{node} is not {availability}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Returns the answer of the first manager, within a limit.
fn site_answer(lab: &TestLab, script: &str) -> String {
    lab.until("docker01", script, LIMIT);
    lab.on("docker01", script)
}

/// Asks the nodes in turn, as a balancer does, until it is told to stop; counts the requests that
/// neither of them answered.
pub fn balanced_requests(site: &RenamedSite, stop: &AtomicBool) -> (usize, usize) {
    let addresses = NODES.map(|node| site.lab.address(node));
    let (mut sent, mut lost) = (0, 0);
    while !stop.load(Ordering::SeqCst) {
        let answered = addresses.iter().any(|address| {
            let output = std::process::Command::new("curl")
                .args(["-s", "-f", "-m", "2", "-o", "/dev/null"])
                .arg(format!("http://{address}:8080/hostname"))
                .status();
            output.unwrap().success()
        });
        sent += 1;
        lost += usize::from(!answered);
        // A hundred requests a second would take a processor from the nodes.
        std::thread::sleep(Duration::from_millis(50));
    }
    (sent, lost)
}

/// Asks the three managers every half second, and counts the samples in which fewer than two of
/// their Engines answer.
pub fn thin_samples(site: &RenamedSite, stop: &AtomicBool) -> usize {
    let mut thin = 0;
    while !stop.load(Ordering::SeqCst) {
        // A swarm that elects a leader answers late, so the Engine itself is asked.
        let ask = "timeout 2 docker version -f '{{.Server.Os}}' 2>/dev/null";
        let managers = &NODES[..3];
        let answers = std::thread::scope(|scope| {
            let asked = managers.iter().map(|node| {
                scope.spawn(move || {
                    let output = site.lab.shell(node, ask).output().unwrap();
                    output.stdout == b"linux\n"
                })
            });
            let asked: Vec<_> = asked.collect();
            asked
                .into_iter()
                .map(|answer| answer.join().unwrap())
                .filter(|answer| *answer)
                .count()
        });
        thin += usize::from(answers < 2);
        std::thread::sleep(Duration::from_millis(500));
    }
    thin
}
