//! Inventories from other programs. `terraform` is a fake that prints the output of the real
//! program; Vagrant and Ansible are real.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder, and a search path that only has a shell and the programs of the test.
pub struct SourcesFolder(tempfile::TempDir);

impl SourcesFolder {
    pub fn new() -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(site.path("bin")).unwrap();
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn program(&self, name: &str, text: &str) {
        let path = self.write(name, text);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs `skep inventory` here; returns its exit code and all output.
    pub fn inventory(&self, path: &str, arguments: &[&str]) -> (i32, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_skep"))
            .arg("inventory")
            .args(arguments)
            .current_dir(self.0.path())
            .env("PATH", path)
            .env_remove("SKEP_INVENTORY")
            .output()
            .unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8([output.stdout, output.stderr].concat()).unwrap(),
        )
    }

    #[track_caller]
    pub fn refused(&self, path: &str, source: &str, sentence: &str) {
        let (code, text) = self.inventory(path, &["-i", source]);
        assert_eq!(code, 2, "{text}");
        assert!(text.contains(sentence), "{sentence}\n---\n{text}");
        assert!(text.contains("1 error"), "one sentence: {text}");
    }
}

/// Search path of this machine.
pub const USUAL: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[test]
fn vagrant_failure_is_one_sentence() {
    let site = SourcesFolder::new();
    site.refused(
        USUAL,
        "vagrant:",
        "there is no Vagrantfile in . or above it",
    );
    site.refused(USUAL, "vagrant:none", "there is no folder none");
    site.write(
        "Vagrantfile",
        "Vagrant.configure('2') { |config| raise 'half-way' }\n",
    );
    site.refused(
        site.path("bin").to_str().unwrap(),
        "vagrant:",
        "vagrant is not installed",
    );
    // Real Vagrant, with a Vagrantfile that fails.
    site.refused(USUAL, "vagrant:", "`vagrant status` failed in ");
    site.write("Vagrantfile", "Vagrant.configure('2') { |config|\n");
    site.refused(USUAL, "vagrant:", "/Vagrantfile:1: syntax error");
}

#[test]
fn vagrant_queries_run_in_parallel_and_are_cached() {
    let site = SourcesFolder::new();
    site.write(
        "Vagrantfile",
        "Vagrant.configure('2') { |config| config.vm.define 'one' }\n",
    );
    // Real Vagrant behind a program that notes each query, and continues when the other query has
    // arrived, too.
    site.program(
        "bin/vagrant",
        "#!/bin/sh\necho $1 >>bin/asked\nfor try in $(seq 600); do\n  [ $(sort -u bin/asked | wc -l) = 2 ] && exec /usr/bin/vagrant \"$@\"\n  \
         sleep 0.1\ndone\necho 'asked alone' >&2\nexit 9\n",
    );
    let path = format!("{}:{USUAL}", site.path("bin").display());
    let asked = || {
        let mut asked: Vec<_> = std::fs::read_to_string(site.path("bin/asked"))
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect();
        asked.sort();
        asked
    };
    let list = || {
        let (code, text) = site.inventory(&path, &["-i", "vagrant:"]);
        assert!(
            code == 0
                && text.contains(
                    "not running: Vagrant says that it is not created; try `vagrant up one`"
                ),
            "{text}"
        );
    };
    list();
    assert_eq!(asked(), ["ssh-config", "status"]);
    list();
    assert_eq!(asked().len(), 2, "a recent answer is used again");
    site.write(
        "Vagrantfile",
        "Vagrant.configure('2') { |config| config.vm.define 'one', primary: true }\n",
    );
    list();
    assert_eq!(asked().len(), 4, "the Vagrantfile has changed");
}

#[test]
fn vagrant_swarm_address_is_not_guessed() {
    let site = SourcesFolder::new();
    site.write(
        "Vagrantfile",
        "Vagrant.configure('2') { |config| %w[one two].each { |name| config.vm.define name } }\n",
    );
    let machines = r#"{"machines":{"one":{"groups":["managers"]},"two":{"groups":["workers"]}}}"#;
    site.write(".vagrant/skep/cluster.json", machines);
    let playbook = Path::new(env!("CARGO_MANIFEST_DIR")).join("playbooks/swarm.toml");
    let validate = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skep"));
        let output = command
            .args(["validate", "-i", "vagrant:"])
            .arg(&playbook)
            .current_dir(site.0.path())
            .output()
            .unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8([output.stdout, output.stderr].concat()).unwrap(),
        )
    };
    let (code, text) = validate();
    assert!(
        code == 2
            && text.contains(
                "the address that one should advertise is unknown: SSH connects to the name `one`"
            ),
        "{text}"
    );
    assert!(
        text.contains("set the host's variable swarm_address (or advertise)"),
        "{text}"
    );
    let addressed = machines.replace(
        "{\"groups\":[\"m",
        "{\"address\":\"192.168.56.11\",\"groups\":[\"m",
    );
    site.write(
        ".vagrant/skep/cluster.json",
        &addressed.replace(
            "{\"groups\":[\"w",
            "{\"address\":\"192.168.56.12\",\"groups\":[\"w",
        ),
    );
    let (code, text) = validate();
    assert_eq!(code, 0, "{text}");
}

#[test]
fn shipped_vagrant_settings_validate() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("vagrant");
    let (site, mut settings) = (SourcesFolder::new(), vec!["cluster.toml".to_owned()]);
    for file in ["Vagrantfile", "settings.rb", "cluster.toml"] {
        std::fs::copy(root.join(file), site.path(file)).unwrap();
    }
    std::fs::create_dir(site.path("presets")).unwrap();
    for entry in std::fs::read_dir(root.join("presets")).unwrap() {
        let name = format!("presets/{}", entry.unwrap().file_name().to_str().unwrap());
        std::fs::copy(root.join(&name), site.path(&name)).unwrap();
        settings.push(name);
    }
    assert!(settings.len() >= 3, "{settings:?}");
    let validate = |setting: &str| {
        let output = Command::new("vagrant")
            .args(["validate", "--ignore-provider"])
            .current_dir(site.0.path())
            .envs([
                ("SKEP_CLUSTER", setting),
                ("VAGRANT_HOME", "home"),
                ("VAGRANT_CHECKPOINT_DISABLE", "1"),
            ])
            .env(
                "VAGRANT_DOTFILE_PATH",
                format!(".of-{}", setting.replace('/', "-")),
            )
            .env_remove("VAGRANT_DEFAULT_PROVIDER")
            .output()
            .expect("vagrant is installed: .ci/install");
        (
            output.status.code().unwrap(),
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        )
    };
    for setting in &settings {
        let (code, text) = validate(setting);
        assert_eq!(code, 0, "{setting}: {text}");
        // The same file is TOML, and skep must receive the values that it contains.
        let toml: toml::Table = std::fs::read_to_string(site.path(setting))
            .unwrap()
            .parse()
            .unwrap();
        let told = site.path(&format!(
            ".of-{}/skep/cluster.json",
            setting.replace('/', "-")
        ));
        let told: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(told).unwrap()).unwrap();
        let machines = toml["machines"].as_table().unwrap();
        assert_eq!(
            told["machines"].as_object().unwrap().len(),
            machines.len(),
            "{setting}"
        );
        for (name, machine) in machines {
            let machine = serde_json::to_value(machine).unwrap();
            assert_eq!(
                told["machines"][name]["address"], machine["address"],
                "{setting}"
            );
            assert_eq!(
                told["machines"][name]["groups"], machine["groups"],
                "{setting}"
            );
        }
        assert_eq!(
            told["vars"],
            serde_json::to_value(&toml["vars"]).unwrap(),
            "{setting}"
        );
    }
    for (text, why) in [
        (
            "[cluster]\nmemry = 5\n[machines.a]\naddress = \"1.2.3.4\"\n",
            "[cluster] has no `memry`",
        ),
        (
            "[machines.a]\naddress = \"1.2.3\"\n",
            "[machines.a] needs `address`",
        ),
        (
            "[machines.a]\naddress = \"1.2.3.4\"\n[machines.b]\naddress = \"1.2.3.4\"\n",
            "have the same address",
        ),
        ("[machines.a]\naddress = 1.5\n", "bad.toml:2: "),
        (
            "[machines.a]\naddress = \"1.2.3.4\"\nmemory = \"2 GB\"\n",
            "`memory`, which is not a whole number above 0",
        ),
        (
            "[machines.a]\naddress = \"1.2.3.4\"\ndata_disk = 0\n",
            "`data_disk`, which is not a whole number above 0",
        ),
        (
            "[machines.a]\naddress = \"1.2.3.4\"\ngroups = \"db\"\n",
            "`groups`, which is not a list of names",
        ),
        (
            "[cluster]\nbox = 7\n[machines.a]\naddress = \"1.2.3.4\"\n",
            "[cluster] has `box`, which is not a text",
        ),
    ] {
        site.write("bad.toml", text);
        let (code, said) = validate("bad.toml");
        assert!(code != 0 && said.contains(why), "{why}: {said}");
    }
    let (code, said) = validate("none.toml");
    assert!(
        code != 0 && said.contains("none.toml cannot be read (No such file or directory)"),
        "{said}"
    );
}

/// Output in the form of `terraform output -json`
/// (developer.hashicorp.com/terraform/cli/commands/output).
const TERRAFORM: &str = r#"{
  "region": { "sensitive": false, "type": "string", "value": "eu-1" },
  "db_password": { "sensitive": true, "type": "string", "value": "hunter2" },
  "skep": {
    "sensitive": false,
    "type": ["object", { "hosts": ["map", "dynamic"] }],
    "value": {
      "groups": ["db"],
      "vars": { "registry": "docker01:5000" },
      "hosts": {
        "docker01": { "address": "203.0.113.1", "groups": ["managers"], "user": "debian", "become": true,
                      "vars": { "swarm_address": "10.0.0.1" } },
        "docker02": { "address": "203.0.113.2", "groups": ["workers"] }
      }
    }
  }
}"#;

#[test]
fn terraform_inventory_is_merged_and_saved() {
    let site = SourcesFolder::new();
    site.write("infra/output.json", TERRAFORM);
    // The fake answers the only query that the real program gets, in its folder.
    site.program(
        "bin/terraform",
        "#!/bin/sh\n[ \"$*\" = 'output -json -no-color' ] && exec /bin/cat output.json\nexit 1\n",
    );
    let path = site.path("bin");
    let path = path.to_str().unwrap();
    site.write(
        "more.toml",
        "[vars]\ndocker_users = [\"debian\"]\n[hosts.docker03]\naddress = \"203.0.113.3\"\n",
    );
    let (code, text) = site.inventory(path, &["-i", "terraform:infra", "-i", "more.toml"]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("docker01  debian@203.0.113.1:22  managers") && text.contains("docker03"),
        "{text}"
    );
    assert!(
        text.contains("docker_users = [\"debian\"]") && !text.contains("hunter2"),
        "{text}"
    );
    let (code, kept) = site.inventory(path, &["-i", "terraform:infra", "--toml"]);
    assert_eq!(code, 0, "{kept}");
    site.write("kept.toml", &kept);
    let view = |source: &str| {
        let (code, text) = site.inventory(path, &["-i", source, "--json"]);
        assert_eq!(code, 0, "{text}");
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    assert_eq!(
        view("kept.toml")["hosts"],
        view("terraform:infra")["hosts"],
        "{kept}"
    );
    // A timer reads files, not programs.
    site.write(
        "p.toml",
        "[[plays]]\nhosts = \"all\"\nresources = [{ symlink = { path = \"/a\", target = \"/b\" } }]\n",
    );
    let output = Command::new(env!("CARGO_BIN_EXE_skep"))
        .args([
            "schedule",
            "install",
            "--print",
            "--every",
            "15m",
            "-i",
            "terraform:infra",
            "p.toml",
        ])
        .current_dir(site.0.path())
        .env("PATH", path)
        .output()
        .unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(
        text.contains("`skep inventory -i terraform:infra --toml`"),
        "{text}"
    );
    assert_eq!(output.status.code(), Some(2), "{text}");
    site.refused(
        "/nonexistent",
        "terraform:infra",
        "terraform is not installed",
    );
    // Terraform 0.15 and later draw errors in this form.
    site.program(
        "bin/terraform",
        "#!/bin/sh\nprintf '╷\\n│ Error: no state\\n│ \\n╵\\n' >&2\nexit 1\n",
    );
    site.refused(
        path,
        "terraform:infra",
        "`terraform output -json` failed in infra: no state",
    );
}

#[test]
fn ansible_ini_is_read_without_ansible() {
    let site = SourcesFolder::new();
    site.write(
        "hosts.ini",
        "[managers]\nm1 ansible_host=10.0.0.1\n[workers]\nw[1:2]\n[all:vars]\nansible_user=ann\n",
    );
    let (code, text) = site.inventory("/nonexistent", &["-i", "ansible:hosts.ini"]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("m1  ann@10.0.0.1:22  managers") && text.contains("w2  ann@w2:22  workers"),
        "{text}"
    );
    site.write("hosts.yml", "all: {}\n");
    site.refused(
        "/nonexistent",
        "ansible:hosts.yml",
        "ansible-inventory is not installed",
    );
    site.refused("/nonexistent", "ansible:none", "there is no file none");
    site.write("odd.ini", "[a]\nw[a:c]\n");
    site.refused(
        "/nonexistent",
        "ansible:odd.ini",
        "odd.ini:2: `w[a:c]` needs Ansible itself",
    );
}

#[test]
fn ansible_inventory_program_gives_the_same_result() {
    let site = SourcesFolder::new();
    let view = |path: &str, file: &str| {
        let (code, text) = site.inventory(path, &["-i", &format!("ansible:{file}"), "--json"]);
        assert_eq!(code, 0, "{text}");
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    site.write(
        "hosts.ini",
        "lone:2200\n[managers]\nm1 ansible_host=10.0.0.1 note='two words'\n[workers]\nw[01:02] ansible_port=2222 # two\n\
         [swarm:children]\nmanagers\nworkers # the rest\n[swarm:vars]\nregistry=m1:5000\nansible_become=true\n\
         [all:vars]\nansible_user=ann\nsize=3\n",
    );
    let read = view("/nonexistent", "hosts.ini");
    assert_eq!(read["hosts"]["w02"]["port"], 2222, "{read}");
    assert_eq!(
        view(USUAL, "hosts.ini"),
        read,
        "Ansible's own answer for the same file"
    );
    site.write(
        "hosts.yml",
        "all:\n  vars: { ansible_user: ann, size: 3 }\n  hosts: { lone: { ansible_port: 2200 } }\n  children:\n    swarm:\n\
         \x20     vars: { registry: 'm1:5000', ansible_become: true }\n      children:\n        managers:\n\
         \x20         hosts: { m1: { ansible_host: 10.0.0.1, note: two words } }\n\
         \x20       workers: { hosts: { w01: { ansible_port: 2222 }, w02: { ansible_port: 2222 } } }\n",
    );
    assert_eq!(view(USUAL, "hosts.yml"), read, "the same inventory in YAML");
    for (file, text) in [("odd.yml", "all: {\n"), ("odd.ini", "[managers\nm1\n")] {
        site.write(file, text);
        let source = format!("ansible:{file}");
        let sentence = format!("`ansible-inventory --list -i {file}` failed: ");
        site.refused(USUAL, &source, &sentence);
    }
}

#[test]
fn executable_inventory_prints_json() {
    let site = SourcesFolder::new();
    site.program(
        "list",
        "#!/bin/sh\n[ \"$1\" = --list ] && echo '{\"managers\":[\"m1\"],\"_meta\":{\"hostvars\":{}}}'\n",
    );
    let (code, text) = site.inventory(USUAL, &["-i", "list"]);
    assert!(code == 0 && text.contains("m1:22  managers"), "{text}");
    // Two sources with the same names: one sentence covers all of them, without a line of generated
    // text.
    let both = "#!/bin/sh\necho '{\"managers\":[\"m1\",\"m2\"],\"_meta\":{\"hostvars\":{}}}'\n";
    site.program("one", both);
    site.program("other", both);
    let (code, text) = site.inventory(USUAL, &["-i", "one", "-i", "other"]);
    assert!(
        code == 2 && text.contains("error: one and other have hosts of the same names: m1, m2\n"),
        "{text}"
    );
    assert!(text.contains("1 error"), "{text}");
    site.write("own.toml", "[hosts.m2]\naddress = \"10.0.0.2\"\n");
    let (code, text) = site.inventory(USUAL, &["-i", "one", "-i", "own.toml"]);
    assert!(
        code == 2
            && text.contains("the host `m2` is defined twice")
            && text.contains("own.toml:1:8"),
        "{text}"
    );
    site.program("list", "#!/bin/sh\necho no; exit 0\n");
    site.refused(USUAL, "list", "list: not a JSON inventory");
    site.program("list", "#!/bin/sh\necho 'the cloud is away' >&2; exit 7\n");
    site.refused(USUAL, "list", "`list --list` failed: the cloud is away");
}

#[test]
fn stopped_host_is_listed_and_not_contacted() {
    let site = SourcesFolder::new();
    site.write(
        "i.toml",
        "[hosts.a]\naddress = \"127.0.0.1\"\nport = 1\nnot_running = \"it is off; try `on a`\"\n",
    );
    let (code, text) = site.inventory(USUAL, &["-i", "i.toml"]);
    assert!(
        code == 0 && text.contains("not running: it is off; try `on a`"),
        "{text}"
    );
    let output = Command::new(env!("CARGO_BIN_EXE_skep"))
        .args(["ping", "-i", "i.toml"])
        .current_dir(site.0.path())
        .output()
        .unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(
        text.contains("not running: it is off; try `on a`") && !text.contains("refused"),
        "{text}"
    );
}
