//! Login shells that are not like sh, start files that print or end the shell, and a German locale.

use std::process::Command;

use crate::host_conditions::{ACCOUNT, Run, playbook};
use crate::test_lab::TestLab;

/// Account and login shell. Each has start files that print to stdout; all but csh's print to
/// stderr too.
const SHELLS: [(&str, &str); 6] = [
    ("fish", "/usr/bin/fish"),
    ("zsh", "/usr/bin/zsh"),
    ("tcsh", "/bin/tcsh"),
    ("csh", "/bin/csh"),
    ("bash", "/bin/bash"),
    ("dash", "/bin/dash"),
];

const NOISE: &str = r#"
noise() {
  mkdir -p "/home/$1/.config/fish"
  for file in .bashrc .profile .bash_profile .zshenv .zshrc .config/fish/config.fish; do
    printf 'echo noise without a question\necho skep-\necho noise >&2\n' >"/home/$1/$file"
  done
  for file in .tcshrc .cshrc .login; do printf 'echo noise\necho skep-\n' >"/home/$1/$file"; done
}
"#;

pub fn login_shells_and_locales(lab: &TestLab, node: &str) {
    let accounts: String = SHELLS
        .iter()
        .map(|(name, shell)| {
            format!("account {name} {shell} '{name} ALL=(ALL) NOPASSWD: ALL'; noise {name}\n")
        })
        .collect();
    lab.on(
        node,
        &format!(
            "{ACCOUNT}{NOISE} packages fish zsh tcsh locales; localedef -i de_DE -f UTF-8 de_DE.UTF-8\n{accounts}
             account exits /bin/bash 'exits ALL=(ALL) NOPASSWD: ALL'; echo 'exit 0' >/home/exits/.bashrc
             account german /bin/bash 'german ALL=(ALL) NOPASSWD: ALL'; account fremd /bin/bash -
             printf 'LANG=de_DE.UTF-8\\nLANGUAGE=de_DE:de\\n' >/etc/default/locale; cat /etc/motd >/home/german/.hushlogin
             echo 'a banner for everybody' >/etc/issue.net; echo 'Banner /etc/issue.net' >/etc/ssh/sshd_config.d/banner.conf
             systemctl reload ssh"
        ),
    );
    each_login_shell(lab, node);
    shell_that_exits_at_once(lab, node);
    german_locale(lab, node);
}

fn each_login_shell(lab: &TestLab, node: &str) {
    let address = lab.address(node);
    let lines =
        SHELLS.map(|(name, _)| format!("address = {address:?}\nuser = {name:?}\nbecome = true"));
    let hosts: Vec<(&str, &str)> = SHELLS
        .iter()
        .zip(&lines)
        .map(|((name, _), lines)| (*name, lines.as_str()))
        .collect();
    let inventory = lab.inventory_of("shells.toml", "", &hosts);
    let playbook = playbook(
        lab,
        "shell.toml",
        r#"directory = { path = "/srv/{{ host.name }}", owner = "{{ host.name }}", mode = "0750" }
           file = { path = "/srv/{{ host.name }}/text", content = "{{ \"it's $HOME !! \\\\ `id` $(id)\n\" * 2000 }}" }
           user_in_group = { user = "{{ host.name }}", group = "games", prove = "id -nG | grep -qw games" }
           command = { run = "id -un >/srv/{{ host.name }}/who; cat >>/srv/{{ host.name }}/who", stdin = "!! given", user = "{{ host.name }}", creates = "/srv/{{ host.name }}/who" }"#,
    );
    let run = Run {
        inventory: &inventory,
        playbook: &playbook,
        password: None,
    };
    run.verb("check", &[]).exits(3);
    // Sequentially, because all accounts are on the same machine and share its lock.
    for (name, _) in SHELLS {
        run.verb("apply", &["--limit", name])
            .exits(0)
            .says("Applied");
        assert_eq!(
            lab.on(
                node,
                &format!("cat /srv/{name}/who; wc -l </srv/{name}/text")
            ),
            format!("{name}\n!! given2000")
        );
    }
    run.verb("check", &[]).exits(0).says("In sync");
}

fn shell_that_exits_at_once(lab: &TestLab, node: &str) {
    let host = format!(
        "address = {:?}\nuser = \"exits\"\nbecome = true",
        lab.address(node)
    );
    let inventory = lab.inventory_of("exits.toml", "", &[("exits", &host)]);
    let playbook = playbook(
        lab,
        "exits-book.toml",
        r#"file = { path = "/srv/exits", content = "x" }"#,
    );
    let run = Run {
        inventory: &inventory,
        playbook: &playbook,
        password: None,
    };
    for verb in ["check", "apply"] {
        let said = run
            .verb(verb, &[])
            .exits(4)
            .says("exits")
            .says("the login shell did not run the command: it ended with status 0");
        said.says("try: ").does_not_say("In sync");
    }
    lab.on(node, "! test -e /srv/exits");
}

fn german_locale(lab: &TestLab, node: &str) {
    let address = lab.address(node);
    let host = |user: &str| format!("address = {address:?}\nuser = {user:?}\nbecome = true");
    let inventory = lab.inventory_of("german.toml", "", &[("german", &host("german"))]);
    let whole: toml::Table = std::fs::read_to_string(&inventory)
        .unwrap()
        .parse()
        .unwrap();
    let key = whole["defaults"]["identity_file"]
        .as_str()
        .unwrap()
        .to_owned();
    let speaks = Command::new("ssh")
        .args([
            "-F",
            "none",
            "-i",
            &key,
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
        ])
        .args([
            &format!("german@{address}"),
            "dpkg -i /nowhere; sudo gpasswd -a german nowhere; apt-get install nowhere",
        ])
        .env_remove("LC_ALL")
        .env("LANG", "de_DE.UTF-8")
        .output()
        .unwrap();
    let speaks = String::from_utf8_lossy(&speaks.stderr).into_owned();
    assert!(
        speaks.contains("Fehler") && speaks.contains("existiert nicht"),
        "this machine speaks German: {speaks}"
    );
    let plan = playbook(
        lab,
        "german-book.toml",
        r#"package = { names = ["tree", "cron"] }
           systemd_service = { name = "cron", enabled = true, running = true }
           user_in_group = { user = "german", group = "games" }
           sysctl = { key = "net.ipv4.conf.lo.log_martians", value = 1 }
           file = { path = "/etc/Grüße", content = "äöü\n" }"#,
    );
    Run {
        inventory: &inventory,
        playbook: &plan,
        password: None,
    }
    .settles(&[]);
    lab.on(
        node,
        "dpkg -s tree >/dev/null && systemctl is-active cron && grep -q ä /etc/Grüße",
    );
    // Failures are understood, whatever the language of the host is.
    for (resource, why) in [
        (r#"package = { names = ["nowhere"] }"#, "nowhere"),
        (
            r#"file = { path = "/nowhere/x", content = "" }"#,
            "the directory /nowhere is not there",
        ),
        (r#"file = { path = "/proc/x", content = "" }"#, "/proc"),
        (
            r#"user_in_group = { user = "niemand", group = "games" }"#,
            "there is no account niemand",
        ),
    ] {
        let plan = playbook(lab, "german-bad.toml", resource);
        let run = Run {
            inventory: &inventory,
            playbook: &plan,
            password: None,
        };
        let said = run
            .verb("apply", &[])
            .exits(1)
            .says(why)
            .does_not_say("unreachable");
        let german = ["nicht", "Datei", "Fehler", "kein"]
            .iter()
            .any(|word| said.stdout.contains(word));
        assert!(!german, "{}", said.stdout);
    }
    let stranger = lab.inventory_of("fremd.toml", "", &[("fremd", &host("fremd"))]);
    for password in [None, Some("secret of fremd")] {
        let run = Run {
            inventory: &stranger,
            playbook: &plan,
            password,
        };
        run.verb("check", &[])
            .exits(4)
            .says(&format!("fremd@{address} cannot become root: "));
    }
}
