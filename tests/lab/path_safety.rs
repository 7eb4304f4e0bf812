//! Root never follows a name that another account controls. An account of the node plants links
//! above managed paths, and exchanges names while root works in its directories. The tests inspect
//! files of root, which no apply may touch. Tests of other modules call these functions with their
//! own lab environments.

use std::process::Child;
use std::time::Duration;

use crate::skep::{Said, root};
use crate::test_lab::TestLab;

/// Files of root that the account aims at.
const VICTIMS: &str = "mkdir -p -m 0700 /victim/folder; echo precious >/victim/file; echo precious >/victim/folder/file; \
    chmod 0600 /victim/file /victim/folder/file; touch -d '2001-02-03' /victim/file /victim/folder/file /victim/folder /victim";

/// Prints everything that an apply could change there.
const STATE: &str = "find /victim -printf '%p %y %U %G %m %s %T@ %l\\n' | sort; cat /victim/file /victim/folder/file";

fn prepare(lab: &TestLab, node: &str, account: &str) -> String {
    lab.on(node, VICTIMS);
    let racer = root().join("tests/lab/path_safety/racer.pl");
    lab.put(
        node,
        racer.to_str().unwrap(),
        "/usr/local/bin/path_racer.pl",
    );
    lab.on(
        node,
        &format!("chmod 0755 /usr/local/bin/path_racer.pl; perl -c /usr/local/bin/path_racer.pl; id {account} >/dev/null 2>&1 || useradd -m {account}"),
    );
    lab.on(node, STATE)
}

/// Runs a verb with a playbook of these resources, one per line.
fn run(lab: &TestLab, verb: &str, resources: &str, more: &[&str]) -> Said {
    let lines: String = resources
        .lines()
        .map(|line| format!("  {{ {} }},\n", line.trim()))
        .collect();
    let text = format!("[[plays]]\nhosts = \"docker01\"\nresources = [\n{lines}]\n");
    lab.run(verb, &lab.write("paths.toml", &text), more)
}

/// A racer on a node, ended at the end of its life.
struct Racer<'a> {
    lab: &'a TestLab,
    node: &'a str,
    log: &'static str,
    process: Child,
}

impl<'a> Racer<'a> {
    fn start(
        lab: &'a TestLab,
        node: &'a str,
        uid: &str,
        log: &'static str,
        arguments: &str,
    ) -> Self {
        lab.on(node, &format!("rm -f {log} {log}.pid"));
        let script = format!(
            "exec setpriv --reuid={uid} --regid={uid} --clear-groups sh -c 'umask 0; echo $$ >{log}.pid; exec perl /usr/local/bin/path_racer.pl {arguments} >{log} 2>&1'"
        );
        let process = lab.shell(node, &script).spawn().unwrap();
        lab.until(
            node,
            &format!("grep -q -e flipping -e watching {log}"),
            Duration::from_secs(20),
        );
        Self {
            lab,
            node,
            log,
            process,
        }
    }

    /// Ends the racer, and returns the number of exchanges that it reported.
    fn stop(mut self) -> usize {
        self.lab
            .on(self.node, &format!("kill $(cat {}.pid)", self.log));
        self.process.wait().unwrap();
        let log = self.lab.on(self.node, &format!("cat {}", self.log));
        log.lines()
            .filter(|line| line.starts_with("exchanged"))
            .count()
    }
}

/// Links that an account made above a managed path, and hard links that it made of files of root.
pub fn links_of_others_are_not_followed(lab: &TestLab) {
    let node = "docker01";
    let before = prepare(lab, node, "mallory");
    lab.on(node, "setpriv --reuid=mallory --regid=mallory --init-groups sh -c 'ln -s /victim /home/mallory/link; ln -s /victim /tmp/link'; rm -rf /home/mallory/deep; ln /victim/file /home/mallory/hard");
    for folder in ["/home/mallory/link", "/tmp/link"] {
        for resource in [
            format!("file = {{ path = \"{folder}/file\", content = \"x\" }}"),
            format!("file = {{ path = \"{folder}/new\", content = \"x\", owner = \"mallory\" }}"),
            format!("file = {{ path = \"{folder}/file\", state = \"absent\" }}"),
            format!("directory = {{ path = \"{folder}/folder\", owner = \"mallory\" }}"),
            format!("directory = {{ path = \"{folder}/a/b\", owner = \"mallory\" }}"),
            format!(
                "directory = {{ path = \"{folder}/folder\", state = \"absent\", recursive = true }}"
            ),
            format!("symlink = {{ path = \"{folder}/new\", target = \"/etc\" }}"),
            format!("symlink = {{ path = \"{folder}/file\", target = \"/etc\", force = true }}"),
            format!("symlink = {{ path = \"{folder}/file\", state = \"absent\" }}"),
            format!("sysctl = {{ key = \"vm.swappiness\", value = 61, file = \"{folder}/file\" }}"),
            format!("command = {{ run = \"true\", creates = \"{folder}/file\" }}"),
        ] {
            let why = format!("root does not follow the link {folder} to /victim, because ");
            for (verb, more) in [("plan", &["--diff"][..]), ("apply", &["--yes", "--diff"])] {
                run(lab, verb, &resource, more)
                    .exits(1)
                    .says(&why)
                    .says("belongs to mallory")
                    .does_not_say("precious");
            }
        }
        let tls =
            format!("certificate = {{ directory = \"{folder}/tls\", names = [\"a.example\"] }}");
        run(lab, "apply", &tls, &["--yes"]).exits(1);
    }
    let hard = "file = { path = \"/home/mallory/hard\", content = \"x\", owner = \"mallory\" }";
    run(lab, "plan", hard, &["--diff"])
        .exits(1)
        .says("root does not read /home/mallory/hard, because /home/mallory belongs to mallory")
        .does_not_say("precious");
    let tls = "certificate = { directory = \"/home/mallory/tls\", names = [\"a.example\"] }";
    run(lab, "apply", tls, &["--yes"])
        .exits(1)
        .says("an account other than root can replace the files in /home/mallory/tls");
    lab.on(
        node,
        "rm /home/mallory/hard; mkdir /home/mallory/roots; touch /home/mallory/roots/x",
    );
    let below = "file = { path = \"/home/mallory/roots/f\", content = \"x\" }";
    run(lab, "plan", below, &[])
        .exits(1)
        .says("/home/mallory/roots belongs to root, but /home/mallory belongs to mallory");
    let closed =
        "file = { path = \"/home/mallory/closed.conf\", content = \"x\", mode = \"0600\" }";
    run(lab, "apply", closed, &["--yes"])
        .exits(1)
        .says("/home/mallory/closed.conf would not be readable for the account that controls its directory");
    lab.on(node, "test ! -e /home/mallory/closed.conf");
    assert_eq!(lab.on(node, STATE), before);

    // Links that only root can replace lead on.
    lab.on(
        node,
        "mkdir -p /srv/disk/deep; ln -s disk /srv/data; ln -s /srv/data/deep /srv/deep",
    );
    let resources = "file = { path = \"/var/run/path-safety\", content = \"x\" }\n\
         file = { path = \"/srv/deep/file\", content = \"x\", secret = true, mode = \"0600\" }\n\
         directory = { path = \"/srv/deep/a/b\", mode = \"0700\" }";
    run(lab, "apply", resources, &["--yes"]).exits(0);
    run(lab, "check", resources, &[]).exits(0);
    assert_eq!(
        lab.on(
            node,
            "cat /run/path-safety /srv/disk/deep/file; stat -c %a /srv/disk/deep/a/b"
        ),
        "xx700"
    );
}

/// Managed paths in the home of the account.
const HOME: &str = r#"file = { path = "/home/mallory/.bashrc", content = "export EDITOR=vim\n", owner = "mallory", group = "mallory" }
    file = { path = "/home/mallory/.profile", content = "umask 022\n", owner = "mallory", group = "mallory" }
    file = { path = "/home/mallory/keys", content = "of root\n", secret = true, group = "mallory", mode = "0640" }
    file = { path = "/home/mallory/sub/file", content = "below\n", owner = "mallory" }
    symlink = { path = "/home/mallory/here", target = "/srv" }
    symlink = { path = "/home/mallory/mine", target = "/srv", owner = "mallory" }
    directory = { path = "/home/mallory/made/folder", owner = "mallory", mode = "0700" }
    directory = { path = "/home/mallory/closed", owner = "mallory", mode = "0700" }
    file = { path = "/home/mallory/old", state = "absent" }
    directory = { path = "/home/mallory/cache", state = "absent", recursive = true }"#;

/// Changes everything that is managed, as the account would.
const TAMPER: &str = "cd /home/mallory && rm -rf .gone* .ready .skep.* sub sub.link made here mine keys closed .bashrc .profile old cache && \
    mkdir -p sub closed cache/deep && chmod 755 closed && echo mine >.bashrc && \
    printf 'umask 022\\n' >.profile && chmod 600 .profile && echo x >old && echo x >cache/deep/file && \
    ln -sfn /etc here && ln -sfn /etc mine && echo x >sub/file && chown -hR mallory:mallory .";

pub fn races_are_lost_by_the_other_account(lab: &TestLab) {
    let node = "docker01";
    let before = prepare(lab, node, "mallory");
    lab.on(node, "rm -rf /home/mallory/link /home/mallory/roots");
    lab.on(node, TAMPER);
    // Without a race, everything is managed in the home of another account.
    run(lab, "apply", HOME, &["--yes"]).exits(0);
    run(lab, "check", HOME, &[]).exits(0);
    assert_eq!(
        lab.on(node, "cd /home/mallory && stat -c '%n %U %a' .bashrc .profile keys sub/file here mine made made/folder closed"),
        ".bashrc mallory 644\n.profile mallory 644\nkeys root 640\nsub/file mallory 644\nhere root 777\nmine mallory 777\n\
         made mallory 755\nmade/folder mallory 700\nclosed mallory 700"
    );
    let names = "^(\\.bashrc|\\.profile|keys|here|mine|made|folder|closed|old|cache)$";
    let mut exchanged = 0;
    for (target, pattern) in [
        ("/victim/file", "^.skep"),
        ("/victim", "^.skep"),
        ("/victim/file", names),
        ("/victim", names),
        ("/victim/folder", "."),
    ] {
        for _ in 0..2 {
            lab.on(node, TAMPER);
            let watch = Racer::start(
                lab,
                node,
                "mallory",
                "/tmp/watch.log",
                &format!("watch /home/mallory {target} \"{pattern}\""),
            );
            let flip = Racer::start(
                lab,
                node,
                "mallory",
                "/tmp/flip.log",
                "flip /home/mallory/sub /victim",
            );
            let said = run(lab, "apply", HOME, &["--yes"]);
            exchanged += watch.stop();
            flip.stop();
            let after = lab.on(node, STATE);
            assert_eq!(
                after, before,
                "{target} {pattern}\n{}\n{}",
                said.stdout, said.stderr
            );
        }
    }
    assert!(exchanged > 10, "the racer exchanged only {exchanged} names");
    lab.on(node, TAMPER);
    run(lab, "apply", HOME, &["--yes"]).exits(0);
    assert_eq!(
        lab.on(node, "find /home/mallory -name '.skep*'"),
        "",
        "folders that were made and not removed"
    );
}

/// Drift opened the directory of a file that only root may read, to every account, to a group, or
/// by its owner. The resource of the directory is applied first, and the file is read after it.
pub fn an_opened_directory_is_closed_before_its_files_are_read(lab: &TestLab) {
    let node = "docker01";
    let resources = "directory = { path = \"/etc/opened\" }\n\
                     file = { path = \"/etc/opened/key\", content = \"key\", mode = \"0600\" }";
    run(lab, "apply", resources, &["--yes"]).exits(0);
    for drift in [
        "chmod 0777 /etc/opened",
        "chgrp daemon /etc/opened; chmod g+w /etc/opened",
        "chown daemon /etc/opened",
        "chmod 0777 /etc/opened; echo other >/etc/opened/key",
        "chmod 0777 /etc/opened; rm /etc/opened/key; setpriv --reuid=daemon --clear-groups sh -c 'umask 077; echo x >/etc/opened/key'",
    ] {
        lab.on(node, drift);
        let check = run(lab, "check", resources, &[]);
        check
            .exits(3)
            .says("not readable before directory[/etc/opened]");
        run(lab, "apply", resources, &["--yes"]).exits(0);
        run(lab, "check", resources, &[]).exits(0);
        lab.on(node, "test \"$(stat -c '%U %G %a' /etc/opened) $(stat -c '%U %G %a' /etc/opened/key) $(cat /etc/opened/key)\" = 'root root 755 root root 600 key'");
    }
    // Without a resource for the directory, nothing is changed.
    lab.on(node, "chmod 0777 /etc/opened; echo other >/etc/opened/key");
    let file = resources.lines().last().unwrap();
    run(lab, "apply", file, &["--yes"])
        .exits(1)
        .says("root does not read /etc/opened/key, because every account may write in /etc/opened")
        .says("let only root write in /etc/opened");
    lab.on(
        node,
        "test \"$(cat /etc/opened/key)\" = other; rm -r /etc/opened",
    );
}

/// A process with the account of a container exchanges names in its volume, which the playbook
/// marks.
pub fn a_container_does_not_lead_the_marker_away(lab: &TestLab, node: &str, playbook: &str) {
    let before = prepare(lab, node, "mallory");
    for (target, pattern) in [
        ("/victim/file", "skep"),
        ("/victim", "skep"),
        ("/victim/file", "^.skep-volume$"),
        ("/victim/folder", "skep"),
    ] {
        lab.on(
            node,
            "chown -R 999:999 /srv/db; rm -rf /srv/db/.skep* /srv/db/.gone* /srv/db/.ready",
        );
        let racer = Racer::start(
            lab,
            node,
            "999",
            "/tmp/marker.log",
            &format!("watch /srv/db {target} \"{pattern}\""),
        );
        let said = lab.run("apply", playbook, &["--yes"]);
        let exchanged = racer.stop();
        let text = format!("{}\n{}", said.stdout, said.stderr);
        assert!(exchanged > 0, "no name was exchanged\n{text}");
        assert_eq!(lab.on(node, STATE), before, "{target} {pattern}\n{text}");
    }
    lab.on(node, "rm -rf /srv/db/.skep* /srv/db/.gone* /srv/db/.ready; chown -R 0:0 /srv/db/data; chown 999:999 /srv/db");
    lab.run("apply", playbook, &["--yes"]).exits(0);
    lab.on(
        node,
        "test \"$(stat -c '%U %a %h' /srv/db/.skep-volume)\" = 'root 644 1'",
    );
    lab.run("check", playbook, &[]).exits(0);
}
