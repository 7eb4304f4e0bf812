//! Verifies the cluster with `docker` and other programs on the nodes, never through skep.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::chaos_lab::{ChaosLab, MANAGERS, NODES};

/// Nodes of a swarm need some seconds until they are all ready.
const SETTLE_LIMIT: Duration = Duration::from_secs(20);

/// Prints one `name=value` line per fact. `$1` is the content's checksum program's input.
const FACTS: &str = r#"
fact() { printf '%s=%s\n' "$1" "$(shift; "$@" 2>&1 | tr '\n' ' ' | sed 's/ $//')"; }
fact directory stat -c '%F %a %U %G' /srv/chaos
fact file stat -c '%F %a %U %G' /srv/chaos/big
fact lines sh -c 'sort -u /srv/chaos/big; wc -l </srv/chaos/big'
fact link readlink /srv/link
fact forward cat /proc/sys/net/ipv4/ip_forward
fact audit dpkg --audit
fact packages dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' docker-ce docker-ce-cli containerd.io docker-buildx-plugin docker-compose-plugin
fact active systemctl is-active docker
fact enabled systemctl is-enabled docker
fact valid sh -c 'dockerd --validate --config-file /etc/docker/daemon.json'
fact swarm docker info --format '{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}'
fact group id -nG vagrant
"#;

/// Lists the files among which a killed step could leave a temporary one: all that skep could have
/// named, and all in the folders that it writes to. A lock of a killed run expires by time.
const PATHS: &str = r"
{ find / /run /dev/shm -xdev -name '*skep*' ! -path '/run/skep.lock*'
  find /tmp /var/tmp -xdev -mindepth 1 ! -path '*/systemd-private-*'
  find /etc/docker /etc/apt /srv -xdev
  find /etc /root /home /var/lib -xdev -maxdepth 1
} | sort -u
";

/// Returns all problems of the whole cluster, as one text.
///
/// # Errors
/// If there is a problem.
pub fn cluster(lab: &ChaosLab) -> Result<(), String> {
    settled(|| {
        let mut bad = swarm(lab)?;
        let found: Vec<Vec<String>> = std::thread::scope(|scope| {
            let threads: Vec<_> = NODES
                .iter()
                .map(|node| scope.spawn(|| node_facts(lab, node)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        bad.extend(found.into_iter().flatten());
        let paths = paths(lab);
        for (before, (node, after)) in lab.paths.iter().zip(NODES.iter().zip(&paths)) {
            let new: Vec<&str> = after
                .lines()
                .filter(|path| !before.lines().any(|known| known == *path))
                .collect();
            let gone: Vec<&str> = before
                .lines()
                .filter(|path| !after.lines().any(|known| known == *path))
                .collect();
            if !new.is_empty() || !gone.is_empty() {
                bad.push(format!("{node}: files left {new:?}, missing {gone:?}"));
            }
        }
        Ok(bad)
    })
}

/// Returns the paths of all nodes, which [`cluster`] compares with those of an undisturbed apply.
pub fn paths(lab: &ChaosLab) -> Vec<String> {
    NODES.map(|node| lab.try_on(node, PATHS).1).to_vec()
}

/// Verifies what an Engine restart could have damaged: the swarm, and the size in daemon.json.
///
/// # Errors
/// If there is a problem.
pub fn restarted(lab: &ChaosLab, nodes: &[&str], size: &str) -> Result<(), String> {
    settled(|| {
        let mut bad = swarm(lab)?;
        for node in nodes {
            let text = lab.on(node, "cat /etc/docker/daemon.json")?;
            if serde_json::from_str(&text).ok() != Some(settings(size)) {
                bad.push(format!("{node}: daemon.json is {text}"));
            }
            let beside = lab.on(node, "ls -A /etc/docker")?;
            if beside.lines().any(|name| name != "daemon.json") {
                bad.push(format!("{node}: /etc/docker has {beside:?}"));
            }
            lab.on(
                node,
                "dockerd --validate --config-file /etc/docker/daemon.json",
            )?;
        }
        Ok(bad)
    })
}

/// Verifies an upgrade: the packages, the Engines, the services, and that nothing is left behind.
///
/// # Errors
/// If there is a problem.
pub fn upgraded(lab: &ChaosLab, version: &str) -> Result<(), String> {
    settled(|| {
        let mut bad = swarm(lab)?;
        for node in NODES {
            let state = lab.on(node, UPGRADE_STATE)?;
            let wanted =
                format!("5:{version}-1~debian.13~trixie 5:{version}-1~debian.13~trixie current");
            if state.trim() != wanted {
                bad.push(format!("{node} has {state:?}, not {wanted:?}"));
            }
        }
        let services = lab.on(
            "docker01",
            "docker service ls --format '{{.Name}} {{.Replicas}}' | sort | tr '\\n' ' '",
        )?;
        if services.trim() != "agent 4/4 web 2/2" {
            bad.push(format!("the services are {services:?}"));
        }
        let leases = lab.on("docker01", "docker config ls --format '{{.Name}}'")?;
        if !leases.trim().is_empty() {
            bad.push(format!("the configs {leases:?} are left"));
        }
        Ok(bad)
    })
}

/// Prints the versions of the Engine's packages, the complaints of dpkg, and whether the Engine
/// that runs is the installed one.
const UPGRADE_STATE: &str = "dpkg --audit; dpkg-query -W -f '${Version} ' docker-ce docker-ce-cli
case $(readlink /proc/$(systemctl show -p MainPID --value docker)/exe) in *deleted*) echo old ;; /*) echo current ;; esac";

/// Waits until all nodes are ready.
///
/// # Errors
/// If they are not within two minutes.
pub fn wait_for_nodes(lab: &ChaosLab) -> Result<(), String> {
    let ready = "test \"$(docker node ls --format '{{.Status}}' | grep -c Ready)\" = 4";
    lab.until("docker01", ready, Duration::from_secs(120))
}

fn settled(problems: impl Fn() -> Result<Vec<String>, String>) -> Result<(), String> {
    let started = Instant::now();
    loop {
        let bad = problems().unwrap_or_else(|error| vec![error]);
        if bad.is_empty() {
            return Ok(());
        }
        if started.elapsed() > SETTLE_LIMIT {
            return Err(bad.join("; "));
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Returns the wanted content of daemon.json.
fn settings(size: &str) -> Value {
    json!({
        "insecure-registries": ["docker01:5000"],
        "registry-mirrors": ["http://docker01:5000"],
        "log-driver": "json-file",
        "log-opts": { "max-size": size, "max-file": "3" },
    })
}

/// Compares the list of nodes of each manager with the four nodes that there must be.
fn swarm(lab: &ChaosLab) -> Result<Vec<String>, String> {
    let mut bad = Vec::new();
    for manager in MANAGERS {
        let text = lab.on(manager, "docker node inspect $(docker node ls -q)")?;
        let listed: Vec<Value> = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let name = |node: &Value| {
            node["Description"]["Hostname"]
                .as_str()
                .unwrap_or("")
                .to_owned()
        };
        let mut names: Vec<String> = listed.iter().map(name).collect();
        names.sort();
        if names != NODES {
            bad.push(format!("{manager} lists {names:?}"));
        }
        let leaders = listed
            .iter()
            .filter(|node| node["ManagerStatus"]["Leader"] == true);
        if leaders.count() != 1 {
            bad.push(format!("{manager} does not list one leader"));
        }
        for node in &listed {
            let name = name(node);
            let is_manager = MANAGERS.contains(&name.as_str());
            let reachability = if is_manager {
                json!("reachable")
            } else {
                Value::Null
            };
            let wanted = json!([
                "ready",
                "active",
                if is_manager { "manager" } else { "worker" },
                { "chaos": "a", "name": name },
                reachability,
            ]);
            let found = json!([
                node["Status"]["State"],
                node["Spec"]["Availability"],
                node["Spec"]["Role"],
                node["Spec"]["Labels"],
                node["ManagerStatus"]["Reachability"],
            ]);
            if found != wanted {
                bad.push(format!("{manager} lists {name} as {found}, not {wanted}"));
            }
        }
    }
    Ok(bad)
}

fn node_facts(lab: &ChaosLab, node: &str) -> Vec<String> {
    let (_, text) = lab.try_on(node, FACTS);
    let found: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    let control = MANAGERS.contains(&node);
    let swarm = format!("active {control}");
    let wanted = [
        ("directory", "directory 750 root root"),
        ("file", "regular file 640 root root"),
        ("lines", "a line of the file 3000"),
        ("link", "/srv/chaos/big"),
        ("forward", "1"),
        ("audit", ""),
        (
            "packages",
            "ii containerd.io ii docker-buildx-plugin ii docker-ce ii docker-ce-cli ii docker-compose-plugin",
        ),
        ("active", "active"),
        ("enabled", "enabled"),
        ("valid", "configuration OK"),
        ("swarm", &swarm),
    ];
    let mut bad = Vec::new();
    for (name, value) in wanted {
        let mut is = found.get(name).copied().unwrap_or("unknown").to_owned();
        if name == "packages" {
            // dpkg-query keeps the order of its arguments, and other versions sort.
            let mut packages: Vec<&str> = is.split("ii ").map(str::trim).collect();
            packages.sort_unstable();
            is = packages.join(" ii ").trim().to_owned();
        }
        if is != value {
            bad.push(format!("{node}: {name} is {is:?}, not {value:?}"));
        }
    }
    if !found
        .get("group")
        .is_some_and(|groups| groups.split(' ').any(|name| name == "docker"))
    {
        bad.push(format!(
            "{node}: vagrant is not in the group docker: {:?}",
            found.get("group")
        ));
    }
    bad.extend(hosts(lab, node).err());
    match lab.on(node, "cat /etc/docker/daemon.json") {
        Ok(text) if serde_json::from_str(&text).ok() == Some(settings("10m")) => {}
        Ok(text) | Err(text) => bad.push(format!("{node}: daemon.json is {text}")),
    }
    bad
}

/// Verifies that each node's name has exactly one line in /etc/hosts, beside that of loopback.
fn hosts(lab: &ChaosLab, node: &str) -> Result<(), String> {
    let text = lab.on(node, "grep -v '^127\\.' /etc/hosts")?;
    for name in NODES {
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| line.split_whitespace().any(|word| word == name))
            .collect();
        if lines.len() != 1 {
            return Err(format!("{node}: /etc/hosts has {lines:?} for {name}"));
        }
    }
    Ok(())
}
