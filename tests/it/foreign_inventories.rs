//! Inventories of Ansible, with and without Ansible: every setting that affects a connection is
//! followed, or named with its place in the user's own file.

use crate::sources::{SourcesFolder, USUAL};

/// Search path without Ansible.
const NONE: &str = "/nonexistent";

/// Converts an inventory; returns the exit code, the TOML and everything else that was printed.
fn converted(site: &SourcesFolder, path: &str, source: &str) -> (i32, String) {
    site.inventory(path, &["-i", source, "--toml"])
}

fn table(text: &str) -> toml::Table {
    // Remarks are on standard error, behind the document.
    let document = text
        .split("\nnote: ")
        .next()
        .and_then(|text| text.split("\nwarning: ").next())
        .unwrap_or_default();
    document
        .parse()
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn words_of_truth_are_those_of_ansible() {
    let site = SourcesFolder::new();
    site.write(
        "hosts.ini",
        "[managers]\nm1 ansible_become=on\nm2 ansible_become=y\nm3 ansible_become=t\nm4 ansible_become=ON\n\
         m5 ansible_become=1\nm6 ansible_become=off\nm7 ansible_become=No\n",
    );
    for path in [NONE, USUAL] {
        let (code, text) = converted(&site, path, "ansible:hosts.ini");
        assert_eq!(code, 0, "{text}");
        let hosts = table(&text)["hosts"].clone();
        for (host, wanted) in [
            ("m1", true),
            ("m2", true),
            ("m3", true),
            ("m4", true),
            ("m5", true),
            ("m6", false),
            ("m7", false),
        ] {
            assert_eq!(
                hosts[host]["become"].as_bool(),
                Some(wanted),
                "{host}: {text}"
            );
        }
    }
    site.write("odd.ini", "m1\nm2 ansible_become=perhaps\n");
    let (code, text) = converted(&site, NONE, "ansible:odd.ini");
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains("m2: ansible_become is neither true nor false")
            && text.contains("odd.ini:2:4"),
        "{text}"
    );
}

#[test]
fn hosts_that_are_not_reached_over_ssh_are_left_out() {
    let site = SourcesFolder::new();
    site.write(
        "hosts.ini",
        "[managers]\nctl ansible_connection=local\nbox ansible_connection=docker\nwin ansible_shell_type=powershell\n\
         m1 ansible_host=10.0.0.1 ansible_connection=ansible.builtin.ssh\n",
    );
    for path in [NONE, USUAL] {
        let (code, text) = converted(&site, path, "ansible:hosts.ini");
        assert_eq!(code, 0, "{text}");
        assert_eq!(table(&text)["hosts"].as_table().unwrap().len(), 1, "{text}");
        assert!(
            text.contains("ctl: left out: ansible_connection is local"),
            "{text}"
        );
        assert!(text.contains("hosts.ini:2:5"), "{text}");
    }
}

#[test]
fn groups_without_hosts_are_groups() {
    let site = SourcesFolder::new();
    site.write("hosts.ini", "[managers]\nm1\n[workers]\n");
    site.write(
        "hosts.yml",
        "all:\n  children:\n    managers:\n      hosts:\n        m1: {}\n    workers:\n      hosts: {}\n",
    );
    for (path, source) in [
        (NONE, "ansible:hosts.ini"),
        (USUAL, "ansible:hosts.ini"),
        (USUAL, "ansible:hosts.yml"),
    ] {
        let (code, text) = converted(&site, path, source);
        assert_eq!(code, 0, "{text}");
        assert!(table(&text)["groups"].get("workers").is_some(), "{text}");
    }
}

#[test]
fn the_order_of_a_group_is_that_of_ansible() {
    let site = SourcesFolder::new();
    let text = "[managers]\nm1\nm2\nm3\n[db]\nm3\n[app]\nm2\n[alpha]\nz1\na1\n";
    site.write("hosts.ini", text);
    for path in [NONE, USUAL] {
        for (pattern, wanted) in [
            ("managers[0]", "m1"),
            ("managers[1]", "m2"),
            ("alpha[0]", "z1"),
        ] {
            let (code, text) = site.inventory(path, &["-i", "ansible:hosts.ini", "-l", pattern]);
            assert_eq!(code, 0, "{text}");
            assert!(text.starts_with(wanted), "{pattern} with {path}: {text}");
        }
    }
}

#[test]
fn addresses_and_logins_in_names_are_followed() {
    let site = SourcesFolder::new();
    site.write(
        "hosts.ini",
        "[managers]\n[2001:db8::1]:2222\nann@10.0.0.7\n",
    );
    for path in [NONE, USUAL] {
        let (code, text) = converted(&site, path, "ansible:hosts.ini");
        assert_eq!(code, 0, "{text}");
        let hosts = table(&text)["hosts"].clone();
        assert_eq!(
            hosts["2001-db8--1"]["address"].as_str(),
            Some("2001:db8::1"),
            "{text}"
        );
        assert_eq!(
            hosts["2001-db8--1"]["port"].as_integer(),
            Some(2222),
            "{text}"
        );
        assert_eq!(hosts["10.0.0.7"]["user"].as_str(), Some("ann"), "{text}");
        assert!(
            text.contains("`2001:db8::1` is called `2001-db8--1` here"),
            "{text}"
        );
    }
}

#[test]
fn the_cause_of_a_failure_is_the_one_that_ansible_printed() {
    let site = SourcesFolder::new();
    site.write("hosts.ini", "[managers]\nm1 ansible_host = 10.0.0.1\n");
    site.refused(
        USUAL,
        "ansible:hosts.ini",
        "hosts.ini:2: Expected key=value host variable assignment, got: ansible_host",
    );
    site.refused(
        NONE,
        "ansible:hosts.ini",
        "hosts.ini:2: `ansible_host` is not key=value",
    );
}

#[test]
fn relative_keys_start_where_the_file_is() {
    let site = SourcesFolder::new();
    let line = "m1 ansible_ssh_private_key_file=keys/id\n";
    site.write("inventories/hosts.ini", line);
    let key = |source: &str| {
        let (code, text) = converted(&site, USUAL, source);
        assert_eq!(code, 0, "{text}");
        table(&text)["hosts"]["m1"]["identity_file"].to_string()
    };
    let folder = site.path("").canonicalize().unwrap();
    let named = |path: &str| format!("[\"{}\"]", folder.join(path).display());
    assert_eq!(
        key("ansible:inventories/hosts.ini"),
        named("inventories/keys/id")
    );
    // Ansible starts at the working folder.
    site.write("keys/id", "not a key");
    assert_eq!(key("ansible:inventories/hosts.ini"), named("keys/id"));
}

#[test]
fn arguments_for_ssh_are_followed_or_named() {
    let site = SourcesFolder::new();
    site.write(
        "hosts.ini",
        "[managers]\nm1 ansible_ssh_common_args='-o ProxyCommand=\"ssh -W %h:%p ann@203.0.113.5\"'\n\
         m2 ansible_ssh_common_args=\"-J ann@203.0.113.5:2222 -o ControlMaster=auto\"\n\
         m3 ansible_ssh_extra_args=\"-F ./cluster.conf -o UserKnownHostsFile=./kh -o StrictHostKeyChecking=no\"\n\
         m4 ansible_ssh_common_args='-o ServerAliveInterval=5 -L 1:b:2'\n",
    );
    site.write("cluster.conf", "");
    for path in [NONE, USUAL] {
        let (code, text) = converted(&site, path, "ansible:hosts.ini");
        assert_eq!(code, 0, "{text}");
        let hosts = table(&text)["hosts"].clone();
        assert_eq!(
            hosts["m1"]["proxy_command"].as_str(),
            Some("ssh -W %h:%p ann@203.0.113.5"),
            "{text}"
        );
        assert_eq!(
            hosts["m2"]["proxy_jump"].as_str(),
            Some("ann@203.0.113.5:2222"),
            "{text}"
        );
        assert_eq!(
            hosts["m3"]["host_keys"].as_str(),
            Some("accept-new"),
            "{text}"
        );
        assert!(
            hosts["m3"]["ssh_config"]
                .as_str()
                .unwrap()
                .ends_with("/cluster.conf"),
            "{text}"
        );
        assert!(
            hosts["m3"]["known_hosts"].to_string().contains("/kh"),
            "{text}"
        );
        for wanted in [
            "m3: ansible_ssh_extra_args switches host key checking off",
            "m4: ansible_ssh_common_args has the option serveraliveinterval, which is not followed",
            "m4: ansible_ssh_common_args contains `-L 1:b:2`, which is not followed",
            "hosts.ini:5:4",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        assert!(!text.contains("ControlMaster"), "{text}");
    }
}

#[test]
fn templates_of_connection_variables_are_rendered_or_refused() {
    let site = SourcesFolder::new();
    site.write(
        "hosts.yml",
        "all:\n  vars:\n    login: ann\n  children:\n    managers:\n      hosts:\n        m1:\n          ansible_host: 10.0.0.1\n\
         \x20         ansible_become: \"{{ login != 'root' }}\"\n          ansible_ssh_private_key_file: \"{{ inventory_dir }}/keys/id\"\n",
    );
    let (code, text) = converted(&site, USUAL, "ansible:hosts.yml");
    assert_eq!(code, 0, "{text}");
    let host = table(&text)["hosts"]["m1"].clone();
    assert_eq!(host["become"].as_bool(), Some(true), "{text}");
    assert!(
        host["identity_file"].to_string().ends_with("/keys/id\"]") && !text.contains("{{"),
        "{text}"
    );
    site.write(
        "odd.yml",
        "all:\n  hosts:\n    m1: { ansible_user: \"{{ lookup('env', 'USER') }}\" }\n",
    );
    let (code, text) = converted(&site, USUAL, "ansible:odd.yml");
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains("m1: ansible_user is a template that only Ansible can evaluate")
            && text.contains("odd.yml:3:11"),
        "{text}"
    );
}

#[test]
fn variables_that_skep_cannot_express_are_left_out_with_a_note() {
    let site = SourcesFolder::new();
    site.write(
        "hosts.ini",
        "[managers]\nm1 ansible_host=10.0.0.1 host=first docker-version=28 size=3 db_pass=xyzzy empty=None\n",
    );
    for path in [NONE, USUAL] {
        let (code, text) = converted(&site, path, "ansible:hosts.ini");
        assert_eq!(code, 0, "{text}");
        let vars = table(&text)["hosts"]["m1"]["vars"].clone();
        assert_eq!(
            vars.as_table().unwrap().keys().collect::<Vec<_>>(),
            ["size"],
            "{text}"
        );
        for name in ["host", "docker-version", "db_pass", "empty"] {
            assert!(
                text.contains(&format!("the variable {name} is left out")),
                "{name}: {text}"
            );
        }
        assert!(!text.contains("xyzzy"), "{text}");
    }
}

#[test]
fn passwords_and_other_become_methods_are_named() {
    let site = SourcesFolder::new();
    site.write(
        "hosts.ini",
        "[managers]\nm1 ansible_password=xyzzy ansible_become_pass=xyzzy\n\
         m2 ansible_become=yes ansible_become_method=su\nm3 ansible_become_method=su\nm4 ansible_ssh_pkcs11_provider=/x\n",
    );
    let (code, text) = converted(&site, NONE, "ansible:hosts.ini");
    assert_eq!(code, 2, "{text}");
    for wanted in [
        "m1: ansible_password is left out",
        "m1: ansible_become_pass is left out",
        "m2: ansible_become_method is `su`: skep becomes root with sudo only",
        "m4: ansible_ssh_pkcs11_provider is left out",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert!(!text.contains("m3:") && !text.contains("xyzzy"), "{text}");
}

#[test]
fn ansible_cfg_is_followed() {
    let site = SourcesFolder::new();
    site.write(
        "ansible.cfg",
        "[defaults]\nremote_user = ann\nhost_key_checking = False\nprivate_key_file = keys/id\n\
         [privilege_escalation]\nbecome = True\nbecome_method = doas\n[ssh_connection]\nssh_args = -o ProxyJump=b -o Foo=1\n",
    );
    site.write(
        "hosts.ini",
        "m1\nm2 ansible_user=bob ansible_become_method=sudo\n",
    );
    let (code, text) = converted(&site, NONE, "ansible:hosts.ini");
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains("m1: become_method is `doas`") && text.contains("ansible.cfg:7:1"),
        "{text}"
    );
    let cfg = std::fs::read_to_string(site.path("ansible.cfg")).unwrap();
    site.write("ansible.cfg", &cfg.replace("become_method = doas\n", ""));
    let (code, text) = converted(&site, NONE, "ansible:hosts.ini");
    assert_eq!(code, 0, "{text}");
    let hosts = table(&text)["hosts"].clone();
    assert_eq!(hosts["m1"]["user"].as_str(), Some("ann"), "{text}");
    assert_eq!(hosts["m2"]["user"].as_str(), Some("bob"), "{text}");
    assert_eq!(hosts["m1"]["proxy_jump"].as_str(), Some("b"), "{text}");
    assert_eq!(hosts["m1"]["become"].as_bool(), Some(true), "{text}");
    assert!(
        hosts["m1"]["identity_file"]
            .to_string()
            .contains("/keys/id"),
        "{text}"
    );
    assert!(
        text.contains("m1, m2: ssh_args has the option foo, which is not followed"),
        "{text}"
    );
    assert!(
        text.contains("host_key_checking switches host key checking off"),
        "{text}"
    );
}

#[test]
fn without_ansible_files_of_variables_beside_the_inventory_are_refused() {
    let site = SourcesFolder::new();
    site.write("hosts.ini", "[managers]\nm1 ansible_host=10.0.0.1\n");
    site.write(
        "group_vars/managers.yml",
        "ansible_user: ann\nansible_become: true\n",
    );
    site.refused(
        NONE,
        "ansible:hosts.ini",
        "group_vars/ can only be read by Ansible itself",
    );
    let (code, text) = site.inventory(USUAL, &["-i", "ansible:hosts.ini"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("ann@10.0.0.1:22"), "{text}");
}

#[test]
fn comments_and_literals_are_read_as_ansible_reads_them() {
    let site = SourcesFolder::new();
    site.write(
        "hosts.ini",
        "[managers]\nm1 ansible_host=10.0.0.1\n[managers:vars]\nansible_user='ann' # login of the image\n",
    );
    for path in [NONE, USUAL] {
        let (code, text) = site.inventory(path, &["-i", "ansible:hosts.ini"]);
        assert_eq!(code, 0, "{text}");
        assert!(text.contains("ann@10.0.0.1:22"), "{text}");
    }
    // An invalid value is shown in the user's own file.
    site.write(
        "odd.ini",
        "[managers]\nm1\n[managers:vars]\nansible_user=ann # login\n",
    );
    let (code, text) = site.inventory(NONE, &["-i", "ansible:odd.ini"]);
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains("m1: `ann # login`") && text.contains("odd.ini:4:"),
        "{text}"
    );
}

#[test]
fn connection_variables_of_groups_hold_for_the_hosts_of_a_program() {
    let site = SourcesFolder::new();
    site.program(
        "hosts.sh",
        "#!/bin/sh\necho '{\"_meta\": {\"hostvars\": {\"m1\": {\"ansible_host\": \"10.0.0.1\"}}},\n\
         \"all\": {\"children\": [\"managers\"], \"vars\": {\"ansible_port\": 2222, \"ansible_user\": \"bob\"}},\n\
         \"managers\": {\"hosts\": [\"m1\"], \"vars\": {\"ansible_user\": \"ann\", \"ansible_ssh_private_key_file\": \"/k\", \"size\": 3}}}'\n",
    );
    let (code, text) = converted(&site, USUAL, "hosts.sh");
    assert_eq!(code, 0, "{text}");
    let read = table(&text);
    let host = &read["hosts"]["m1"];
    assert_eq!(host["user"].as_str(), Some("ann"), "{text}");
    assert_eq!(host["port"].as_integer(), Some(2222), "{text}");
    assert!(host["identity_file"].to_string().contains("/k"), "{text}");
    assert_eq!(host["vars"]["size"].as_integer(), Some(3), "{text}");
}

#[test]
fn a_program_without_meta_is_asked_for_each_host() {
    let site = SourcesFolder::new();
    site.program(
        "hosts.sh",
        "#!/bin/sh\nif [ \"$1\" = --list ]; then echo '{\"managers\": [\"m1\", \"m2\"]}'\n\
         elif [ \"$1\" = --host ]; then echo \"{\\\"ansible_host\\\": \\\"10.0.0.${2#m}\\\", \\\"ansible_user\\\": \\\"ann\\\"}\"; fi\n",
    );
    let (code, text) = site.inventory(USUAL, &["-i", "./hosts.sh"]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("ann@10.0.0.1:22") && text.contains("ann@10.0.0.2:22"),
        "{text}"
    );
    site.program("odd.sh", "#!/bin/sh\n[ \"$1\" = --list ] && echo '{\"managers\": [\"m1\"]}' && exit\necho oops >&2; exit 3\n");
    site.refused(USUAL, "./odd.sh", "`./odd.sh --host m1` failed: oops");
}
