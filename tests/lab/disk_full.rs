//! Disks without space, mounted read-only or noexec. Nothing is written partially, the error names
//! the reason, and the next `apply` converges when there is space again.

use crate::host_conditions::{Run, playbook};
use crate::test_lab::TestLab;

pub fn full_and_read_only_disks(lab: &TestLab, node: &str) {
    let host = format!(
        "address = {:?}\nuser = \"vagrant\"\nbecome = true",
        lab.address(node)
    );
    let inventory = lab.inventory_of("disks.toml", "", &[(node, &host)]);
    noexec_tmp_and_read_only_home(lab, node, &inventory);
    full_disk(lab, node, &inventory);
    full_etc(lab, node, &inventory);
    no_space_for_record_and_lock(lab, node, &inventory);
    read_only_file_systems(lab, node, &inventory);
}

fn noexec_tmp_and_read_only_home(lab: &TestLab, node: &str, inventory: &str) {
    lab.on(
        node,
        "mount -o remount,noexec /tmp
         for place in /var/tmp /home /root; do mount --bind $place $place; done
         mount -o remount,bind,noexec /var/tmp; mount -o remount,bind,ro /home; mount -o remount,bind,ro /root
         for place in /tmp /var/tmp /dev/shm; do cp /bin/true $place/true; ! $place/true 2>/dev/null && rm $place/true || exit 1; done
         ! touch /home/vagrant/x 2>/dev/null && ! touch /root/x 2>/dev/null",
    );
    let playbook = playbook(
        lab,
        "noexec.toml",
        r#"package = { names = ["tree", "logrotate"] }
           file = { path = "/srv/made", content = "x" }
           command = { run = "id -un >/srv/who", user = "vagrant", creates = "/srv/who" }
           command = { run = "tree --version >/srv/version", creates = "/srv/version" }"#,
    );
    lab.on(
        node,
        "install -m 0666 /dev/null /srv/who; rm /srv/who; chmod 0777 /srv",
    );
    Run {
        inventory,
        playbook: &playbook,
        password: None,
    }
    .settles(&[]);
    lab.on(
        node,
        "umount /home /root /var/tmp; mount -o remount,exec /tmp; chmod 0755 /srv",
    );
}

fn full_disk(lab: &TestLab, node: &str, inventory: &str) {
    lab.on(node, "mkdir /srv/full; mount -t tmpfs -o size=64k tmpfs /srv/full; echo old >/srv/full/f; dd if=/dev/zero of=/srv/full/rest 2>/dev/null || :");
    let playbook = playbook(
        lab,
        "full.toml",
        r#"file = { path = "/srv/before", content = "x" }
           directory = { path = "/srv/also-before" }
           file = { path = "/srv/full/f", content = "{{ 'new\n' * 3000 }}", mode = "0640" }
           file = { path = "/srv/behind", content = "x" }
           file = { path = "/srv/behind-2", content = "x" }
           directory = { path = "/srv/behind-3" }
           symlink = { path = "/srv/behind-4", target = "before" }
           hosts_entry = { address = "10.9.9.8", names = ["behind.lan"] }
           file = { path = "/srv/behind-5", content = "x" }"#,
    );
    let run = Run {
        inventory,
        playbook: &playbook,
        password: None,
    };
    run.verb("check", &[]).exits(3);
    let said = run
        .verb("apply", &[])
        .exits(1)
        .says("file[/srv/full/f]")
        .says("No space left on device");
    // The nine changes travel together. The third one fails, and the six behind it do not begin.
    said.says("try: ")
        .says("directory[/srv/also-before]")
        .does_not_say("unreachable");
    assert_eq!(
        lab.on(
            node,
            "cat /srv/full/f; ls -A /srv/full; cat /srv/before; ls -d /srv/also-before
             ls -d /srv/behind* 2>/dev/null || :; grep behind.lan /etc/hosts || :"
        ),
        "old\nf\nrest\nx/srv/also-before"
    );
    run.verb("check", &[]).exits(3);
    lab.on(node, "rm /srv/full/rest");
    run.verb("apply", &[]).exits(0).says("Applied");
    run.verb("check", &[]).exits(0);
    assert_eq!(
        lab.on(node, "wc -c </srv/full/f; ls -A /srv/full"),
        "12000\nf"
    );
    lab.on(node, "umount /srv/full");
}

/// Checks every kind that writes below /etc, each on its own.
fn full_etc(lab: &TestLab, node: &str, inventory: &str) {
    lab.on(
        node,
        "mkdir /run/etc; mount -t tmpfs -o size=16m,mode=755 tmpfs /run/etc; cp -a /etc/. /run/etc/; mount --bind /run/etc /etc
         dd if=/dev/zero of=/etc/rest bs=64k 2>/dev/null; dd if=/dev/zero of=/etc/rest2 bs=512 2>/dev/null || :; df /etc | grep -q 100%",
    );
    let sums = "cd /etc; find . -type f ! -name '*.lock' ! -name resolv.conf | LC_ALL=C sort | xargs cksum";
    let before = lab.on(node, sums);
    let resources = [
        r#"file = { path = "/etc/new", content = "x" }"#,
        r#"hosts_entry = { address = "10.9.9.9", names = ["full.lan"] }"#,
        r#"user_in_group = { user = "vagrant", group = "games" }"#,
        r#"group = { name = "fresh" }"#,
        "daemon_json = { debug = true }",
        r#"sysctl = { key = "net.ipv4.conf.lo.log_martians", value = 1 }"#,
    ];
    for resource in resources {
        let playbook = playbook(lab, "etc.toml", resource);
        let run = Run {
            inventory,
            playbook: &playbook,
            password: None,
        };
        let said = run
            .verb("apply", &[])
            .exits(1)
            .does_not_say("unreachable")
            .says("try: ");
        let why = [
            "No space left on device",
            "failure while writing changes",
            "cannot ",
        ]
        .iter()
        .any(|why| said.stdout.contains(why));
        assert!(why, "{resource}:\n{}", said.stdout);
        assert_eq!(
            lab.on(node, sums),
            before,
            "{resource} left /etc half-changed"
        );
    }
    lab.on(node, "rm /etc/rest /etc/rest2");
    let playbook = playbook(lab, "etc.toml", &resources.join("\n"));
    let run = Run {
        inventory,
        playbook: &playbook,
        password: None,
    };
    run.verb("apply", &[]).exits(0);
    run.verb("check", &[]).exits(0).says("In sync");
    // A program of the machine may be reading a file there.
    lab.on(
        node,
        "for attempt in $(seq 50); do umount /etc && break; sleep 0.2; done; ! mountpoint -q /etc && umount /run/etc",
    );
}

fn no_space_for_record_and_lock(lab: &TestLab, node: &str, inventory: &str) {
    lab.on(node, "mkdir -p /var/lib/skep; mount -t tmpfs -o size=4k,mode=700 tmpfs /var/lib/skep; dd if=/dev/zero of=/var/lib/skep/rest 2>/dev/null || :");
    let one = playbook(
        lab,
        "record.toml",
        r#"file = { path = "/srv/record", content = "x" }"#,
    );
    let run = Run {
        inventory,
        playbook: &one,
        password: None,
    };
    run.verb("apply", &[])
        .exits(0)
        .says("the applied resources could not be recorded")
        .says("No space left on device");
    // The record of daemon.json is written first: neither the file nor the Engine is touched.
    let engine = playbook(lab, "engine.toml", "daemon_json = { debug = true }");
    let files = "find /etc/docker -type f 2>/dev/null | xargs -r cksum";
    let before = lab.on(node, files);
    Run {
        inventory,
        playbook: &engine,
        password: None,
    }
    .verb("apply", &[])
    .exits(1)
    .says("No space left on device");
    assert_eq!(lab.on(node, files), before);
    assert_eq!(
        lab.on(node, "ls -A /var/lib/skep; umount /var/lib/skep"),
        "rest"
    );
    run.verb("check", &[]).exits(0);
    lab.on(
        node,
        "dd if=/dev/zero of=/run/rest bs=64k 2>/dev/null; dd if=/dev/zero of=/run/rest2 bs=512 2>/dev/null || :",
    );
    let two = playbook(
        lab,
        "lock.toml",
        r#"file = { path = "/srv/lock", content = "x" }"#,
    );
    let run = Run {
        inventory,
        playbook: &two,
        password: None,
    };
    run.verb("apply", &[])
        .exits(1)
        .says("cannot lock the host")
        .says("No space left on device")
        .does_not_say("unreachable");
    lab.on(node, "! test -e /srv/lock; rm /run/rest /run/rest2");
    run.verb("apply", &[]).exits(0);
}

/// Simulates a disk error: only file systems in memory can be written.
fn read_only_file_systems(lab: &TestLab, node: &str, inventory: &str) {
    lab.on(
        node,
        "mkdir -p /etc/systemd/system/ssh.service.d
         printf '[Service]\\nReadOnlyPaths=/etc /home /root /srv /usr /var\\n' >/etc/systemd/system/ssh.service.d/ro.conf
         systemctl daemon-reload; systemctl restart ssh; echo old >/srv/ro",
    );
    let resources = [
        r#"file = { path = "/srv/ro", content = "new" }"#,
        r#"directory = { path = "/srv/ro-directory" }"#,
        r#"user_in_group = { user = "vagrant", group = "audio" }"#,
        r#"package = { names = ["jq"] }"#,
    ];
    for resource in resources {
        let playbook = playbook(lab, "ro.toml", resource);
        let run = Run {
            inventory,
            playbook: &playbook,
            password: None,
        };
        run.verb("check", &[]).exits(3);
        let said = run
            .verb("apply", &[])
            .exits(1)
            .does_not_say("unreachable")
            .says("try: ");
        assert!(
            said.stdout.contains("ead-only file system")
                || said.stdout.contains("cannot lock /etc"),
            "{resource}:\n{}",
            said.stdout
        );
    }
    assert_eq!(
        lab.on(node, "cat /srv/ro; ls -A /srv | grep skep || :"),
        "old"
    );
    lab.on(
        node,
        "rm -r /etc/systemd/system/ssh.service.d; systemctl daemon-reload; systemctl restart ssh",
    );
    let playbook = playbook(lab, "rw.toml", &resources.join("\n"));
    Run {
        inventory,
        playbook: &playbook,
        password: None,
    }
    .verb("apply", &[])
    .exits(0);
}
