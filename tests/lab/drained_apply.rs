//! An apply that restarts Engines in a play with `drain = true`. It uses the site and the services
//! of `node_maintenance`.

use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::renamed_site::{LIMIT, NODES, RenamedSite, balanced_requests, thin_samples};
use crate::skep::{Said, command, skep};

/// A playbook whose every new size of a log restarts the Engines.
struct DrainedPlay<'a> {
    site: &'a RenamedSite,
    playbook: String,
}

impl<'a> DrainedPlay<'a> {
    fn new(site: &'a RenamedSite) -> Self {
        let folder = std::path::Path::new(&site.inventory).parent().unwrap();
        let playbook = folder.join("drained.toml").display().to_string();
        Self { site, playbook }
    }

    fn write(&self, log_size: &str) {
        let text = format!(
            r#"[[plays]]
name = "Engines"
hosts = "all"
drain = true
resources = [{{ daemon_json = {{ log-driver = "json-file", log-opts = {{ max-size = "{log_size}", max-file = "3" }} }} }}]
"#
        );
        std::fs::write(&self.playbook, text).unwrap();
    }

    fn arguments<'b>(&'b self, verb: &'b str, more: &[&'b str]) -> Vec<&'b str> {
        let (inventory, playbook) = (&self.site.inventory, &self.playbook);
        [&[verb, "-i", inventory, playbook], more].concat()
    }

    fn run(&self, verb: &str, more: &[&str]) -> Said {
        skep(&self.arguments(verb, more))
    }

    fn start(&self, more: &[&str]) -> Child {
        command(&self.arguments("apply", more))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn log_size(&self, node: &str) -> String {
        let script = r#"sed -n 's/.*"max-size": *"\([^"]*\)".*/\1/p' /etc/docker/daemon.json"#;
        self.site.lab.on(node, script)
    }

    fn every_node_is_active(&self) {
        for node in NODES {
            let said = self.site.specification(node);
            assert!(
                said == "active manager" || said == "active worker",
                "{node}: {said}"
            );
        }
    }
}

/// Restarts the Engines of all nodes without a lost request, and finishes runs that died.
pub fn restarts_drained_engines(site: &RenamedSite) {
    let play = DrainedPlay::new(site);
    play.write("7m");
    play.run("plan", &[])
        .exits(0)
        .says("its node is drained first; these services move: web")
        .says("the drain interrupts database")
        .says("`apply` refuses that");

    let stop = AtomicBool::new(false);
    let (said, (sent, lost), thin) = std::thread::scope(|scope| {
        let requests = scope.spawn(|| balanced_requests(site, &stop));
        let samples = scope.spawn(|| thin_samples(site, &stop));
        let said = play.run("apply", &["--yes"]);
        stop.store(true, Ordering::SeqCst);
        (said, requests.join().unwrap(), samples.join().unwrap())
    });
    said.exits(1)
        .says("draining emerald interrupts database")
        .says("diamond: note: its node is back, active");
    assert!(sent > 50, "{sent} requests");
    assert_eq!((lost, thin), (0, 0), "of {sent} requests");
    play.every_node_is_active();
    for node in NODES {
        assert_eq!(play.log_size(node) == "7m", node != "docker05", "{node}");
    }
    play.run("apply", &["--yes", "--allow-interruption"])
        .exits(0);
    assert_eq!(play.log_size("docker05"), "7m");
    assert_eq!(site.runs_on("database"), "docker05");
    play.every_node_is_active();

    // A run that dies after the drain, and one that dies after the restart.
    play.write("8m");
    // The lock of a run that died expires within a minute.
    let diamond = ["--yes", "--limit", "diamond", "--lock-wait", "90s"];
    let mut child = play.start(&diamond);
    site.wait_for("docker04", "drain");
    child.kill().unwrap();
    child.wait().unwrap();
    play.run("apply", &diamond).exits(0);
    assert_eq!(play.log_size("docker04"), "8m");
    play.every_node_is_active();
    site.lab.on(
        "docker01",
        "docker node update --availability drain --label-add skep.drained-from=active --label-add 'skep.drained-by=ann@desk 2026-01-01T00:00:00Z apply' docker04",
    );
    play.run("apply", &diamond)
        .exits(0)
        .says("diamond: an interrupted apply had drained its node; it has its availability back");
    play.every_node_is_active();

    // A node that somebody else drained stays drained.
    site.node(&["drain", "diamond"]).exits(0);
    play.write("9m");
    play.run("plan", &["--limit", "diamond"])
        .says("its node is drained already, and stays so");
    play.run("apply", &diamond).exits(0);
    assert_eq!(
        site.specification("docker04"),
        "drain worker skep.drained-by skep.drained-from"
    );
    site.node(&["activate", "diamond"]).exits(0);
    site.lab
        .until("docker01", "docker service ls | grep 'agent.*5/5'", LIMIT);
}
