//! Real Vagrant with its docker provider: machines from nothing, a cluster, and a machine that is
//! destroyed and created again.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::skep::{Said, command, root, skep};

/// A folder with the shipped Vagrantfile, settings of its own, and the package mirror of a lab
/// environment without nodes.
struct VagrantEnvironment {
    lab: String,
    folder: tempfile::TempDir,
    subnet: String,
}

impl VagrantEnvironment {
    fn new(machines: &str) -> Self {
        let process = std::process::id();
        let lab = format!("t{process}-vagrant");
        let folder = tempfile::Builder::new()
            .prefix(&format!("skept{process}v"))
            .tempdir()
            .unwrap();
        // Addresses other than the shipped ones, so that two runs on one machine do not collide.
        let subnet = format!("10.214.{}", process % 250);
        let environment = Self {
            lab,
            folder,
            subnet,
        };
        for file in ["Vagrantfile", "settings.rb"] {
            std::fs::copy(root().join("vagrant").join(file), environment.path(file)).unwrap();
        }
        let playbook = root().join("playbooks/web2py.toml");
        let settings = format!(
            "[cluster]\nlot = \"{}\"\napply = {playbook:?}\n\n[vars]\ndocker_users = [\"vagrant\"]\nregistry = \"docker01:5000\"\n\n{}",
            environment.lab,
            machines.replace("SUBNET", &environment.subnet)
        );
        std::fs::write(environment.path("cluster.toml"), settings).unwrap();
        // This program records each call of skep by Vagrant.
        let program = environment.path("skep");
        // A separate folder: after a change beside the Vagrantfile, skep queries Vagrant again.
        std::fs::create_dir(environment.path("notes")).unwrap();
        let calls = environment.path("notes/calls");
        let text = format!(
            "#!/bin/sh\necho \"$*\" >>{calls:?}\nexec {:?} \"$@\"\n",
            env!("CARGO_BIN_EXE_skep")
        );
        std::fs::write(&program, text).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let inventory = environment.path("lab.toml");
        let lab = [
            "lab",
            "up",
            "--name",
            &environment.lab,
            "--managers",
            "0",
            "--workers",
            "0",
            "--inventory",
        ];
        skep(&[&lab, [inventory.to_str().unwrap()].as_slice()].concat()).exits(0);
        environment
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn vagrant(&self, arguments: &[&str]) -> Said {
        let output = Command::new("vagrant")
            .args(arguments)
            .current_dir(self.folder.path())
            .envs(self.variables())
            .stdin(Stdio::null())
            .output()
            .expect("vagrant is installed: .ci/install");
        Said::from(output)
    }

    fn variables(&self) -> [(&'static str, PathBuf); 6] {
        let home = || std::env::var_os("HOME").map_or_else(|| "/root".into(), PathBuf::from);
        let state = std::env::var_os("SKEP_STATE_DIR")
            .map_or_else(|| home().join(".local/state/skep/lab"), PathBuf::from);
        [
            ("SKEP_STATE_DIR", state),
            ("SKEP", self.path("skep")),
            // Vagrant's state is kept in the test's folder, so that the user's own is not changed.
            ("VAGRANT_HOME", self.path("home")),
            ("VAGRANT_DEFAULT_PROVIDER", "docker".into()),
            ("VAGRANT_CHECKPOINT_DISABLE", "1".into()),
            ("HOME", self.folder.path().into()),
        ]
    }

    /// Runs `vagrant up`. The docker provider inspects every container of this machine, one by one,
    /// and fails if a container of another test disappears meanwhile; then the test tries again
    /// from nothing.
    fn up(&self, names: &[&str]) {
        for _ in 0..6 {
            let said = self.vagrant(&[&["up", "--provider=docker"], names].concat());
            let text = format!("{}{}", said.stdout, said.stderr);
            if ![
                "No such object",
                "No such container",
                "No such network",
                "is locked",
            ]
            .iter()
            .any(|fault| text.contains(fault))
            {
                said.exits(0);
                return;
            }
            self.vagrant(&[&["destroy", "-f"], names].concat());
        }
        panic!("vagrant up {names:?} met other tests' containers six times");
    }

    fn skep(&self, verb: &str, more: &[&str]) -> Said {
        let source = format!("vagrant:{}", self.folder.path().display());
        // `node` has a verb of its own before the options.
        let arguments = if verb == "node" {
            [&[verb, more[0], "-i", &source], &more[1..]].concat()
        } else {
            [&[verb, "-i", &source], more].concat()
        };
        Said::from(
            command(&arguments)
                .envs(self.variables())
                .output()
                .expect("skep starts"),
        )
    }

    /// Runs a shell script in a machine, without skep and Vagrant.
    #[track_caller]
    fn on(&self, machine: &str, script: &str) -> String {
        let container =
            std::fs::read_to_string(self.path(&format!(".vagrant/machines/{machine}/docker/id")))
                .unwrap();
        let output = Command::new("docker")
            .args(["exec", container.trim(), "sh", "-c", script])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "`{script}` on {machine}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn nodes(&self) -> String {
        self.on(
            "docker01",
            "for node in $(docker node ls -q); do docker node inspect -f \
             '{{.Description.Hostname}} {{.Spec.Role}} {{.Status.State}} {{.Status.Addr}} {{.Spec.Labels}}' $node; done | sort",
        )
    }
}

impl Drop for VagrantEnvironment {
    fn drop(&mut self) {
        if crate::test_lab::keeps_labs() {
            return;
        }
        self.vagrant(&["destroy", "-f"]);
        // Machines carry the label of the environment, so those that Vagrant forgot are removed
        // with it.
        let _ = skep(&["lab", "down", "--name", &self.lab]);
        let network = format!("vagrant_network_{}.0/24", self.subnet);
        let _ = Command::new("docker")
            .args(["network", "rm", &network])
            .output();
    }
}

const REFERENCE: &str = "[machines.docker01]\naddress = \"SUBNET.11\"\ngroups = [\"managers\", \"registry\"]\n\n\
    [machines.docker02]\naddress = \"SUBNET.12\"\ngroups = [\"workers\", \"db\"]\n\n\
    [machines.docker03]\naddress = \"SUBNET.13\"\ngroups = [\"workers\"]\n";

#[test]
fn vagrant_up_rebuild_and_drill() {
    let environment = VagrantEnvironment::new(REFERENCE);
    let playbook = "playbooks/web2py.toml";
    environment
        .skep("inventory", &[])
        .exits(0)
        .says("not running: Vagrant says that it is not created; try `vagrant up docker02`");
    // `vagrant up` alone creates the cluster: it calls skep once for all machines, after the last
    // one. Before that, machines are missing.
    let applied = || -> usize {
        let calls = std::fs::read_to_string(environment.path("notes/calls")).unwrap_or_default();
        calls
            .lines()
            .filter(|line| line.starts_with("apply "))
            .count()
    };
    environment.up(&["docker03"]);
    assert_eq!(applied(), 0);
    environment.up(&[]);
    assert_eq!(applied(), 1);
    environment
        .skep("check", &[playbook])
        .exits(0)
        .says("In sync");
    environment
        .skep("apply", &[playbook, "--yes"])
        .exits(0)
        .says("In sync, checked");
    // From here on, the test calls `apply` itself.
    let settings = environment.path("cluster.toml");
    let text = std::fs::read_to_string(&settings).unwrap();
    let without: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("apply"))
        .collect();
    std::fs::write(&settings, without.join("\n") + "\n").unwrap();
    let subnet = &environment.subnet;
    let whole = format!(
        "docker01 manager ready {subnet}.11 map[]\ndocker02 worker ready {subnet}.12 map[web2py.tier.db:true]\n\
         docker03 worker ready {subnet}.13 map[]"
    );
    assert_eq!(
        environment.nodes(),
        whole,
        "each advertises its private address"
    );

    let known_hosts = environment.path(".vagrant/skep/known_hosts");
    let keys = || -> Vec<String> {
        let text = std::fs::read_to_string(&known_hosts).unwrap();
        let mut keys: Vec<String> = text.lines().map(str::to_owned).collect();
        keys.sort();
        keys
    };
    let before = keys();
    environment.vagrant(&["destroy", "-f", "docker02"]).exits(0);
    environment
        .skep("check", &[playbook])
        .exits(4)
        .says("docker02")
        .says("not created; try `vagrant up docker02`");
    environment.up(&["docker02"]);
    environment.skep("apply", &[playbook, "--yes"]).exits(0);
    environment
        .skep("check", &[playbook])
        .exits(0)
        .says("In sync");
    assert_eq!(
        environment.nodes(),
        whole,
        "three nodes, no ghost, the same labels"
    );
    let after = keys();
    assert_eq!(
        after.len(),
        3,
        "the old machine's key is forgotten: {after:#?}"
    );
    assert_eq!(
        before.iter().filter(|key| after.contains(key)).count(),
        2,
        "the new machine's key is another"
    );
    environment
        .skep(
            "inventory",
            &[
                "-i",
                &format!("vagrant:{}", environment.folder.path().display()),
            ],
        )
        .exits(2)
        .says("is given twice");

    // Rebuild in one command. Neither `node rebuild` nor a drill may run the playbook that
    // `vagrant up` would apply: here a playbook that leaves a trace.
    let trace = environment.path("trace.toml");
    let play = "[[plays]]\nhosts = \"all\"\nresources = [{ file = { path = \"/etc/trace\", content = \"applied\\n\" } }]\n";
    std::fs::write(&trace, play).unwrap();
    let line = format!("[cluster]\napply = {trace:?}\n");
    std::fs::write(
        &settings,
        (without.join("\n") + "\n").replace("[cluster]\n", &line),
    )
    .unwrap();
    let old = environment.on("docker03", "cat /etc/machine-id");
    environment
        .skep("node", &["rebuild", "docker03", playbook, "--yes"])
        .exits(0)
        .says("docker03 is rebuilt");
    assert_ne!(environment.on("docker03", "cat /etc/machine-id"), old);
    assert_eq!(environment.nodes(), whole);

    let lab = std::fs::read_to_string(environment.path("lab.toml")).unwrap();
    let mirror = lab
        .split("docker_repository = \"")
        .nth(1)
        .unwrap()
        .split("/docker\"")
        .next()
        .unwrap();
    for machine in ["docker01", "docker02", "docker03"] {
        environment.on(
            machine,
            &format!("curl -sSf {mirror}/images/busybox.tar | docker import - drill:1"),
        );
    }
    environment.on(
        "docker01",
        "docker service create --no-resolve-image --name web --mode global --publish mode=host,target=80,published=8080 \
           drill:1 /bin/httpd -f -p 80 -h /etc",
    );
    let said = environment
        .skep("drill", &["worker-loss"])
        .exits(0)
        .says("docker02 will be stopped");
    for line in [
        "lost nodes called down",
        "requests to the others lost",
        "whole again after the start",
    ] {
        assert!(
            said.stdout
                .lines()
                .any(|row| row.starts_with(line) && row.ends_with("yes")),
            "{}",
            said.stdout
        );
    }
    assert_eq!(environment.nodes(), whole);
    environment.on("docker02", "test ! -e /etc/trace");
    environment.on("docker03", "test ! -e /etc/trace");
    // A box without sudo.
    environment.on("docker03", "mv /usr/bin/sudo /root/sudo");
    environment
        .skep("check", &[playbook])
        .exits(4)
        .says("cannot become root")
        .says("sudo is not installed on the host");
    environment.on("docker03", "mv /root/sudo /usr/bin/sudo");
    environment.skep("check", &[playbook]).exits(0);
    assert!(
        !environment.path(".ssh").exists(),
        "the user's own known hosts are never touched"
    );
}
