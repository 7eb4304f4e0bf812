//! `skep upgrade` on real nodes: a new major version of Docker Engine over three managers and two
//! workers under load, updates of the operating system, reboots, and runs that are killed.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::renamed_site::{LIMIT, NODES, RenamedSite, balanced_requests, thin_samples};
use crate::skep::{Said, command, skep};

/// Packages of Debian testing's Engine: 28.5.2.
const NEXT_ENGINE: &[&str] = &[
    "docker/linux/debian/dists/forky/pool/stable/amd64/docker-ce_28.5.2-",
    "docker/linux/debian/dists/forky/pool/stable/amd64/docker-ce-cli_28.5.2-",
    "docker/linux/debian/dists/forky/pool/stable/amd64/containerd.io_",
    "docker/linux/debian/dists/forky/pool/stable/amd64/docker-buildx-plugin_",
    "docker/linux/debian/dists/forky/pool/stable/amd64/docker-compose-plugin_",
];

/// A package without content.
const EMPTY_PACKAGE: &str = r#"set -e; cd "$1"; mkdir -p root/DEBIAN
printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: skep\nDescription: a package for tests\n' "$2" "$3" >root/DEBIAN/control
dpkg-deb --build --root-owner-group root "$2_$3.deb" >/dev/null; rm -r root"#;

struct UpgradeSite {
    renamed: RenamedSite,
}

impl UpgradeSite {
    fn make() -> Self {
        let renamed = RenamedSite::make("upgrade");
        let site = Self { renamed };
        site.offer("next", "Docker CE", |folder| {
            let pool = mirror_of_testing();
            for start in NEXT_ENGINE {
                let (inside, start) = start.rsplit_once('/').unwrap();
                let mut found: Vec<PathBuf> = std::fs::read_dir(pool.join(inside))
                    .unwrap()
                    .map(|entry| entry.unwrap().path())
                    .filter(|path| {
                        path.file_name()
                            .unwrap()
                            .to_str()
                            .unwrap()
                            .starts_with(start)
                    })
                    .collect();
                found.sort();
                let package = found.first().expect(start);
                std::fs::copy(package, folder.join(package.file_name().unwrap())).unwrap();
            }
            // The stand-in of Debian 13 contains the program of this package.
            empty_package(folder, "tini-static", "0.19.0");
        });
        site
    }

    /// Gives all nodes a repository with the packages of a folder.
    fn offer(&self, name: &str, label: &str, fill: impl FnOnce(&std::path::Path)) {
        let lab = &self.renamed.lab;
        let folder = PathBuf::from(lab.path(name));
        std::fs::create_dir_all(&folder).unwrap();
        fill(&folder);
        let index = "cd \"$1\" && apt-ftparchive packages . >Packages && \
                     apt-ftparchive -o APT::FTPArchive::Release::Label=\"$2\" release . >Release";
        shell(index, &[folder.to_str().unwrap(), label]);
        for node in NODES {
            lab.on(node, "mkdir -p /srv");
            lab.put(node, folder.to_str().unwrap(), &format!("/srv/{name}"));
            lab.on(
                node,
                &format!("echo 'deb [trusted=yes] file:/srv/{name} ./' >/etc/apt/sources.list.d/{name}.list"),
            );
        }
    }

    fn arguments<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let inventory = &self.renamed.inventory;
        [&["upgrade", "playbooks/docker.toml", "-i", inventory], more].concat()
    }

    fn upgrade(&self, more: &[&str]) -> Said {
        skep(&self.arguments(more))
    }

    /// Returns the Engine's version of each node, as the Engine says it.
    fn versions(&self) -> Vec<String> {
        let ask = "docker version -f '{{.Server.Version}}' | cut -d + -f 1";
        NODES
            .iter()
            .map(|node| self.renamed.lab.on(node, ask))
            .collect()
    }

    /// Returns the identity of a node's boot: nodes of the lab share a kernel.
    fn boot(&self, node: &str) -> String {
        let script = "read -r line </proc/1/stat; set -- ${line##*)}; echo ${20}";
        self.renamed.lab.on(node, script)
    }
}

fn empty_package(folder: &std::path::Path, name: &str, version: &str) {
    shell(EMPTY_PACKAGE, &[folder.to_str().unwrap(), name, version]);
}

fn shell(script: &str, arguments: &[&str]) {
    let done = Command::new("sh")
        .args(["-c", script, "sh"])
        .args(arguments)
        .status()
        .unwrap();
    assert!(done.success(), "{script}");
}

/// Returns the lab's mirror of Debian testing, built if it is not there.
fn mirror_of_testing() -> PathBuf {
    let state = std::env::var_os("SKEP_STATE_DIR").map_or_else(
        || {
            let state = std::env::var_os("XDG_STATE_HOME").map_or_else(
                || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".local/state"),
                PathBuf::from,
            );
            state.join("skep/lab")
        },
        PathBuf::from,
    );
    let find = || {
        let entries = std::fs::read_dir(state.join("cache")).unwrap();
        let mirrors = entries.map(|entry| entry.unwrap().path()).filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with("mirror-forky-") && path.join("docker").is_dir()
        });
        // A mirror of an older version of the lab may be there, too.
        mirrors.max_by_key(|path| path.metadata().unwrap().modified().unwrap())
    };
    find().unwrap_or_else(|| {
        drop(crate::test_lab::TestLab::up_with(
            "forky",
            &["--suite", "forky", "--managers", "1", "--workers", "0"],
        ));
        find().unwrap()
    })
}

#[test]
fn engines_are_upgraded_under_load() {
    let site = UpgradeSite::make();
    let renamed = &site.renamed;
    let before: Vec<String> = site.versions();
    assert!(
        before.iter().all(|version| version == "26.1.5"),
        "{before:?}"
    );
    renamed.create(
        "web",
        "--replicas 2 --constraint node.role==worker --publish mode=host,target=80,published=8080 --stop-grace-period 2s",
        "httpd -f -p 80 -h /etc",
    );
    let unbound = "docker service update --quiet --constraint-rm node.role==worker web";
    renamed.lab.on("docker01", unbound);
    refusals(&site);
    killed_run(&site);
    whole_run(&site);
    os_updates_and_reboots(&site);
    assert_eq!(
        renamed.lab.on("docker01", "docker config ls -q"),
        "",
        "the lease is gone"
    );
}

fn refusals(site: &UpgradeSite) {
    let renamed = &site.renamed;
    site.upgrade(&["--yes"])
        .exits(1)
        .says("version 28 of Docker Engine is a new major version; diamond has 26")
        .says("--accept major");
    site.upgrade(&["--yes", "--engine", "30.*"])
        .exits(1)
        .says("has no version 30.* of docker-ce: it offers 5:28.5.2-1");
    // A host that cannot be read ends the upgrade before it begins.
    renamed
        .lab
        .on("docker05", "systemctl stop docker.socket docker");
    site.upgrade(&["--yes", "--accept", "major"])
        .exits(4)
        .says("emerald cannot be read");
    renamed.lab.on("docker05", "systemctl start docker");
    renamed
        .lab
        .until("docker01", "docker node ls | grep 'docker05 *Ready'", LIMIT);
    // A service that can go nowhere.
    renamed.create(
        "database",
        "--constraint node.hostname==docker05 --mount type=volume,source=data,target=/data --stop-grace-period 1s",
        "sleep 100000",
    );
    site.upgrade(&["--yes", "--accept", "major"])
        .exits(1)
        .says("draining emerald interrupts database");
    renamed.lab.on("docker01", "docker service rm database");
    assert!(site.versions().iter().all(|version| version == "26.1.5"));
}

/// A run that is killed while a node is drained: the same command continues.
fn killed_run(site: &UpgradeSite) {
    let renamed = &site.renamed;
    let mut child = command(&site.arguments(&["--yes", "--accept", "major", "--limit", "workers"]))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    renamed.wait_for("docker04", "drain");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(
        renamed.specification("docker04"),
        "drain worker skep.drained-by skep.drained-from"
    );
}

fn whole_run(site: &UpgradeSite) {
    let renamed = &site.renamed;
    // Somebody has drained this node; it stays so.
    renamed.lab.on(
        "docker01",
        "docker node update --availability pause docker02",
    );
    let stop = AtomicBool::new(false);
    let (said, (sent, lost), thin) = std::thread::scope(|scope| {
        let requests = scope.spawn(|| balanced_requests(renamed, &stop));
        let samples = scope.spawn(|| thin_samples(renamed, &stop));
        let said = site.upgrade(&["--yes", "--accept", "major", "--json"]);
        stop.store(true, Ordering::SeqCst);
        (said, requests.join().unwrap(), samples.join().unwrap())
    });
    let said = said.exits(0);
    let report: serde_json::Value =
        serde_json::from_str(said.stdout.lines().last().unwrap()).unwrap();
    let hosts: Vec<&str> = report["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["host"].as_str().unwrap())
        .collect();
    assert_eq!(hosts.len(), 5, "{hosts:?}");
    assert!(
        hosts[..2].contains(&"diamond") && hosts[..2].contains(&"emerald"),
        "{hosts:?}"
    );
    assert!(sent > 50, "{sent} requests");
    assert_eq!(lost, 0, "of {sent} requests");
    assert_eq!(thin, 0, "samples with fewer than two managers");
    assert!(
        site.versions().iter().all(|version| version == "28.5.2"),
        "{:?}",
        site.versions()
    );
    for node in NODES {
        let role = if node < "docker04" {
            "manager"
        } else {
            "worker"
        };
        let availability = if node == "docker02" {
            "pause"
        } else {
            "active"
        };
        assert_eq!(
            renamed.specification(node),
            format!("{availability} {role}")
        );
    }
    site.upgrade(&["--yes"])
        .exits(0)
        .says("In sync: every node has the wanted versions.");
    renamed.lab.on(
        "docker01",
        "docker node update --availability active docker02",
    );
}

fn os_updates_and_reboots(site: &UpgradeSite) {
    let renamed = &site.renamed;
    site.offer("old", "Debian", |folder| {
        empty_package(folder, "skep-probe-plain", "1.0");
        empty_package(folder, "skep-probe-secure", "1.0");
    });
    for node in NODES {
        renamed.lab.on(
            node,
            "apt-get -q update && apt-get -q -y install skep-probe-plain skep-probe-secure",
        );
    }
    site.offer("plain", "Debian", |folder| {
        empty_package(folder, "skep-probe-plain", "2.0");
    });
    site.offer("secure", "Debian-Security", |folder| {
        empty_package(folder, "skep-probe-secure", "2.0");
    });
    renamed.lab.on("docker04", "touch /run/reboot-required");
    let boots = NODES.map(|node| site.boot(node));
    let installed = |node: &str| {
        renamed
            .lab
            .on(
                node,
                "dpkg-query -W -f '${Version} ' skep-probe-plain skep-probe-secure",
            )
            .trim()
            .to_owned()
    };
    // Security updates alone, and a reboot only where it is due. The canary goes first, and without
    // a terminal nobody agrees to the others.
    let limit = ["--limit", "diamond,emerald"];
    site.upgrade(&[&["--yes", "--os", "--reboot", "--canary"][..], &limit].concat())
        .exits(3);
    let done = ["docker04", "docker05"].map(|node| installed(node) == "1.0 2.0");
    assert_eq!(
        done.iter().filter(|done| **done).count(),
        1,
        "the canary alone"
    );
    site.upgrade(&[&["--yes", "--os", "--reboot"][..], &limit].concat())
        .exits(0);
    for (number, node) in NODES.iter().enumerate() {
        let changed = *node > "docker03";
        assert_eq!(
            installed(node),
            if changed { "1.0 2.0" } else { "1.0 1.0" },
            "{node}"
        );
        assert_eq!(
            site.boot(node) != boots[number],
            *node == "docker04",
            "{node}"
        );
    }
    site.upgrade(&["--yes", "--os", "--all", "--limit", "coral"])
        .exits(0)
        .says("coral: updates of the operating system: 2");
    assert_eq!(installed("docker03"), "2.0 2.0");
    for node in NODES {
        assert!(renamed.specification(node).starts_with("active"), "{node}");
        renamed
            .lab
            .until(node, "docker info >/dev/null", Duration::from_secs(30));
    }
}
