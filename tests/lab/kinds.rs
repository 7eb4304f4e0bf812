//! Every kind end to end on one node: created, in sync, changed by hand field by field, reported
//! with the values before and after, repaired, removed. The reported fields are compared as a
//! whole: one field more or less is a failure.

use crate::test_lab::TestLab;

pub const NODE: &str = "docker01";

/// The life cycle of some resources.
pub struct Lifecycle<'a> {
    /// The resources in their desired state.
    pub present: &'a str,
    /// Changes by hand, and the complete list of lines that `check` must then show under the
    /// resources.
    pub tampers: &'a [(&'a str, &'a [&'a str])],
    /// The resources that remove them, and a condition that then holds on the node.
    pub absent: Option<(&'a str, &'a str)>,
}

/// Writes a playbook of these resources, one per line.
pub fn playbook(lab: &TestLab, resources: &str) -> String {
    let lines = resources
        .lines()
        .map(|line| format!("  {{ {} }},\n", line.trim()));
    lab.write(
        "kind.toml",
        &format!(
            "[[plays]]\nhosts = \"all\"\nresources = [\n{}]\n",
            lines.collect::<String>()
        ),
    )
}

/// Returns the lines of a plan that name fields: those right below a resource, without notes and
/// diffs.
pub fn fields(stdout: &str) -> Vec<&str> {
    let own = |line: &&str| line.starts_with("      ") && !line.starts_with("       ");
    stdout
        .lines()
        .filter(own)
        .map(str::trim)
        .filter(|line| !line.starts_with("note:"))
        .collect()
}

impl Lifecycle<'_> {
    #[track_caller]
    pub fn run(&self, lab: &TestLab) {
        let present = playbook(lab, self.present);
        lab.run("check", &present, &[]).exits(3);
        lab.run("apply", &present, &["--yes"])
            .exits(0)
            .says("Applied");
        lab.run("check", &present, &[]).exits(0).says("In sync");
        for (script, expected) in self.tampers {
            lab.on(NODE, script);
            // The change before this one must be repaired, since `check` would report it as well.
            let said = lab.run("check", &present, &[]).exits(3);
            assert_eq!(
                fields(&said.stdout),
                *expected,
                "after `{script}`:\n{}",
                said.stdout
            );
            lab.run("apply", &present, &["--yes"])
                .exits(0)
                .says("Applied");
        }
        lab.run("check", &present, &[]).exits(0).says("In sync");
        if let Some((resources, gone)) = self.absent {
            let absent = playbook(lab, resources);
            lab.run("check", &absent, &[]).exits(3);
            lab.run("apply", &absent, &["--yes"]).exits(0);
            lab.on(NODE, gone);
            lab.run("apply", &absent, &["--yes"])
                .exits(0)
                .says("In sync, checked");
        }
    }
}

fn paths(lab: &TestLab) {
    lab.on(NODE, "mkdir -p /srv/keep && touch /srv/keep/x");
    let life = Lifecycle {
        present: r#"file = { path = "/srv/f", content = "one\ntwo\n", owner = "vagrant", group = "daemon", mode = "0640" }
            directory = { path = "/srv/a/b", owner = "999", group = "vagrant", mode = "2750" }
            symlink = { path = "/srv/l", target = "/srv/keep", owner = "vagrant" }"#,
        tampers: &[
            (
                "printf 'one\\nTWO\\n' >/srv/f; chown 998 /srv/a/b; ln -sfn /tmp /srv/l",
                &[
                    "content:",
                    "owner: 998 -> 999",
                    "target: /tmp -> /srv/keep",
                    "owner: root -> vagrant",
                ],
            ),
            (
                "chown root /srv/f; chgrp root /srv/a/b; chown -h 5 /srv/l",
                &[
                    "owner: root -> vagrant",
                    "group: root -> vagrant",
                    "owner: games -> vagrant",
                ],
            ),
            (
                "chgrp root /srv/f; chmod g-s,o+rx /srv/a/b; chgrp -h 5 /srv/l",
                &[
                    "group: root -> daemon",
                    "mode: 0755 -> 2750",
                    "group: tty -> root",
                ],
            ),
            ("chmod 4640 /srv/f", &["mode: 4640 -> 0640"]),
            (
                "printf 'one\\ntwo' >/srv/f; chmod 0600 /srv/f",
                &["content:", "mode: 0600 -> 0640"],
            ),
        ],
        absent: Some((
            r#"file = { path = "/srv/f", state = "absent" }
            directory = { path = "/srv/a/b", state = "absent", recursive = true }
            symlink = { path = "/srv/l", state = "absent" }"#,
            "! test -e /srv/f && ! test -e /srv/a/b && test -d /srv/a && ! test -L /srv/l && test -e /srv/keep/x",
        )),
    };
    life.run(lab);
    let full = playbook(
        lab,
        r#"directory = { path = "/srv/keep", state = "absent" }"#,
    );
    lab.run("apply", &full, &["--yes"])
        .exits(1)
        .says("is not empty: recursive = true");
    lab.on(NODE, "test -e /srv/keep/x");
}

fn accounts_and_system(lab: &TestLab) {
    lab.on(NODE, "groupadd crew && gpasswd -a games crew; echo 0 >/proc/sys/net/ipv4/conf/lo/log_martians; echo 0 >/proc/sys/net/ipv4/conf/all/log_martians");
    let file = "/etc/sysctl.d/60-skep-net.ipv4.conf.lo.log_martians.conf";
    let life = Lifecycle {
        present: r#"group = { name = "band", gid = 4321 }
            user_in_group = { user = "vagrant", group = "crew", exclusive = true, prove = "id -nG | grep -qw crew" }
            hosts_entry = { address = "10.9.8.7", names = ["db.lan", "db"] }
            sysctl = { key = "net.ipv4.conf.lo.log_martians", value = true }
            sysctl = { key = "net/ipv4/conf/all/log_martians", value = true }"#,
        tampers: &[
            (
                "groupdel band; gpasswd -d vagrant crew; sed -i 's/^10.9.8.7.*/10.9.8.6 db db.lan/' /etc/hosts; echo 0 >/proc/sys/net/ipv4/conf/lo/log_martians",
                &[
                    "vagrant: not a member -> member of crew",
                    "/etc/hosts:",
                    "value: 0 -> 1",
                ],
            ),
            (
                &format!(
                    "gpasswd -a games crew; grep -v db.lan /etc/hosts >/root/hosts; cat /root/hosts >/etc/hosts; sed -i 's/= 1/= 0/' {file}; echo 0 >/proc/sys/net/ipv4/conf/all/log_martians"
                ),
                &[
                    "games: member of crew -> not a member",
                    "/etc/hosts:",
                    &format!("{file}:"),
                    "value: 0 -> 1",
                ],
            ),
        ],
        absent: Some((
            r#"group = { name = "band", state = "absent" }
            user_in_group = { user = "vagrant", group = "crew", state = "absent" }
            hosts_entry = { address = "10.9.8.7", names = ["db.lan", "db"], state = "absent" }
            sysctl = { key = "net.ipv4.conf.lo.log_martians", state = "absent" }
            sysctl = { key = "net/ipv4/conf/all/log_martians", state = "absent" }"#,
            "! getent group band && ! id -nG vagrant | grep -w crew && ! grep -q db.lan /etc/hosts && grep -q localhost /etc/hosts && ! ls /etc/sysctl.d/60-skep*",
        )),
    };
    life.run(lab);
}

fn services(lab: &TestLab) {
    lab.on(NODE, "printf '[Service]\\nExecStart=/bin/sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\n' >/etc/systemd/system/demo.service; systemctl daemon-reload; touch -d '1 hour ago' /etc/demo.conf");
    let service = Lifecycle {
        present: r#"systemd_service = { name = "demo", enabled = true, running = true, restart_when_newer = ["/etc/demo.conf"] }"#,
        tampers: &[
            ("systemctl stop demo", &["running: inactive -> yes"]),
            ("systemctl disable demo", &["enabled: no -> yes"]),
            (
                "sleep 1.1; touch /etc/demo.conf; sleep 1.1",
                &["started: before /etc/demo.conf -> after"],
            ),
            (
                "kill -9 $(systemctl show -p MainPID --value demo); sleep 0.2",
                &["running: failed -> yes"],
            ),
            (
                "echo '# x' >>/etc/systemd/system/demo.service",
                &["unit files: changed on disk -> loaded"],
            ),
        ],
        absent: Some((
            r#"systemd_service = { name = "demo", enabled = false, running = false }"#,
            "! systemctl is-active demo && ! systemctl is-enabled demo",
        )),
    };
    service.run(lab);
    let masked = Lifecycle {
        present: r#"systemd_service = { name = "demo2", masked = false, running = true }"#,
        tampers: &[(
            "systemctl stop demo2; systemctl mask demo2",
            &["masked: yes -> no", "running: inactive -> yes"],
        )],
        absent: None,
    };
    lab.on(NODE, "cp /etc/systemd/system/demo.service /usr/lib/systemd/system/demo2.service; systemctl daemon-reload");
    masked.run(lab);
    let missing = playbook(
        lab,
        r#"systemd_service = { name = "nosuch", running = true }"#,
    );
    lab.run("apply", &missing, &["--yes"])
        .exits(1)
        .says("there is no unit nosuch.service on this host");
}

fn commands(lab: &TestLab) {
    let command = Lifecycle {
        present: r#"command = { name = "mark", run = "id -un >/srv/mark; cat >>/srv/mark", stdin = "given", creates = "/srv/mark" }"#,
        tampers: &[("rm /srv/mark", &["run:", "creates: (absent) -> /srv/mark"])],
        absent: None,
    };
    command.run(lab);
    assert_eq!(lab.on(NODE, "cat /srv/mark"), "root\ngiven");
    let unless = Lifecycle {
        present: r#"command = { argv = ["cp", "/etc/hostname", "/srv/copy"], unless = "cmp -s /etc/hostname /srv/copy" }"#,
        tampers: &[(
            "echo x >/srv/copy",
            &[
                "run:",
                "unless: status 1 of cmp -s /etc/hostname /srv/copy -> status 0",
            ],
        )],
        absent: None,
    };
    unless.run(lab);
    let always = playbook(lab, r#"command = { run = "date", always = true }"#);
    lab.run("apply", &always, &["--yes"]).exits(0);
    for (command, why) in [
        (
            r#"run = "echo out; echo why >&2; exit 7", always = true"#,
            "why",
        ),
        (r#"run = "exit 7", always = true"#, "ended with status 7"),
        (
            r#"run = "sleep 60", always = true, timeout = "1s""#,
            "timed out after 1s",
        ),
        (
            r#"argv = ["no such program"], always = true"#,
            "there is no program no such program",
        ),
        (
            r#"run = "true", creates = "/srv/never""#,
            "/srv/never does not exist",
        ),
    ] {
        let said = lab
            .run(
                "apply",
                &playbook(lab, &format!("command = {{ {command} }}")),
                &["--yes"],
            )
            .exits(1);
        assert!(said.stdout.contains(why), "{command}:\n{}", said.stdout);
    }
    let stranger = playbook(
        lab,
        r#"command = { run = "true", always = true, user = "stranger" }"#,
    );
    let said = lab
        .run("apply", &stranger, &["--yes"])
        .exits(1)
        .says("user stranger does not exist");
    said.does_not_say("unreachable");
    assert_eq!(
        lab.on(NODE, "ps ax | grep -c '[s]leep 60' || :"),
        "0",
        "the timeout ended the command on the host"
    );
}

/// A membership whose proof fails is drift until a proof succeeds.
fn failed_proofs_run_again(lab: &TestLab) {
    let proved = |by: &str| {
        playbook(
            lab,
            &format!(
                "user_in_group = {{ user = \"vagrant\", group = \"dialout\", prove = \"{by}\" }}"
            ),
        )
    };
    let fails = proved("test -e /run/proof");
    lab.run("apply", &fails, &["--yes"]).exits(1);
    lab.on(NODE, "id -nG vagrant | grep -qw dialout");
    let said = lab.run("check", &fails, &[]).exits(3);
    assert_eq!(
        fields(&said.stdout),
        ["vagrant: member, whose proof failed -> proved"]
    );
    lab.run("apply", &fails, &["--yes"]).exits(1);
    lab.on(NODE, "touch /run/proof");
    lab.run("apply", &fails, &["--yes"]).exits(0);
    lab.run("check", &fails, &[]).exits(0).says("In sync");
    assert_eq!(
        lab.on(NODE, "ls /var/lib/skep | grep -c unproved || :"),
        "0"
    );
}

#[test]
fn host_kinds_lifecycle() {
    let lab = TestLab::up_with("kinds", &["--managers", "1", "--workers", "0"]);
    paths(&lab);
    accounts_and_system(&lab);
    failed_proofs_run_again(&lab);
    services(&lab);
    commands(&lab);
}
