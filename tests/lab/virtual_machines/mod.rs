//! Features that containers do not have, on three whole virtual machines: the routing mesh, virtual
//! IPs, volumes on NFS, memory limits, and the NAT behind which every machine has the same address.
//! Emulated, the test takes a quarter of an hour: `make test-vm` runs it, `make test` does not.

mod nginx_php;

use std::time::Duration;

use crate::skep::root;
use crate::test_lab::TestLab;

/// Emulated machines on shared processors are slow: this limit detects a missing result, not a slow
/// one.
const WAIT_LIMIT: Duration = Duration::from_secs(600);
const NODES: [&str; 3] = ["docker01", "docker02", "docker03"];
/// Address of the first card of every machine with VirtualBox and QEMU.
const NAT: &str = "10.0.2.15";

/// Two tasks of `web` on the workers, published on every node; `client` on every node sends
/// requests to the virtual IP.
const COMPOSE: &str = r#"version: "3.8"
services:
  web:
    image: busybox:lab
    command: ["sh", "-c", "mkdir /www && hostname >/www/task && ln -s /content/index.html /www/index.html && date >/content/$$NODE && exec httpd -f -p 80 -h /www"]
    environment: { NODE: "{{.Node.Hostname}}" }
    networks: [mesh]
    ports:
      - { target: 80, published: 8080, protocol: tcp, mode: ingress }
    volumes:
      - { type: volume, source: content, target: /content }
    deploy:
      replicas: 2
      endpoint_mode: vip
      placement: { constraints: ["node.role==worker"], max_replicas_per_node: 1 }
      resources: { limits: { memory: 64M } }
  client:
    image: busybox:lab
    command: ["sleep", "1000000"]
    networks: [mesh]
    stop_grace_period: 1s
    deploy: { mode: global }
networks:
  mesh: {}
volumes:
  content: { external: true }
"#;

/// A task that immediately uses more memory than its limit, so that no later check finds it
/// running.
const HUNGRY: &str = r#"version: "3.8"
services:
  eater:
    image: busybox:lab
    command: ["dd", "if=/dev/zero", "of=/dev/null", "bs=96M", "count=1"]
    deploy:
      placement: { constraints: ["node.hostname==docker02"] }
      resources: { limits: { memory: 32M } }
      restart_policy: { condition: any, delay: 2s }
"#;

const PLAYBOOK: &str = r#"include = ["PLAYBOOKS/docker.toml", "PLAYBOOKS/swarm.toml"]

[[plays]]
name = "Export"
hosts = "managers[0]"
resources = [
  { package = { name = "nfs-kernel-server", install_recommends = false } },
  { directory = { path = "/srv/content" } },
  { file = { path = "/srv/content/index.html", content = "from the export of docker01\n" } },
  { directory = { path = "/etc/exports.d" } },
  { file = { path = "/etc/exports.d/content.exports", content = "/srv/content 192.168.56.0/24(rw,sync,no_subtree_check,no_root_squash)\n" } },
  { systemd_service = { name = "nfs-server", enabled = true, running = true, restart_when_newer = ["/etc/exports.d/content.exports"] } },
]

[[plays]]
name = "Volume"
hosts = "all"
resources = [
  { package = { name = "nfs-common", install_recommends = false } },
  { volume = { name = "content", nfs = { server = "192.168.56.11", path = "/srv/content", options = "rw,nfsvers=4" } } },
]
"#;

const STACK: &str = r#"include = ["machines.toml"]

[[plays]]
name = "Stack"
hosts = "managers"
resources = [{ stack = { name = "mesh", sources = ["mesh.yml"], timeout = "15m" } }]
"#;

const HUNGRY_STACK: &str = r#"[[plays]]
hosts = "managers"
resources = [{ stack = { name = "hungry", sources = ["hungry.yml"], timeout = "15m" } }]
"#;

struct MachineLab {
    lab: TestLab,
    playbook: String,
    stack: String,
}

impl MachineLab {
    fn up() -> Self {
        let lab = TestLab::up_with("vm", &["--virtual-machines"]);
        let playbooks = root().join("playbooks");
        let playbook = lab.write(
            "machines.toml",
            &PLAYBOOK.replace("PLAYBOOKS", playbooks.to_str().unwrap()),
        );
        lab.write("mesh.yml", COMPOSE);
        lab.write("hungry.yml", HUNGRY);
        let stack = lab.write("stack.toml", STACK);
        Self {
            lab,
            playbook,
            stack,
        }
    }

    /// Writes the inventory with another text for the advertised address.
    fn advertising(&self, name: &str, replacement: impl Fn(&str) -> String) -> String {
        let text = std::fs::read_to_string(self.lab.inventory()).unwrap();
        let text: Vec<String> = text
            .lines()
            .map(|line| {
                if line.starts_with("vars = ") {
                    replacement(line)
                } else {
                    line.to_owned()
                }
            })
            .collect();
        self.lab.write(name, &text.join("\n"))
    }

    fn container(&self, node: &str, service: &str) -> String {
        self.lab.on(
            node,
            &format!("docker ps -q --filter label=com.docker.swarm.service.name={service}"),
        )
    }
}

/// Every machine has the address 10.0.2.15: an impossible setup is refused before any connection,
/// and a setup that skep cannot judge gets a note.
fn nat_address_is_not_advertised(machines: &MachineLab) {
    let plan = |inventory: &str| crate::skep::skep(&["plan", "-i", inventory, &machines.playbook]);
    let none = machines.advertising("none.toml", |_| String::new());
    plan(&none)
        .exits(2)
        .says("no other node can reach docker01 at 127.0.0.1")
        .says("swarm_address");
    let nat = machines.advertising("nat.toml", |_| {
        format!("vars = {{ swarm_address = \"{NAT}\" }}")
    });
    plan(&nat)
        .exits(2)
        .says(&format!("docker01 would advertise {NAT}"));
    let card = machines.advertising("card.toml", |_| {
        "vars = { swarm_address = \"eth0\" }".to_owned()
    });
    plan(&card).exits(0).says(&format!("docker01 has {NAT}"));
    for node in NODES {
        assert!(
            machines
                .lab
                .on(node, "ip -4 -o addr show eth0")
                .contains(&format!(" {NAT}/24 "))
        );
    }
}

fn nodes_advertise_private_addresses(machines: &MachineLab) {
    for (node, address) in NODES
        .iter()
        .zip(["192.168.56.11", "192.168.56.12", "192.168.56.13"])
    {
        let said = machines.lab.on(
            node,
            "docker info --format '{{.Swarm.LocalNodeState}} {{.Swarm.NodeAddr}}'",
        );
        assert_eq!(said, format!("active {address}"), "{node}");
    }
    machines.lab.on(
        "docker01",
        "test $(docker node ls --format '{{.Status}}' | grep -c Ready) = 3",
    );
}

/// The manager has no task of `web` and answers too; both tasks are reached through each node's
/// published port.
fn routing_mesh(machines: &MachineLab) {
    let lab = &machines.lab;
    assert_eq!(
        machines.container("docker01", "mesh_web"),
        "",
        "the manager has no task"
    );
    for asking in NODES {
        for address in ["192.168.56.11", "192.168.56.12", "192.168.56.13"] {
            let both = format!(
                "for i in 1 2 3 4 5 6; do curl -sS --fail --max-time 20 http://{address}:8080/task; done | sort -u | wc -l | grep -qx 2"
            );
            lab.until(asking, &both, WAIT_LIMIT);
        }
    }
}

fn virtual_ip_addresses(machines: &MachineLab) {
    let lab = &machines.lab;
    let listed = lab.on(
        "docker01",
        "docker service inspect -f '{{range .Endpoint.VirtualIPs}}{{.Addr}} {{end}}' mesh_web",
    );
    assert!(
        listed.split_whitespace().count() == 2,
        "ingress and mesh: {listed}"
    );
    for node in NODES {
        let client = machines.container(node, "mesh_client");
        let named = lab.on(
            node,
            &format!("docker exec {client} nslookup web 127.0.0.11"),
        );
        let address = listed
            .split_whitespace()
            .map(|one| one.split('/').next().unwrap())
            .find(|one| named.contains(one));
        let address = address.unwrap_or_else(|| panic!("{named}\nhas none of {listed}"));
        let ask = format!(
            "for i in 1 2 3 4 5 6; do docker exec {client} wget -q -T 20 -O - http://{address}/task; done | sort -u | wc -l | grep -qx 2"
        );
        lab.until(node, &ask, WAIT_LIMIT);
    }
}

fn nfs_volume(machines: &MachineLab) {
    let lab = &machines.lab;
    assert_eq!(
        lab.on(
            "docker03",
            "curl -sS --fail --max-time 20 http://192.168.56.12:8080/"
        ),
        "from the export of docker01"
    );
    for node in ["docker02", "docker03"] {
        let mounts = lab.on(node, "grep ' nfs4 ' /proc/mounts");
        assert!(
            mounts.starts_with(":/srv/content ") && mounts.contains("addr=192.168.56.11"),
            "{mounts}"
        );
        lab.on("docker01", &format!("test -s /srv/content/{node}"));
    }
    lab.on("docker01", "echo changed >/srv/content/index.html");
    lab.until(
        "docker01",
        "curl -sS --fail --max-time 20 http://192.168.56.13:8080/ | grep -qx changed",
        WAIT_LIMIT,
    );
    lab.on(
        "docker01",
        "echo 'from the export of docker01' >/srv/content/index.html",
    );
}

/// The kernel ends the task, and skep reports the node and the limit.
fn memory_limit(machines: &MachineLab) {
    let lab = &machines.lab;
    let web = machines.container("docker02", "mesh_web");
    assert_eq!(
        lab.on(
            "docker02",
            &format!("docker exec {web} cat /sys/fs/cgroup/memory.max")
        ),
        "67108864"
    );
    let playbook = lab.write("hungry.toml", HUNGRY_STACK);
    let said = lab
        .run("apply", &playbook, &["--yes", "--limit", "docker01"])
        .exits(1);
    let said = said
        .says("hungry_eater 0/1 running")
        .says("non-zero exit (137)")
        .says("on docker02");
    said.says("limit of 32 MiB");
    // Docker itself does not always report `OOMKilled`; the kernel does.
    lab.on(
        "docker02",
        "dmesg | grep -q 'Memory cgroup out of memory: Killed process .*(dd)'",
    );
    lab.on("docker01", "docker stack rm hungry");
}

/// The faults of `skep lab`, on virtual machines.
fn cut_and_stopped_machines_recover(machines: &MachineLab) {
    let lab = &machines.lab;
    let state = |wanted: &str| {
        format!(
            "docker node ls --format '{{{{.Hostname}}}} {{{{.Status}}}}' | grep -qx 'docker03 {wanted}'"
        )
    };
    lab.fault("cut", "docker03");
    lab.until("docker01", &state("Down"), WAIT_LIMIT);
    lab.fault("heal", "docker03");
    lab.until("docker01", &state("Ready"), WAIT_LIMIT);
    lab.fault("stop", "docker03");
    lab.until("docker01", &state("Down"), WAIT_LIMIT);
    lab.fault("start", "docker03");
    lab.until("docker01", &state("Ready"), WAIT_LIMIT);
    // The machine has its disk, membership and mounts again.
    lab.until(
        "docker01",
        "test $(docker service ps -q -f desired-state=running mesh_web | wc -l) = 2",
        WAIT_LIMIT,
    );
}

#[test]
#[ignore = "whole virtual machines take minutes: make test-vm"]
fn routing_mesh_nfs_and_memory_limits() {
    let step = |what: &str| eprintln!("== {what}");
    step("three machines boot");
    let machines = MachineLab::up();
    let lab = &machines.lab;
    step("the trap of the NAT");
    nat_address_is_not_advertised(&machines);
    step("Engines, a swarm, an export and a volume");
    lab.run("apply", &machines.playbook, &["--yes"]).exits(0);
    nodes_advertise_private_addresses(&machines);
    step("a stack");
    lab.image("busybox", &[]);
    lab.run("apply", &machines.stack, &["--yes"]).exits(0);
    step("the routing mesh");
    routing_mesh(&machines);
    step("virtual addresses");
    virtual_ip_addresses(&machines);
    step("the export");
    nfs_volume(&machines);
    step("a clean check");
    lab.run("check", &machines.stack, &[])
        .exits(0)
        .says("In sync");
    step("limits of memory");
    memory_limit(&machines);
    step("machines cut off and stopped");
    cut_and_stopped_machines_recover(&machines);
    step("a clean check again");
    lab.until(
        "docker01",
        "test $(docker service ls --format '{{.Replicas}}' | grep -c -e '2/2' -e '3/3') = 2",
        WAIT_LIMIT,
    );
    lab.run("check", &machines.stack, &[])
        .exits(0)
        .says("In sync");
}
