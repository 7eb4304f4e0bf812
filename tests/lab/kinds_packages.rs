//! `package` and `apt_repository` end to end on one node, with packages built by the test:
//! versions, holds, an interrupted dpkg, locks of other programs, an unfinished first boot, older
//! lists and keys.

use std::time::Instant;

use crate::kinds::{Lifecycle, NODE, fields, playbook};
use crate::test_lab::TestLab;

/// Creates a repository of two packages below /opt/repo. `skepother` fails to configure while
/// /run/fail exists.
const REPOSITORY: &str = r#"set -e
mkdir -p /opt/repo && cd /opt/repo
deb() {
  rm -rf /tmp/b && mkdir -p /tmp/b/DEBIAN
  printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: demo\n' "$1" "$2" >/tmp/b/DEBIAN/control
  [ -z "$3" ] || { printf '#!/bin/sh\n%s\n' "$3" >/tmp/b/DEBIAN/postinst && chmod 755 /tmp/b/DEBIAN/postinst; }
  dpkg-deb -b /tmp/b "/opt/repo/$1_$2.deb" >/dev/null
}
deb skepdemo 1.0-1 ''; deb skepdemo 1.1-1 ''; deb skepdemo 2.0-1 ''
deb skepother 3.0 'test ! -e /run/fail || { printf "because\033[31m\n" >&2; exit 9; }'
for f in *.deb; do dpkg-deb -f "$f"; printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$f" "$(stat -c %s "$f")" "$(sha256sum "$f" | cut -d' ' -f1)"; done >Packages
echo 'deb [trusted=yes] file:/opt/repo ./' >/etc/apt/sources.list.d/local.list"#;

/// Holds one of apt's locks as apt does (fcntl, not flock) for some seconds.
const HOLD_LOCK: &str = r"use Fcntl;
open(my $h, '+>', $ARGV[0]) or die; my $l = pack('s s x4 q q l x4', F_WRLCK, 0, 0, 0, 0);
fcntl($h, F_SETLK, $l) or die; open(my $r, '>', '/run/holding'); close $r; sleep $ARGV[1];";

/// Changes the version such that apt's binary cache still counts as fresh: dpkg's status keeps its
/// size and its time.
const STALE_CACHE: &str =
    "apt-mark unhold skepdemo; apt-get check; touch -r /var/lib/dpkg/status /root/then
size=$(stat -c %s /var/lib/dpkg/status)
dpkg -i /opt/repo/skepdemo_2.0-1.deb; touch -r /root/then /var/lib/dpkg/status
test \"$size\" = \"$(stat -c %s /var/lib/dpkg/status)\"";

fn packages(lab: &TestLab) {
    lab.on(NODE, REPOSITORY);
    let demo = Lifecycle {
        present: r#"package = { name = "skepdemo", version = "1.0", hold = true, allow_downgrade = true }"#,
        tampers: &[
            ("apt-mark unhold skepdemo", &["hold skepdemo: no -> yes"]),
            (
                STALE_CACHE,
                &["skepdemo: 2.0-1 -> 1.0-1", "hold skepdemo: no -> yes"],
            ),
            (
                "dpkg --force-hold -r skepdemo",
                &["skepdemo: (absent) -> 1.0-1", "hold skepdemo: no -> yes"],
            ),
        ],
        absent: None,
    };
    demo.run(lab);
    let plan = |resource: &str| {
        lab.run(
            "plan",
            &playbook(lab, &format!("package = {{ {resource} }}")),
            &[],
        )
    };
    plan(r#"name = "skepdemo", version = "2.*""#)
        .exits(1)
        .says("skepdemo is on hold on this host and would be changed");
    plan(r#"name = "skepdemo""#)
        .exits(0)
        .does_not_say("to change");
    let released = playbook(
        lab,
        r#"package = { name = "skepdemo", version = "2.*", hold = false }"#,
    );
    let said = lab.run("plan", &released, &[]).exits(0);
    assert_eq!(
        fields(&said.stdout),
        ["hold skepdemo: yes -> no", "skepdemo: 1.0-1 -> 2.0-1"]
    );
    lab.run("apply", &released, &["--yes"]).exits(0);
    // A hold that somebody else has set is released only on request.
    lab.on(NODE, "apt-mark hold skepdemo");
    lab.run("check", &released, &[]).exits(0);
    lab.run("apply", &released, &["--yes"]).exits(0);
    assert_eq!(lab.on(NODE, "apt-mark showhold"), "skepdemo");
    plan(r#"name = "skepdemo", version = "1.0", allow_downgrade = true, hold = false"#)
        .exits(1)
        .says("skepdemo is on hold on this host and would be changed");
    let all = playbook(lab, r#"package = { name = "skepdemo", hold = "release" }"#);
    lab.run("apply", &all, &["--yes"]).exits(0);
    assert_eq!(
        lab.on(NODE, "apt-mark showhold; cat /var/lib/skep/holds"),
        ""
    );
    let lower = r#"name = "skepdemo", version = "1.0""#;
    plan(lower)
        .exits(1)
        .says("skepdemo 2.0-1 would be replaced by the lower version 1.0-1");
    let none = playbook(lab, r#"package = { name = "skepdemo", version = "9.*" }"#);
    lab.run("apply", &none, &["--yes"])
        .exits(1)
        .says("no version of skepdemo matches 9.*; apt knows: 2.0-1 1.1-1 1.0-1");
}

fn interrupted_dpkg(lab: &TestLab) {
    // Temporary files of a dpkg that runs, or was killed before any change, are no interruption.
    lab.on(NODE, ": >/var/lib/dpkg/updates/tmp.i");
    let demo = playbook(lab, r#"package = { name = "skepdemo" }"#);
    lab.run("check", &demo, &[]).exits(0);
    lab.on(
        NODE,
        "rm /var/lib/dpkg/updates/tmp.i; : >/var/lib/dpkg/updates/0001",
    );
    lab.run("check", &demo, &[])
        .exits(3)
        .says("dpkg: interrupted -> repaired");
    lab.run("apply", &demo, &["--yes"]).exits(0);
    lab.on(NODE, "! test -e /var/lib/dpkg/updates/0001");

    lab.on(
        NODE,
        "dpkg -r skepdemo; dpkg --unpack /opt/repo/skepdemo_1.0-1.deb",
    );
    let tree = playbook(lab, r#"package = { name = "tree" }"#);
    let said = lab.run("check", &tree, &[]).exits(3);
    assert!(
        fields(&said.stdout).contains(&"dpkg: interrupted -> repaired"),
        "{}",
        said.stdout
    );
    lab.run("apply", &tree, &["--yes"]).exits(0);
    lab.run("check", &tree, &[]).exits(0);
    assert_eq!(
        lab.on(NODE, "dpkg-query -W -f '${db:Status-Status}' skepdemo"),
        "installed"
    );

    lab.on(NODE, "touch /run/fail");
    let other = playbook(lab, r#"package = { name = "skepother" }"#);
    let said = lab
        .run("apply", &other, &["--yes"])
        .exits(1)
        .says("because")
        .does_not_say("\u{1b}");
    assert!(
        !said.stdout.contains("Reading package lists"),
        "apt's progress is no reason:\n{}",
        said.stdout
    );
    lab.run("plan", &other, &[])
        .exits(0)
        .says("skepother: (half-configured) -> ");
    lab.on(NODE, "rm /run/fail");
    lab.run("apply", &other, &["--yes"]).exits(0);
    let gone = playbook(
        lab,
        r#"package = { names = ["skepother", "skepdemo", "tree"], state = "absent" }"#,
    );
    let said = lab.run("apply", &gone, &["--yes"]).exits(0);
    assert!(
        said.stdout.contains("skepother: 3.0 -> (absent)"),
        "{}",
        said.stdout
    );
    lab.run("check", &gone, &[]).exits(0);
    lab.on(
        NODE,
        "! dpkg -s skepdemo && ! dpkg -s skepother && ! dpkg -s tree",
    );
}

fn apt_locks_and_first_boot(lab: &TestLab) {
    lab.on(
        NODE,
        &format!("cat >/root/hold.pl <<'END'\n{HOLD_LOCK}\nEND"),
    );
    let demo = playbook(lab, r#"package = { name = "skepdemo" }"#);
    for lock in ["/var/lib/dpkg/lock-frontend", "/var/lib/apt/lists/lock"] {
        // Without package lists, the step fetches them first and needs both locks.
        lab.on(
            NODE,
            "dpkg -r skepdemo; rm -f /run/holding /var/lib/apt/lists/*Packages*",
        );
        lab.on(
            NODE,
            &format!(
                "setsid perl /root/hold.pl {lock} 3 >/dev/null 2>&1 & while [ ! -e /run/holding ]; do sleep 0.05; done"
            ),
        );
        let started = Instant::now();
        lab.run("apply", &demo, &["--yes"]).exits(0).says("Applied");
        assert!(
            started.elapsed().as_secs_f32() > 1.5,
            "{lock} was held for 3 s, and nobody waited for it"
        );
    }
    // An unfinished first boot: cloud-init may still install packages.
    lab.on(NODE, "dpkg -r skepdemo; printf '#!/bin/sh\\necho \"$*\" >>/run/asked; sleep 2; echo over >>/run/asked\\n' >/usr/local/bin/cloud-init; chmod 755 /usr/local/bin/cloud-init");
    lab.run("check", &demo, &[]).exits(3);
    lab.on(NODE, "! test -e /run/asked");
    lab.run("apply", &demo, &["--yes"]).exits(0);
    assert_eq!(lab.on(NODE, "cat /run/asked"), "status --wait\nover");
    lab.on(
        NODE,
        "dpkg -r skepdemo; mkdir -p /run/cloud-init; : >/run/cloud-init/result.json",
    );
    lab.run("apply", &demo, &["--yes"]).exits(0);
    assert_eq!(
        lab.on(NODE, "cat /run/asked"),
        "status --wait\nover",
        "a first boot that is over is not waited for"
    );
}

/// Other programs' work and faults: dpkg at work is waited for, a package of others that cannot be
/// configured and a source that cannot be fetched are no reason to fail, and causes are named.
fn faults_of_others(lab: &TestLab) {
    // Each playbook replaces the one before.
    let package = |name: &str| playbook(lab, &format!("package = {{ name = \"{name}\" }}"));
    lab.on(
        NODE,
        "apt-get install -y skepdemo
         mkdir -p /tmp/b/DEBIAN; printf 'Package: slowpkg\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: x\n' >/tmp/b/DEBIAN/control
         printf '#!/bin/sh\n: >/run/slow; sleep 6\n' >/tmp/b/DEBIAN/postinst; chmod 755 /tmp/b/DEBIAN/postinst; dpkg-deb -b /tmp/b /root/slow.deb >/dev/null
         setsid apt-get -y install /root/slow.deb >/root/log 2>&1 &
         while [ ! -e /run/slow ]; do sleep 0.1; done",
    );
    lab.run("check", &package("skepdemo"), &[]).exits(0);
    lab.run("apply", &package("tree"), &["--yes"]).exits(0);
    lab.on(NODE, "dpkg -s slowpkg >/dev/null && dpkg -r slowpkg tree");

    // skepother cannot be configured.
    lab.on(
        NODE,
        "touch /run/fail; ! dpkg -i /opt/repo/skepother_3.0.deb",
    );
    lab.run("check", &package("skepdemo"), &[]).exits(0);
    lab.on(NODE, "rm /run/fail; dpkg --configure -a");

    lab.on(NODE, "echo 'deb http://127.0.0.1:9/gone nosuch main' >/etc/apt/sources.list.d/gone.list; rm -f /var/lib/apt/lists/*Packages*");
    lab.run("apply", &package("tree"), &["--yes"]).exits(0);
    lab.run("apply", &package("skep-no-such"), &["--yes"])
        .exits(1)
        .says("Unable to locate package skep-no-such")
        .says("127.0.0.1:9");
    lab.on(
        NODE,
        "rm /etc/apt/sources.list.d/gone.list; apt-get update; dpkg -r tree",
    );
}

fn repositories(lab: &TestLab) {
    let address = lab
        .on(NODE, "sed -n 's|^URIs: \\(http://[0-9.]*\\)/.*|\\1|p' /etc/apt/sources.list.d/skep-lab.sources | head -1");
    let uri = format!("{address}/docker/linux/debian");
    let resource = format!(
        "apt_repository = {{ name = \"docker\", uri = \"{uri}\", components = [\"stable\"], key = {{ url = \"{uri}/gpg\" }} }}"
    );
    // The setup of Docker's own older instructions.
    lab.on(NODE, &format!("echo 'deb [arch=amd64 signed-by=/usr/share/keyrings/docker-archive-keyring.gpg] {uri} trixie stable' >/etc/apt/sources.list.d/docker.list; echo old >/usr/share/keyrings/docker-archive-keyring.gpg; echo older >/etc/apt/trusted.gpg.d/docker.gpg"));
    let said = lab.run("plan", &playbook(lab, &resource), &[]).exits(0);
    for expected in [
        "/etc/apt/sources.list.d/docker.list:",
        "old key /usr/share/keyrings/docker-archive-keyring.gpg: present -> (absent)",
        "old key /etc/apt/trusted.gpg.d/docker.gpg: present -> (absent)",
    ] {
        assert!(
            fields(&said.stdout).contains(&expected),
            "the plan lacks {expected}:\n{}",
            said.stdout
        );
    }
    let life = Lifecycle {
        present: &resource,
        tampers: &[
            (
                "sed -i 's/stable/test/' /etc/apt/sources.list.d/docker.sources",
                &["/etc/apt/sources.list.d/docker.sources:"],
            ),
            (
                "chmod 0600 /etc/apt/keyrings/docker.asc",
                &["mode of the key: 0600 -> 0644"],
            ),
            (
                "rm -f /var/lib/apt/lists/*_docker_*",
                &["package lists: (absent) -> fetched"],
            ),
        ],
        absent: Some((
            r#"apt_repository = { name = "docker", state = "absent" }"#,
            "! test -e /etc/apt/sources.list.d/docker.sources && ! test -e /etc/apt/keyrings/docker.asc",
        )),
    };
    life.run(lab);
    lab.on(NODE, "! test -e /etc/apt/sources.list.d/docker.list && ! test -e /usr/share/keyrings/docker-archive-keyring.gpg && ! test -e /etc/apt/trusted.gpg.d/docker.gpg");

    let wrong = playbook(
        lab,
        &format!("apt_repository = {{ name = \"wrong\", uri = \"{address}/nowhere\" }}"),
    );
    lab.run("apply", &wrong, &["--yes"])
        .exits(1)
        .says("does not have a Release file");
    lab.on(
        NODE,
        "! test -e /etc/apt/sources.list.d/wrong.sources && apt-get update",
    );
    changed_repositories(lab, &uri);
}

/// A source that worked, and a change of it that cannot: the old bytes stay, and apt works.
fn changed_repositories(lab: &TestLab, uri: &str) {
    let table = |more: &str, key: &str| {
        format!(
            "apt_repository = {{ name = \"docker\", uri = \"{uri}\", {more} components = [\"stable\"], key = {{ url = \"{uri}/gpg\"{key} }} }}"
        )
    };
    let resource = table("", "");
    lab.run("apply", &playbook(lab, &resource), &["--yes"])
        .exits(0)
        .says("over http:// without a `fingerprint`");
    let files = "cd /etc/apt; cksum sources.list.d/* keyrings/*";
    let before = lab.on(NODE, files);
    let suite = playbook(lab, &table("suite = \"nowhere\",", ""));
    lab.run("apply", &suite, &["--yes"])
        .exits(1)
        .says("does not have a Release file")
        .says("nothing was changed");
    assert_eq!(lab.on(NODE, files), before);
    lab.on(NODE, "apt-get update");
    let stranger = format!(", fingerprint = \"{}\"", "AB".repeat(20));
    lab.run("apply", &playbook(lab, &table("", &stranger)), &["--yes"])
        .exits(1)
        .says("but the playbook expects ABAB");
    assert_eq!(lab.on(NODE, files), before);

    // Somebody replaces the key on the host.
    lab.on(
        NODE,
        "cp /etc/apt/keyrings/docker.asc /root/good.asc; sed -i '2i Comment: replaced' /etc/apt/keyrings/docker.asc",
    );
    lab.run("check", &playbook(lab, &resource), &[])
        .exits(3)
        .says("another key than skep has fetched");
    lab.run("apply", &playbook(lab, &resource), &["--yes"])
        .exits(0);
    assert_eq!(lab.on(NODE, files), before);
    // The expected fingerprint is that of the lab's key; gpg is not needed on the node.
    let key = lab.write(
        "lab-key.asc",
        &lab.on(NODE, "cat /etc/apt/keyrings/docker.asc"),
    );
    let listed = std::process::Command::new("gpg")
        .args(["--show-keys", "--with-colons", &key])
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let fingerprint = listed
        .lines()
        .find_map(|line| line.strip_prefix("fpr:"))
        .unwrap()
        .trim_matches(':');
    let pinned = table("", &format!(", fingerprint = \"{fingerprint}\""));
    lab.run("check", &playbook(lab, &pinned), &[])
        .exits(0)
        .does_not_say("over http://");
    lab.on(NODE, "rm /etc/apt/keyrings/docker.asc");
    lab.run("apply", &playbook(lab, &pinned), &["--yes"])
        .exits(0);
    assert_eq!(lab.on(NODE, files), before);
}

#[test]
fn package_kinds_lifecycle() {
    let lab = TestLab::up_with("packages", &["--managers", "1", "--workers", "0"]);
    packages(&lab);
    interrupted_dpkg(&lab);
    apt_locks_and_first_boot(&lab);
    faults_of_others(&lab);
    repositories(&lab);
}
