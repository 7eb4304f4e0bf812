//! Protection of the operator: commands, passwords and files of the operator's machine do not leak.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder with an inventory and a playbook, in which skep runs.
struct OperatorFolder(tempfile::TempDir);

impl OperatorFolder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write(
            "site/inventory.toml",
            "[hosts.docker01]\naddress = '192.0.2.1'\ngroups = ['managers']\n",
        );
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn program(&self, name: &str, text: &str) -> PathBuf {
        let path = self.write(name, text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn skep(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skep"));
        command
            .args(arguments)
            .current_dir(self.path("site"))
            .env("XDG_STATE_HOME", self.path("state"));
        command
    }

    /// Validates a playbook with these resources.
    fn validate(&self, resources: &str) -> (i32, String) {
        self.write(
            "site/playbook.toml",
            &format!("[[plays]]\nhosts = 'all'\nresources = [{resources}]\n"),
        );
        said(
            &self
                .skep(&["validate", "-i", "inventory.toml", "playbook.toml"])
                .output()
                .unwrap(),
        )
    }
}

fn said(output: &Output) -> (i32, String) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// The addresses come from a program, as from a cloud whose one machine belongs to an attacker.
#[test]
fn an_address_runs_no_command() {
    let folder = OperatorFolder::new();
    let marker = folder.path("ran");
    folder.write(
        "site/base.toml",
        "[defaults]\nuser = 'root'\nproxy_command = 'nc %h %p'\nhost_keys = 'accept-new'\nssh_config = false\nconnect_timeout = '1s'\n",
    );
    let touch = format!("touch {}", marker.display());
    for (key, value) in [
        ("ansible_host", format!("fe80::1%$({touch})")),
        ("ansible_host", format!("fe80::1%x;{touch};")),
        ("ansible_host", format!("$({touch})")),
        ("ansible_host", "-oProxyCommand=x".into()),
        ("ansible_user", format!("$({touch})")),
        ("ansible_user", format!("`{touch}`")),
        ("ansible_user", "-l".into()),
    ] {
        let json = serde_json::json!({
            "all": { "hosts": ["web"] },
            "_meta": { "hostvars": { "web": { key: value } } },
        });
        folder.program(
            "site/inventory.sh",
            &format!("#!/bin/sh\ncat <<'J'\n{json}\nJ\n"),
        );
        let output = folder
            .skep(&["ping", "-i", "base.toml", "-i", "./inventory.sh"])
            .output();
        let (code, text) = said(&output.unwrap());
        assert_eq!(code, 2, "{key} {value}: {text}");
        assert!(!marker.exists(), "{key} {value}");
    }
    for alias in [
        format!("$({touch})"),
        "*".into(),
        "a,b".into(),
        "-x".into(),
        "a b".into(),
    ] {
        let text = format!(
            "[hosts.web]\nhost_key_alias = {}\n",
            toml::Value::String(alias)
        );
        folder.write("site/alias.toml", &text);
        let output = folder
            .skep(&["ping", "-i", "base.toml", "-i", "alias.toml"])
            .output();
        let (code, text) = said(&output.unwrap());
        assert!(code == 2 && text.contains("known hosts"), "{text}");
        assert!(!marker.exists());
    }
    // `skep known-hosts scan` takes names that are in no inventory.
    let name = format!("fe80::1%$({touch})");
    let output = folder
        .skep(&["known-hosts", "scan", "-i", "base.toml", &name])
        .output();
    let (code, text) = said(&output.unwrap());
    assert!(code != 0 && !marker.exists(), "{text}");
}

#[test]
fn programs_do_not_receive_the_passwords() {
    let folder = OperatorFolder::new();
    let (seen, told) = (folder.path("seen"), folder.path("told"));
    folder.write(
        "site/playbook.toml",
        "[[plays]]\nhosts = 'all'\nresources = [{ group = { name = 'x' } }]\n",
    );
    let json = r#"{"all":{"hosts":["web"]},"_meta":{"hostvars":{"web":{"ansible_host":"127.0.0.1","ansible_port":1}}}}"#;
    folder.program(
        "site/inventory.sh",
        &format!("#!/bin/sh\nenv >{}\ncat <<'J'\n{json}\nJ\n", seen.display()),
    );
    let notify = format!("env >{}", told.display());
    let mut command = folder.skep(&["check", "-F", "none", "--notify", &notify]);
    command.args(["-i", "./inventory.sh", "playbook.toml"]);
    for name in skep::base::SECRET_VARIABLES {
        command.env(name, "hunter2");
    }
    let (code, text) = said(&command.env("OTHER", "other").output().unwrap());
    assert_eq!(code, 4, "{text}");
    for file in [seen, told] {
        let environment =
            std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert!(environment.contains("OTHER=other"), "{environment}");
        assert!(!environment.contains("hunter2"), "{environment}");
    }
}

#[test]
fn a_playbook_reads_its_own_folders() {
    let folder = OperatorFolder::new();
    let secret = folder.write("secret", "s3cret");
    folder.write("site/files/own", "x");
    folder.write("site/templates/include", "{% include '../../secret' %}");
    std::os::unix::fs::symlink(&secret, folder.path("site/link")).unwrap();
    std::os::unix::fs::symlink(folder.path("."), folder.path("site/up")).unwrap();
    let absolute = secret.display();
    let file = |more: &str| format!("{{ file = {{ path = '/etc/x', {more} }} }}");
    let resources = [
        file(&format!("source = '{absolute}'")),
        file("source = '../secret'"),
        file("source = '../../../../../../../../etc/passwd'"),
        file("source = 'link'"),
        file("source = 'up/secret'"),
        file(&format!("template = '{absolute}'")),
        file("template = '../secret'"),
        file("template = 'include'"),
        file(&format!("content = \"{{% include '{absolute}' %}}\"")),
        file("content = \"{% include '../secret' %}\""),
        "{ stack = { name = 's', sources = ['../secret'] } }".to_owned(),
        format!(
            "{{ image = {{ name = 'i', context = '{}' }} }}",
            folder.0.path().display()
        ),
        "{ image = { name = 'i', archive = '../secret' } }".to_owned(),
        "{ secret = { name = 's', file = '../secret' } }".to_owned(),
        "{ config = { name = 's', source = '../secret' } }".to_owned(),
    ];
    for resource in &resources {
        let (code, text) = folder.validate(resource);
        assert_eq!(code, 2, "{resource}: {text}");
        assert!(!text.contains("s3cret"), "{resource}: {text}");
    }
    let (_, text) = folder.validate(&resources[1]);
    assert!(
        text.contains("outside of the playbook's folders") && text.contains("allowed_paths"),
        "{text}"
    );
    let (code, text) = folder.validate(&file("source = 'own'"));
    assert_eq!(code, 0, "{text}");
    // The inventory may allow more.
    let inventory = "[hosts.docker01]\naddress = '192.0.2.1'\ngroups = ['managers']\n";
    folder.write(
        "site/inventory.toml",
        &format!("allowed_paths = ['../secret']\n{inventory}"),
    );
    for resource in &resources[..2] {
        let (code, text) = folder.validate(resource);
        assert_eq!(code, 0, "{resource}: {text}");
    }
    let (code, text) = folder.validate(&resources[2]);
    assert_eq!(code, 2, "only what is allowed: {text}");
    let output = folder
        .skep(&["inventory", "-i", "inventory.toml", "--toml"])
        .output()
        .unwrap();
    let (_, text) = said(&output);
    assert!(text.contains("allowed_paths = ["), "{text}");
    folder.write(
        "site/inventory.toml",
        &format!("allowed_paths = ['missing']\n{inventory}"),
    );
    let (code, text) = folder.validate(&file("source = 'own'"));
    assert!(
        code == 2 && text.contains("`missing` of `allowed_paths`"),
        "{text}"
    );
}

#[test]
fn a_compose_file_reads_the_files_of_its_stack() {
    let folder = OperatorFolder::new();
    folder.write("site/web.env", "A=1\n");
    let stack = "{ stack = { name = 'web', sources = ['compose.yml'], files = ['web.env'] } }";
    for (compose, word) in [
        ("configs: { x: { file: /etc/shadow } }", "/etc/shadow"),
        ("secrets: { x: { file: ../../x } }", "../../x"),
        (
            "services: { web: { image: i, env_file: /etc/environment } }",
            "/etc/environment",
        ),
        (
            "services: { web: { image: i, env_file: other.env } }",
            "`other.env`",
        ),
        (
            "services: { web: { image: i, volumes: ['./html:/x'] } }",
            "a path of this machine",
        ),
        (
            "services: { web: { image: i, volumes: ['~/x:/x'] } }",
            "a path of this machine",
        ),
        ("services: [", "not valid YAML"),
    ] {
        folder.write("site/compose.yml", compose);
        let (code, text) = folder.validate(stack);
        assert!(code == 2 && text.contains(word), "{compose}: {text}");
    }
    folder.write(
        "site/compose.yml",
        "services: { web: { image: i, env_file: ./web.env, volumes: ['/srv:/x', 'v:/y'] } }\nvolumes: { v: {} }\n",
    );
    let (code, text) = folder.validate(stack);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn a_unit_contains_no_secret() {
    // The folder must be visible to the service, which has a /tmp of its own.
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let site = tempfile::tempdir_in(home).unwrap();
    let write = |name: &str, text: &str| std::fs::write(site.path().join(name), text).unwrap();
    write("inventory.toml", "[hosts.a]\naddress = '192.0.2.1'\n");
    write(
        "playbook.toml",
        "[[plays]]\nhosts = 'all'\nresources = [{ group = { name = 'x{{ version | default(1) }}' } }]\n",
    );
    write("secrets.toml", "db_password = 'hunter2'\n");
    let install = |extra: &[&str], more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_skep"))
            .args([
                "schedule", "install", "--print", "--every", "15m", "--user", "ops",
            ])
            .args(["-i", "inventory.toml"])
            .args(extra)
            .arg("playbook.toml")
            .args(more)
            .current_dir(site.path())
            .output();
        said(&output.unwrap())
    };
    for (extra, more) in [
        (&["-e", "db_password=hunter2"][..], &[][..]),
        (&["-e", "db={ password = \"hunter2\" }"], &[]),
        (&["-e", "proxy=http://u:hunter2@proxy:3128"], &[]),
        (&[], &["--", "-e", "api_token=hunter2"]),
    ] {
        let (code, text) = install(extra, more);
        assert_eq!(code, 2, "{text}");
        assert!(
            text.contains("-e @FILE") && !text.contains("hunter2"),
            "{text}"
        );
    }
    let (code, text) = install(&["-e", "@secrets.toml", "-e", "version=1"], &[]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("secrets.toml") && !text.contains("hunter2"),
        "{text}"
    );
}

#[test]
fn a_lock_is_in_no_folder_that_others_may_own() {
    let folder = OperatorFolder::new();
    folder.write(
        "site/playbook.toml",
        "[[plays]]\nhosts = 'all'\nresources = [{ group = { name = 'x' } }]\n",
    );
    let mut command = folder.skep(&["check", "--single", "--keep", "0", "-i", "inventory.toml"]);
    command
        .arg("playbook.toml")
        .env("TMPDIR", folder.path("tmp"));
    std::fs::create_dir(folder.path("tmp")).unwrap();
    command.env_remove("HOME").env_remove("XDG_STATE_HOME");
    let (code, text) = said(&command.output().unwrap());
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("XDG_STATE_HOME"), "{text}");
    let left = std::fs::read_dir(folder.path("tmp")).unwrap().count();
    assert_eq!(left, 0, "no folder for temporary files is used");
}
