//! Identity is mutual: a compromised worker that claims the node of another host changes nothing
//! there, machines may have other names than in the inventory, and role changes end before an
//! Engine restarts. The nodes are inspected with `nsenter`, never through skep.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::test_lab::TestLab;

const DOCKER: &str = "playbooks/docker.toml";
const SWARM: &str = "playbooks/swarm.toml";

/// A proxy in front of the Docker socket of a node, as root on that node could run it: it changes
/// the answers to `GET /info`. The node has its own socket back when the value is dropped.
struct LyingSocket {
    real: PathBuf,
    fake: PathBuf,
}

impl LyingSocket {
    fn start(lab: &TestLab, node: &str, lie: fn(&mut Value, &str), argument: &str) -> Self {
        let run = PathBuf::from(format!("/proc/{}/root/run", lab.process(node)));
        let (real, fake) = (run.join("real.sock"), run.join("docker.sock"));
        std::fs::rename(&fake, &real).expect("the socket of the Engine");
        let listener = UnixListener::bind(&fake).expect("a socket in the node");
        std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o666)).unwrap();
        let (upstream, argument) = (real.clone(), argument.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (upstream, argument) = (upstream.clone(), argument.clone());
                std::thread::spawn(move || serve(client, &upstream, lie, &argument));
            }
        });
        Self { real, fake }
    }
}

impl Drop for LyingSocket {
    fn drop(&mut self) {
        let _ = std::fs::rename(&self.real, &self.fake);
    }
}

/// Serves one connection until its end.
fn serve(
    mut client: UnixStream,
    upstream: &PathBuf,
    lie: fn(&mut Value, &str),
    argument: &str,
) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let head = loop {
            if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = buffer.split_off(end + 4);
                break String::from_utf8(std::mem::replace(&mut buffer, rest)).ok()?;
            }
            read_more(&mut client, &mut buffer)?;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        });
        while buffer.len() < length.unwrap_or(0) {
            read_more(&mut client, &mut buffer)?;
        }
        let rest = buffer.split_off(length.unwrap_or(0));
        let body = std::mem::replace(&mut buffer, rest);
        let (status, fields, mut answer) = ask(upstream, &head, &body)?;
        if head.split(' ').nth(1)?.ends_with("/info") {
            let mut info: Value = serde_json::from_slice(&answer).ok()?;
            lie(&mut info, argument);
            answer = info.to_string().into_bytes();
        }
        let head = format!(
            "{status}\r\n{fields}Content-Length: {}\r\n\r\n",
            answer.len()
        );
        client.write_all(head.as_bytes()).ok()?;
        client.write_all(&answer).ok()?;
    }
}

fn read_more(stream: &mut UnixStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut part = [0; 65536];
    let length = stream.read(&mut part).ok().filter(|length| *length > 0)?;
    buffer.extend(&part[..length]);
    Some(())
}

/// Sends one request to the real Engine; returns the status line, the other fields and the body.
fn ask(upstream: &PathBuf, head: &str, body: &[u8]) -> Option<(String, String, Vec<u8>)> {
    let mut engine = UnixStream::connect(upstream).ok()?;
    let mut lines = head
        .trim_end()
        .split("\r\n")
        .filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let first = lines.next()?.replace(" HTTP/1.1", " HTTP/1.0");
    let fields: String = lines.map(|line| format!("{line}\r\n")).collect();
    let request = format!("{first}\r\n{fields}Connection: close\r\n\r\n");
    engine.write_all(request.as_bytes()).ok()?;
    engine.write_all(body).ok()?;
    let mut answer = Vec::new();
    engine.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let body = answer.split_off(end + 4);
    let head = String::from_utf8(answer).ok()?;
    let mut lines = head.trim_end().split("\r\n");
    let status = lines.next()?.replace("HTTP/1.0", "HTTP/1.1");
    let fields = lines
        .filter(|line| {
            let name = line.split(':').next().unwrap_or_default();
            !["content-length", "connection", "transfer-encoding"]
                .contains(&name.to_ascii_lowercase().as_str())
        })
        .map(|line| format!("{line}\r\n"))
        .collect();
    Some((status, fields, body))
}

fn claims_node(info: &mut Value, node_id: &str) {
    info["Swarm"]["NodeID"] = node_id.into();
}

fn claims_to_manage(info: &mut Value, node_id: &str) {
    claims_node(info, node_id);
    info["Swarm"]["ControlAvailable"] = true.into();
}

fn claims_no_swarm(info: &mut Value, name: &str) {
    info["Name"] = name.into();
    info["Swarm"] = serde_json::json!({"NodeID": "", "LocalNodeState": "inactive", "ControlAvailable": false, "RemoteManagers": null});
}

/// Node lists of the swarm, with roles and the label `who`.
fn nodes(lab: &TestLab) -> String {
    lab.on(
        "docker01",
        "for node in $(docker node ls -q); do docker node inspect $node -f \
         '{{.Description.Hostname}} {{.Spec.Role}} {{index .Spec.Labels \"who\"}}'; done | sort",
    )
}

fn node_id(lab: &TestLab, node: &str) -> String {
    lab.on(node, "docker info --format '{{.Swarm.NodeID}}'")
}

fn managers_are_reachable(lab: &TestLab) {
    for node in ["docker01", "docker02", "docker03"] {
        lab.until(
            node,
            "test $(docker node ls --format '{{.ManagerStatus}}' | grep -c -e Leader -e Reachable) = 3",
            Duration::from_secs(120),
        );
    }
}

const LABELS: &str = r#"[[plays]]
name = "Labels"
hosts = "all"
resources = [{ node_labels = { who = "{{ host.name }}" } }]
"#;

/// Arguments of a run with all playbooks.
fn arguments<'a>(labels: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&[SWARM, labels], more].concat()
}

fn hostile_worker_changes_no_other_node(lab: &TestLab, labels: &str) {
    let expected = "docker01 manager docker01\ndocker02 manager docker02\ndocker03 manager docker03\ndocker04 worker docker04";
    assert_eq!(nodes(lab), expected);
    let victim = node_id(lab, "docker03");
    for (lie, argument, word) in [
        (
            claims_node as fn(&mut Value, &str),
            victim.as_str(),
            "both say that they are node",
        ),
        (claims_to_manage, &victim, "both say that they are node"),
    ] {
        let _liar = LyingSocket::start(lab, "docker04", lie, argument);
        for more in [&["--limit", "docker04"][..], &[]] {
            let more = [&["--yes"], more].concat();
            lab.run("apply", DOCKER, &arguments(labels, &more))
                .exits(1)
                .says(word);
            assert_eq!(nodes(lab), expected);
        }
        lab.run("check", DOCKER, &arguments(labels, &[]))
            .exits(1)
            .says("docker03 and docker04 -> one host");
    }
    // The manager is silent, so it cannot claim its node itself. The inventory tells its address.
    lab.on("docker03", "systemctl stop docker.socket docker");
    let limited = [labels, "--yes", "--limit", "docker04"];
    let liar = LyingSocket::start(lab, "docker04", claims_node, &victim);
    lab.run("apply", SWARM, &limited)
        .exits(1)
        .says("the address of docker03");
    drop(liar);
    // A worker that says that it left, with the host name of the silent manager.
    let liar = LyingSocket::start(lab, "docker04", claims_no_swarm, "docker03");
    lab.run("apply", SWARM, &limited).exits(1);
    drop(liar);
    lab.on("docker03", "systemctl start docker.socket docker");
    managers_are_reachable(lab);
    assert_eq!(nodes(lab), expected);
}

/// The inventory with the names m1 to m4 in place of the machines' host names.
fn renamed(lab: &TestLab) -> String {
    let text = std::fs::read_to_string(lab.inventory()).unwrap();
    let text = (1..=4).fold(text, |text, number| {
        text.replace(
            &format!("[hosts.docker0{number}]"),
            &format!("[hosts.m{number}]"),
        )
    });
    lab.write("renamed.toml", &text)
}

fn restart(lab: &TestLab, size: &str) -> String {
    lab.write(
        "restart.toml",
        &format!(
            "[[plays]]\nhosts = \"all\"\nresources = [{{ daemon_json = {{ log-driver = \"json-file\", log-opts = {{ max-size = \"{size}\" }} }} }}]\n"
        ),
    )
}

/// A manager whose Engine has just stopped is known by its node ID and its address, not by its
/// name.
fn stopped_manager_counts_under_any_name(lab: &TestLab) {
    let inventory = renamed(lab);
    let started = "systemctl show -p ExecMainStartTimestamp docker";
    let before = lab.on("docker01", started);
    lab.on("docker03", "systemctl stop docker.socket docker");
    let playbook = restart(lab, "21m");
    let said = crate::skep::skep(&[
        "apply", "-i", &inventory, "--yes", "--limit", "m1", &playbook,
    ])
    .exits(1);
    assert!(
        said.stdout.contains("leaves 1 of 3 managers reachable"),
        "{}",
        said.stdout
    );
    assert_eq!(lab.on("docker01", started), before, "not restarted");
    lab.on("docker03", "systemctl start docker.socket docker");
    managers_are_reachable(lab);
}

/// An Engine that restarts while it is being demoted fails at every start after a promotion.
fn demotion_ends_before_the_engine_restarts(lab: &TestLab, labels: &str) {
    for (number, delay) in [0, 500].into_iter().enumerate() {
        lab.on(
            "docker03",
            &format!(
                "sed -i 's/\"max-size\": *\"[0-9]*m\"/\"max-size\": \"3{number}m\"/' /etc/docker/daemon.json; grep -q '3{number}m' /etc/docker/daemon.json"
            ),
        );
        lab.on("docker01", "docker node demote docker03");
        std::thread::sleep(Duration::from_millis(delay));
        lab.run("apply", DOCKER, &arguments(labels, &["--yes"]))
            .exits(0);
        lab.on("docker03", "systemctl is-active docker");
        managers_are_reachable(lab);
        lab.on(
            "docker03",
            "! journalctl -u docker -o cat --no-pager | grep -q '^panic:'",
        );
    }
}

fn autolocked_managers_are_not_restarted(lab: &TestLab) {
    lab.on("docker01", "docker swarm update --autolock=true");
    let playbook = restart(lab, "41m");
    let locks = "stays locked until `docker swarm unlock`";
    lab.run("plan", &playbook, &[]).exits(0).says(locks);
    lab.run("apply", &playbook, &["--yes", "--limit", "managers"])
        .exits(1)
        .says(locks);
    for node in ["docker01", "docker02", "docker03"] {
        assert_eq!(
            lab.on(node, "docker info --format '{{.Swarm.LocalNodeState}}'"),
            "active"
        );
    }
    lab.on("docker01", "docker swarm update --autolock=false");
}

#[test]
fn nodes_belong_to_the_hosts_that_the_managers_see() {
    let lab = TestLab::up_with("identity", &["--managers", "3", "--workers", "1"]);
    let labels = lab.write("labels.toml", LABELS);
    lab.run("apply", DOCKER, &arguments(&labels, &["--yes"]))
        .exits(0);
    hostile_worker_changes_no_other_node(&lab, &labels);
    lab.run("apply", DOCKER, &arguments(&labels, &["--yes"]))
        .exits(0);
    stopped_manager_counts_under_any_name(&lab);
    demotion_ends_before_the_engine_restarts(&lab, &labels);
    autolocked_managers_are_not_restarted(&lab);
}
