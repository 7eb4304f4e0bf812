//! Becoming root on nodes of Debian 13: sudo with all common rules at once, and sudo-rs in its
//! place.

use crate::host_conditions::{ACCOUNT, Run, playbook};
use crate::test_lab::TestLab;

pub fn sudo_and_sudo_rs(lab: &TestLab, node: &str) {
    lab.on(
        node,
        &format!(
            "{ACCOUNT} packages sudo-rs
             account strict /bin/bash 'Defaults:strict requiretty, use_pty, timestamp_timeout=0, lecture=always, secure_path=/usr/bin:/bin\\nstrict ALL=(ALL) ALL'
             account plain /bin/bash 'plain ALL=(ALL) ALL'; account free /bin/bash 'free ALL=(ALL) NOPASSWD: ALL'
             account stranger /bin/bash -"
        ),
    );
    for sudo in ["sudo", "sudo-rs"] {
        if sudo == "sudo-rs" {
            lab.on(
                node,
                "dpkg-divert --quiet --rename --divert /usr/bin/sudo.ws --add /usr/bin/sudo
                 ln -s ../lib/cargo/bin/sudo /usr/bin/sudo; rm /etc/sudoers.d/strict; sudo --version 2>&1 | grep sudo-rs",
            );
        }
        let accounts: &[(&str, bool)] = if sudo == "sudo" {
            &[("strict", true), ("plain", true)]
        } else {
            &[("plain", true), ("free", false)]
        };
        for (account, asks) in accounts {
            allowed_account(lab, node, &format!("{account}-{sudo}"), account, *asks);
        }
        forbidden_account(lab, node, sudo);
    }
    lab.on(
        node,
        "rm /usr/bin/sudo; dpkg-divert --quiet --rename --remove /usr/bin/sudo",
    );
}

fn inventory(lab: &TestLab, node: &str, account: &str) -> String {
    let host = format!(
        "address = {:?}\nuser = {account:?}\nbecome = true",
        lab.address(node)
    );
    lab.inventory_of(&format!("{account}.toml"), "", &[(account, &host)])
}

fn allowed_account(lab: &TestLab, node: &str, mark: &str, account: &str, asks: bool) {
    let inventory = inventory(lab, node, account);
    let playbook = playbook(
        lab,
        &format!("{mark}-book.toml"),
        &format!(
            "directory = {{ path = \"/srv/{mark}\", owner = \"{account}\" }}
             file = {{ path = \"/srv/{mark}/text\", content = \"{{{{ 'a line of text\\n' * 6000 }}}}\" }}
             command = {{ run = \"id -un >/srv/{mark}/who\", user = \"{account}\", creates = \"/srv/{mark}/who\" }}"
        ),
    );
    let password = format!("secret of {account}");
    Run {
        inventory: &inventory,
        playbook: &playbook,
        password: asks.then_some(&password),
    }
    .settles(&[]);
    assert_eq!(
        lab.on(
            node,
            &format!("stat -c %U /srv/{mark}/text; cat /srv/{mark}/who; wc -c </srv/{mark}/text")
        ),
        format!("root\n{account}\n90000")
    );
    if asks {
        let address = lab.address(node);
        let none = Run {
            inventory: &inventory,
            playbook: &playbook,
            password: None,
        };
        none.verb("check", &[])
            .exits(4)
            .says(&format!("{account}@{address} cannot become root: "))
            .says("--ask-become-pass");
        let wrong = Run {
            password: Some("wrong"),
            ..none
        };
        let said = wrong
            .verb("check", &[])
            .exits(4)
            .says(&format!("{account}@{address} cannot become root: "));
        said.says("rejected the password")
            .says("--ask-become-pass")
            .does_not_say("wrong\n");
    }
}

fn forbidden_account(lab: &TestLab, node: &str, sudo: &str) {
    let inventory = inventory(lab, node, "stranger");
    let playbook = playbook(
        lab,
        "stranger-book.toml",
        r#"file = { path = "/srv/stranger", content = "x" }"#,
    );
    for password in [None, Some("secret of stranger")] {
        let said = Run {
            inventory: &inventory,
            playbook: &playbook,
            password,
        }
        .verb("apply", &[])
        .exits(4);
        let said = said.says(&format!(
            "stranger@{} cannot become root: ",
            lab.address(node)
        ));
        if password.is_some() || sudo == "sudo-rs" {
            said.says("NOPASSWD").does_not_say("rejected the password");
        }
    }
    lab.on(node, "! test -e /srv/stranger");
}
