//! Other tools at the same work: the same twenty resources on the same hosts, written as their
//! users write them, in the same run. `.ci/bench-peers` installs them and lists them; a missing
//! tool ends the benchmark.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::figures::{RunMetrics, median, timed};
use super::server::{BenchServer, address};
use super::work::{FOLDERS, check, execs_per_host, inventory};

/// Folder in which `.ci/bench-peers` installs, below the repository.
const VENV: &str = "target/peers";

/// Numbers of hosts, and of runs for each.
const SIZES: [(usize, usize); 3] = [(1, 3), (10, 1), (100, 1)];

/// A tool, and its command for N hosts.
struct PeerTool<'a> {
    name: &'static str,
    command: Box<dyn Fn(usize) -> Command + 'a>,
    /// Panics unless the tool saw all hosts and no change.
    judge: fn(&str, usize),
}

/// Prints wall time, processor time and memory of each tool, and their ratio to those of skep.
pub fn run(server: &BenchServer, playbook: &str) {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join(VENV);
    assert!(
        venv.join("bin/pyinfra").exists(),
        "{} has no peers: `make bench-peers` installs them",
        venv.display()
    );
    write_files(server);
    let peers = peers(server, playbook, &venv);
    println!("\npeers, 20 resources each, nothing to change, median\n");
    println!(
        "{:>5}  {:<26} {:>9} {:>9} {:>9}  {:>8} {:>8}",
        "N", "tool", "wall s", "cpu s", "MiB", "x wall", "x cpu"
    );
    for (size, runs) in SIZES {
        let mut all: Vec<Vec<RunMetrics>> = peers.iter().map(|_| Vec::new()).collect();
        for _ in 0..runs {
            for (peer, figures) in peers.iter().zip(&mut all) {
                let (figure, output) = timed(&mut (peer.command)(size), &[0]);
                (peer.judge)(&output, size);
                figures.push(figure);
            }
        }
        let own = median(&all[0]);
        for (peer, figures) in peers.iter().zip(&all) {
            let one = median(figures);
            println!(
                "{size:>5}  {:<26} {:>9.3} {:>9.3} {:>9.1}  {:>8.1} {:>8.1}",
                peer.name,
                one.wall,
                one.cpu,
                one.memory_mib,
                one.wall / own.wall,
                one.cpu / own.cpu
            );
        }
    }
}

fn peers<'a>(server: &'a BenchServer, playbook: &'a str, venv: &'a Path) -> Vec<PeerTool<'a>> {
    let ansible = |strategy: Option<&'static str>| {
        move |size: usize| {
            let mut command = Command::new(venv.join("bin/ansible-playbook"));
            command.args([
                "--check",
                "-i",
                &hosts_file(server, size),
                &server.path("site.yml"),
            ]);
            command
                .env("ANSIBLE_CONFIG", server.path("ansible.cfg"))
                .env("PATH", path_with(venv));
            if let Some(strategy) = strategy {
                command
                    .env("ANSIBLE_STRATEGY", strategy)
                    .env("ANSIBLE_STRATEGY_PLUGINS", mitogen(venv));
            }
            command
        }
    };
    vec![
        PeerTool {
            name: "skep check",
            command: Box::new(|size| check(&inventory(server, size, server.port()), playbook)),
            judge: |output, size| {
                execs_per_host(output, size);
            },
        },
        PeerTool {
            name: "ansible-core, pipelining",
            command: Box::new(ansible(None)),
            judge: no_change_in_recap,
        },
        PeerTool {
            name: "ansible-core with mitogen",
            command: Box::new(ansible(Some("mitogen_linear"))),
            judge: no_change_in_recap,
        },
        PeerTool {
            name: "pyinfra --dry",
            command: Box::new(|size| {
                let mut command = Command::new(venv.join("bin/pyinfra"));
                command.args([
                    "--dry",
                    "--parallel",
                    "100",
                    &pyinfra_inventory(server, size),
                    &server.path("deploy.py"),
                ]);
                command
            }),
            judge: |output, _| {
                assert!(
                    !output.contains("Error") && !output.contains("error:"),
                    "{output}"
                );
            },
        },
    ]
}

fn no_change_in_recap(output: &str, size: usize) {
    let clean = output.lines().filter(|line| {
        line.contains("changed=0 ")
            && line.contains("unreachable=0 ")
            && line.contains("failed=0 ")
            && line.contains("ok=20 ")
    });
    assert_eq!(clean.count(), size, "{output}");
}

/// ControlPersist keeps connections between runs, as Ansible's users have it: its second run is the
/// measured one.
fn write_files(server: &BenchServer) {
    let mut site = String::from("- hosts: all\n  gather_facts: false\n  tasks:\n");
    let mut deploy = String::from("import io\nfrom pyinfra.operations import files, server\n");
    for index in 0..FOLDERS {
        let folder = server.path(&format!("data/{index}"));
        let _ = writeln!(
            site,
            "    - ansible.builtin.file: {{path: {folder}, state: directory, owner: root, group: root, mode: '0750'}}\n    \
             - ansible.builtin.copy: {{dest: {folder}/settings, content: \"setting = {index}\\n\", owner: root, group: root, mode: '0644'}}\n    \
             - ansible.builtin.file: {{path: {folder}/link, src: settings, state: link}}"
        );
        let _ = writeln!(
            deploy,
            "files.directory(path=\"{folder}\", user=\"root\", group=\"root\", mode=\"750\")\n\
             files.put(src=io.StringIO(\"setting = {index}\\n\"), dest=\"{folder}/settings\", user=\"root\", group=\"root\", mode=\"644\")\n\
             files.link(path=\"{folder}/link\", target=\"settings\")"
        );
    }
    site.push_str("    - ansible.builtin.group: {name: root}\n    - ansible.builtin.user: {name: root, group: root}\n");
    deploy.push_str("server.group(group=\"root\")\nserver.user(user=\"root\", group=\"root\")\n");
    std::fs::write(server.path("site.yml"), site).unwrap();
    std::fs::write(server.path("deploy.py"), deploy).unwrap();
    std::fs::write(
        server.path("ansible.cfg"),
        "[defaults]\nforks = 100\ninterpreter_python = /usr/bin/python3\nremote_user = root\n\
         [ssh_connection]\npipelining = true\nssh_args = -o ControlMaster=auto -o ControlPersist=120s -o LogLevel=ERROR\ncontrol_path_dir = /tmp/skep-bench-control\n",
    )
    .unwrap();
}

fn hosts_file(server: &BenchServer, size: usize) -> String {
    let path = server.path(&format!("hosts-{size}.ini"));
    let mut text = String::from("[all:vars]\n");
    let _ = writeln!(
        text,
        "ansible_port={}\nansible_ssh_private_key_file={}\nansible_ssh_common_args=-o UserKnownHostsFile={}\n[all]",
        server.port(),
        server.path("identity"),
        server.path("known_hosts")
    );
    for host in 0..size {
        let _ = writeln!(text, "{}", address(host));
    }
    std::fs::write(&path, text).unwrap();
    path
}

fn pyinfra_inventory(server: &BenchServer, size: usize) -> String {
    let path = server.path(&format!("inventory_{size}.py"));
    let hosts: Vec<String> = (0..size)
        .map(|host| format!("{:?}", address(host)))
        .collect();
    let data = format!(
        "{{\"ssh_user\": \"root\", \"ssh_port\": {}, \"ssh_key\": {:?}, \"ssh_known_hosts_file\": {:?}}}",
        server.port(),
        server.path("identity"),
        server.path("known_hosts")
    );
    std::fs::write(
        &path,
        format!("all_hosts = ([{}], {data})\n", hosts.join(", ")),
    )
    .unwrap();
    path
}

/// Returns the folder of mitogen's strategies in this Python's packages.
fn mitogen(venv: &Path) -> PathBuf {
    let libraries = std::fs::read_dir(venv.join("lib"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let strategies =
        libraries.map(|python| python.join("site-packages/ansible_mitogen/plugins/strategy"));
    strategies
        .into_iter()
        .find(|path| path.is_dir())
        .expect("mitogen is installed")
}

fn path_with(venv: &Path) -> String {
    format!(
        "{}:{}",
        venv.join("bin").display(),
        std::env::var("PATH").unwrap_or_default()
    )
}
