//! Settings of the shipped Vagrantfile for VirtualBox and libvirt, evaluated by real Vagrant with
//! the real plugins of both. No machine is made. A program that only prints a version replaces
//! VirtualBox, because Vagrant ignores its settings without it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

/// A Vagrantfile around the shipped one, with a command that prints the validated result.
const SHOW: &str = r#"
require "json"
load File.join(__dir__, "Vagrantfile")
class Show < Vagrant.plugin("2", :command)
  def execute
    with_target_vms(nil) do |machine|
      errors = machine.config.validate(machine).values.flatten
      settings, vm = machine.provider_config, machine.config.vm
      disks = vm.disks.reject(&:primary).map { |disk| disk.size }
      disks += settings.disks.map { |disk| disk[:size] } if settings.respond_to?(:disks)
      # VirtualBox's are arguments of `VBoxManage modifyvm`.
      memory, cores = if settings.respond_to?(:customizations)
        %w[--memory --cpus].map { |name| settings.customizations.flatten.each_cons(2).find { |key, _| key == name }&.last }
      else
        [settings.memory, settings.cpus]
      end
      puts "SHOWN " + JSON.generate(
        name: machine.name, provider: machine.provider_name, box: vm.box, memory: memory.to_i, cores: cores.to_i, disks: disks,
        addresses: vm.networks.map { |kind, options| options[:ip] if kind == :private_network }.compact,
        synced: vm.synced_folders.values.reject { |folder| folder[:disabled] }.length,
        provisioners: vm.provisioners.map(&:name), errors: errors)
    end
    0
  end
end
class ShowPlugin < Vagrant.plugin("2")
  name "show"
  command("show") { Show }
end
"#;

struct ProviderFolder(tempfile::TempDir);

impl ProviderFolder {
    fn new() -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("vagrant");
        for folder in ["presets", "bin"] {
            std::fs::create_dir(site.0.path().join(folder)).unwrap();
        }
        for file in [
            "Vagrantfile",
            "settings.rb",
            "cluster.toml",
            "presets/commander.toml",
            "presets/three-managers.toml",
        ] {
            std::fs::copy(root.join(file), site.0.path().join(file)).unwrap();
        }
        site.write("Show", SHOW);
        let program = site.write(
            "bin/VBoxManage",
            "#!/bin/sh\ncase \"$*\" in *--version*) echo 7.0.8r156879 ;; esac\n",
        );
        std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).unwrap();
        site
    }

    fn write(&self, name: &str, text: &str) -> std::path::PathBuf {
        std::fs::write(self.0.path().join(name), text).unwrap();
        self.0.path().join(name)
    }

    /// Returns the settings of each machine, and all output of Vagrant.
    #[track_caller]
    fn machines(&self, settings: &str, provider: Option<&str>) -> (Vec<Value>, String) {
        let mut command = Command::new("vagrant");
        command
            .arg("show")
            .current_dir(self.0.path())
            .env_remove("VAGRANT_DEFAULT_PROVIDER");
        command.env(
            "PATH",
            format!(
                "{}:{}",
                self.0.path().join("bin").display(),
                std::env::var("PATH").unwrap()
            ),
        );
        command.envs([
            ("VAGRANT_VAGRANTFILE", "Show"),
            ("VAGRANT_HOME", "home"),
            ("VAGRANT_CHECKPOINT_DISABLE", "1"),
        ]);
        command.env("SKEP_CLUSTER", settings);
        command.envs(provider.map(|provider| ("VAGRANT_DEFAULT_PROVIDER", provider)));
        let output = command.output().expect("vagrant is installed: .ci/install");
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{settings}, {provider:?}: {text}");
        let shown = text.lines().filter_map(|line| line.strip_prefix("SHOWN "));
        (
            shown
                .map(|line| serde_json::from_str(line).unwrap())
                .collect(),
            text,
        )
    }
}

#[test]
fn vagrant_settings_reach_virtualbox_and_libvirt() {
    let site = ProviderFolder::new();
    let gigabytes = 1024_u64 * 1024 * 1024;
    for (provider, disk) in [
        ("virtualbox", json!(10 * gigabytes)),
        ("libvirt", json!("10G")),
    ] {
        let machine = |name: &str, last: u32, disks: &[&Value]| {
            let provisioners = if disks.is_empty() {
                json!([])
            } else {
                json!(["data disk"])
            };
            json!({ "name": name, "provider": provider, "box": "bento/ubuntu-24.04", "memory": 2048, "cores": 2, "disks": disks,
                "addresses": [format!("192.168.56.{last}")], "synced": 0, "provisioners": provisioners, "errors": [] })
        };
        let (machines, said) = site.machines("cluster.toml", Some(provider));
        let wanted = [
            machine("docker01", 11, &[]),
            machine("docker02", 12, &[&disk]),
            machine("docker03", 13, &[]),
        ];
        assert_eq!(machines, wanted, "{said}");
        // Vagrant marks only the second disk of VirtualBox as experimental.
        assert_eq!(
            said.contains("Features:  disks"),
            provider == "virtualbox",
            "{said}"
        );

        let (machines, said) = site.machines("presets/commander.toml", Some(provider));
        let sizes: Vec<_> = machines
            .iter()
            .map(|machine| (machine["memory"].as_u64(), machine["cores"].as_u64()))
            .collect();
        let small = (Some(1024), Some(1));
        assert_eq!(
            sizes,
            [small, small, small, (Some(2048), Some(2))],
            "{said}"
        );
        let (machines, said) = site.machines("presets/three-managers.toml", Some(provider));
        let disks: Vec<usize> = machines
            .iter()
            .map(|machine| machine["disks"].as_array().unwrap().len())
            .collect();
        assert_eq!(disks, [0, 1, 0, 0, 0], "{said}");
        assert!(
            machines
                .iter()
                .all(|machine| machine["errors"] == json!([])),
            "{said}"
        );
    }
}

#[test]
fn vagrant_settings_choose_box_and_provider() {
    let site = ProviderFolder::new();
    // Both providers are installed; Vagrant itself would take VirtualBox, which the file names
    // first.
    let text = "[machines.a]\naddress = \"192.168.56.11\"\n[machines.b]\naddress = \"192.168.56.12\"\nbox = \"debian/trixie64\"\n";
    for (head, provider, first) in [
        ("", "virtualbox", "bento/ubuntu-24.04"),
        (
            "[cluster]\nprovider = \"libvirt\"\nbox = \"bento/debian-12\"\n",
            "libvirt",
            "bento/debian-12",
        ),
    ] {
        site.write("own.toml", &format!("{head}{text}"));
        let (machines, said) = site.machines("own.toml", None);
        let seen: Vec<_> = machines
            .iter()
            .map(|machine| (machine["provider"].clone(), machine["box"].clone()))
            .collect();
        assert_eq!(
            seen,
            [
                (json!(provider), json!(first)),
                (json!(provider), json!("debian/trixie64"))
            ],
            "{said}"
        );
    }
}
