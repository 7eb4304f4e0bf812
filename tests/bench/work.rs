//! The checked work: twenty resources that are in sync on the server's own machine once applied,
//! all below the benchmark's folder; and the inventories of N loopback addresses.

use std::fmt::Write as _;
use std::process::Command;

use super::server::{BenchServer, address};

/// Number of folders of the playbook; each has a file and a link in it. With a group and a
/// membership, that makes 20 resources.
pub const FOLDERS: usize = 6;

/// Number of hosts in work at a time.
pub const FORKS: usize = 100;

/// Writes the playbook, applies it once, and returns its path.
pub fn converge(server: &BenchServer) -> String {
    let mut text =
        String::from("[[plays]]\nname = \"converged\"\nhosts = \"all\"\nresources = [\n");
    for index in 0..FOLDERS {
        let folder = server.path(&format!("data/{index}"));
        let _ = writeln!(
            text,
            "  {{ directory = {{ path = \"{folder}\", mode = \"0750\" }} }},"
        );
        let _ = writeln!(
            text,
            "  {{ file = {{ path = \"{folder}/settings\", content = \"setting = {index}\\n\" }} }},"
        );
        let _ = writeln!(
            text,
            "  {{ symlink = {{ path = \"{folder}/link\", target = \"settings\" }} }},"
        );
    }
    text.push_str(
        "  { group = { name = \"root\" } },\n  { user_in_group = { user = \"root\", group = \"root\" } },\n]\n",
    );
    let playbook = server.path("playbook.toml");
    std::fs::write(&playbook, text).unwrap();
    let one = inventory(server, 1, server.port());
    let applied = Command::new(env!("CARGO_BIN_EXE_skep"))
        .args(["apply", "--yes", "-i", &one, &playbook])
        .output()
        .unwrap();
    assert!(
        applied.status.success(),
        "{}",
        String::from_utf8_lossy(&applied.stderr)
    );
    playbook
}

/// Writes an inventory of N hosts and returns its path.
pub fn inventory(server: &BenchServer, size: usize, port: u16) -> String {
    let path = server.path(&format!("inventory-{size}-{port}.toml"));
    let mut text = format!(
        "[defaults]\nuser = \"root\"\nport = {port}\nidentity_file = \"{}\"\nknown_hosts = \"{}\"\nhost_keys = \"accept-new\"\nagent = false\nforks = {FORKS}\n",
        server.path("identity"),
        server.path("known_hosts")
    );
    for host in 0..size {
        let _ = writeln!(
            text,
            "[hosts.node{host:04}]\naddress = \"{}\"\ngroups = [\"all_nodes\"]",
            address(host)
        );
    }
    std::fs::write(&path, text).unwrap();
    path
}

/// Returns the command `skep check --json` for an inventory.
pub fn check(inventory: &str, playbook: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skep"));
    command.args(["check", "-i", inventory, playbook, "--json"]);
    // A check keeps its history, which must not go into that of the user who runs the benchmark.
    command.env(
        "XDG_STATE_HOME",
        std::path::Path::new(inventory).with_extension("state"),
    );
    command
}

/// Panics unless all hosts are in sync; returns the mean number of execs per host from the run's
/// summary.
pub fn execs_per_host(json: &str, size: usize) -> f64 {
    let mut events = json
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let last = events
        .find(|event| event["event"] == "run_finished")
        .unwrap();
    let hosts = last
        .pointer("/summary/hosts")
        .and_then(serde_json::Value::as_object)
        .unwrap();
    assert_eq!(hosts.len(), size);
    let clean = hosts.values().all(|host| {
        let resources = host["resources"].as_array().unwrap();
        resources.len() == 3 * FOLDERS + 2
            && resources
                .iter()
                .all(|resource| resource["outcome"] == "unchanged")
    });
    assert!(clean, "the hosts are converged");
    let execs: u64 = hosts
        .values()
        .map(|host| host["execs"].as_u64().unwrap())
        .sum();
    f64::from(u32::try_from(execs).unwrap()) / f64::from(u32::try_from(size).unwrap())
}
