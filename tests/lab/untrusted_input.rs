//! Hostile values on a real shell: values of a playbook arrive literally or are refused, and output
//! of a node never reaches the terminal unescaped. The node is inspected with `nsenter`, never
//! through skep.

use std::time::Duration;

use crate::path_safety;
use crate::skep::{Said, skep};
use crate::test_lab::TestLab;

const NODE: &str = "docker01";

/// Values that a careless shell, `printf`, `test` or option parser would interpret. Each would
/// leave a file `pwned*`.
const HOSTILE_VALUES: &[&str] = &[
    r#""; touch pwned1; echo ""#,
    r"'; touch pwned2; echo '",
    "$(touch pwned3) `touch pwned4`",
    "-rf",
    "--help",
    "-n %s \\n \\033 %n",
    "* ? [a-z] ~ $HOME ${IFS} !x",
    "&& touch pwned5 | tee pwned6 >pwned7; #",
    "  spaces  within  and around  ",
    "ünï 文字 😀 \u{202e}",
];

/// Asserts that the output, without colour sequences, has no control characters.
#[track_caller]
pub fn assert_no_control_characters(said: &Said) {
    for text in [without_colour(&said.stdout), without_colour(&said.stderr)] {
        let raw =
            text.find(|one: char| (one.is_control() && !"\n\t".contains(one)) || one == '\u{202e}');
        let around = raw.map(|at| {
            text[at..]
                .chars()
                .take(60)
                .collect::<String>()
                .escape_debug()
                .to_string()
        });
        assert_eq!(around, None, "this reached the terminal raw");
    }
}

/// Removes the colour sequences, which `--color always` requests.
fn without_colour(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once('m') {
            Some((numbers, rest))
                if numbers
                    .chars()
                    .all(|one| one.is_ascii_digit() || one == ';') =>
            {
                plain.push_str(rest);
            }
            _ => plain.push_str(&format!("\u{1b}[{part}")),
        }
    }
    plain
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Returns a value as a TOML string.
fn toml(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn playbook_values_are_written_literally(lab: &TestLab) {
    let list: Vec<String> = HOSTILE_VALUES.iter().map(|evil| toml(evil)).collect();
    let playbook = lab.write(
        "literal.toml",
        &format!(
            r#"[vars]
evil = [{}]
[[plays]]
name = "x\u001b[31m"
hosts = "all"
resources = [
  {{ directory = {{ path = "/srv/h/{{{{ item | trim }}}}", owner = "vagrant" }}, loop = "{{{{ evil }}}}" }},
  {{ file = {{ path = "/srv/h/{{{{ item | trim }}}}/-f {{{{ item | trim }}}}", content = "{{{{ item }}}}\u0007" }}, loop = "{{{{ evil }}}}" }},
  {{ command = {{ argv = ["cp", "--", "/srv/h/{{{{ item | trim }}}}/-f {{{{ item | trim }}}}", "/srv/h/{{{{ item | trim }}}}/copy"], creates = "/srv/h/{{{{ item | trim }}}}/copy" }}, loop = "{{{{ evil }}}}" }},
  {{ symlink = {{ path = "/srv/h/link", target = "{{{{ evil[0] }}}}" }} }},
  {{ hosts_entry = {{ address = "10.9.9.9", names = ["a-b.lan"] }} }},
]
"#,
            list.join(", ")
        ),
    );
    for more in [
        &[][..],
        &["--json"],
        &["--color", "always", "--diff", "-vv"],
    ] {
        assert_no_control_characters(&lab.run("plan", &playbook, more).exits(0));
    }
    assert_no_control_characters(&lab.run("apply", &playbook, &["--yes", "-vv"]).exits(0));
    lab.run("check", &playbook, &[]).exits(0);
    for evil in HOSTILE_VALUES {
        let name = evil.trim();
        let folder = format!("/srv/h/{name}");
        lab.on(
            NODE,
            &format!("test \"$(stat -c %U -- {})\" = vagrant", quoted(&folder)),
        );
        let want = format!("{evil}\u{7}");
        for file in [format!("{folder}/-f {name}"), format!("{folder}/copy")] {
            lab.on(
                NODE,
                &format!("printf %s {} | cmp - {}", quoted(&want), quoted(&file)),
            );
        }
    }
    lab.on(
        NODE,
        &format!(
            "test \"$(readlink /srv/h/link)\" = {}",
            quoted(HOSTILE_VALUES[0])
        ),
    );
    assert_eq!(
        lab.on(NODE, "find / -xdev -name 'pwned*' -o -xdev -name '.skep*'"),
        "",
        "a value was acted upon"
    );
}

/// A node with hostile text in every output, in the middle of a run that fails.
fn node_output_is_escaped(lab: &TestLab) {
    lab.on(
        NODE,
        r#"e=$(printf '\033]0;owned\007\033[2J\302\233 31m\342\200\256\r')
        rm -f /etc/os-release; sed "s/^PRETTY_NAME=.*/PRETTY_NAME=\"Debian $e evil\"/" /usr/lib/os-release >/etc/os-release
        printf '%s\n' "$e" >/srv/content; ln -s "to $e" /srv/link; printf '# %s\n' "$e" >>/etc/hosts
        mkdir -p /etc/sysctl.d; printf '# %s\n' "$e" >/etc/sysctl.d/60-skep-vm.swappiness.conf
        mkdir -p /etc/docker; printf '{"%s": "%s"} x' "$(printf '\302\233')" "$(printf '\302\233')" >/etc/docker/daemon.json
        printf '#!/bin/sh\necho "%s" >&2\nexit 3\n' "$e" >/usr/local/bin/fails; chmod 755 /usr/local/bin/fails"#,
    );
    let playbook = lab.write(
        "node.toml",
        r#"[[plays]]
hosts = "all"
resources = [
  { file = { path = "/srv/content", content = "x" }, tags = ["fine"] },
  { symlink = { path = "/srv/link", target = "x" }, tags = ["fine"] },
  { hosts_entry = { address = "10.9.9.8", names = ["b.lan"] }, tags = ["fine"] },
  { sysctl = { key = "vm.swappiness", value = "50" }, tags = ["fine"] },
  { daemon_json = { debug = true }, tags = ["refused"] },
  { command = { argv = ["fails"], always = true }, tags = ["fine"] },
]
"#,
    );
    let inventory = lab.inventory();
    for more in [&[][..], &["--json"], &["--color", "always"], &["-vvv"]] {
        for verb in ["ping", "facts"] {
            let said = skep(&[&[verb, "-i", &inventory], more].concat()).exits(0);
            assert_no_control_characters(&said);
        }
        assert_no_control_characters(
            &skep(&[&["status", "-i", &inventory], more].concat()).exits(1),
        );
        assert_no_control_characters(&lab.run("plan", &playbook, more).exits(1));
        assert_no_control_characters(
            &lab.run(
                "check",
                &playbook,
                &[&["--skip-tags", "refused", "--diff"], more].concat(),
            )
            .exits(3),
        );
        assert_no_control_characters(
            &lab.run(
                "apply",
                &playbook,
                &[&["--yes", "--tags", "fine"], more].concat(),
            )
            .exits(1)
            .says("owned"),
        );
    }
    let said = skep(&["facts", "-i", &inventory]).exits(0);
    assert!(
        said.stdout
            .contains("Debian \\u{1b}]0;owned\\u{7}\\u{1b}[2J\\u{9b}"),
        "it is shown, escaped:\n{}",
        said.stdout
    );
    lab.on(
        NODE,
        "rm /etc/docker/daemon.json /etc/os-release; ln -s ../usr/lib/os-release /etc/os-release",
    );
}

/// Checks that every failure has a reason in the host's own terms, leaves no temporary file behind,
/// and does not report the host as unreachable.
fn unwritable_and_unusual_paths(lab: &TestLab) {
    lab.on(NODE, "mkdir -p /srv/full /srv/ro /srv/real; mount -t tmpfs -o size=64k tmpfs /srv/full; mount -t tmpfs -o ro tmpfs /srv/ro; ln -s real /srv/dirlink; ln -s nowhere /srv/dangling; echo old >/srv/busy; mount --bind /srv/busy /srv/busy; echo x >/srv/plain");
    let long = format!("/srv/{}", vec!["n".repeat(250); 15].join("/"));
    for (resource, why) in [
        (
            format!(
                "file = {{ path = \"/srv/full/f\", content = \"{}\" }}",
                "x".repeat(200_000)
            ),
            "No space left on device",
        ),
        (
            r#"file = { path = "/srv/ro/f", content = "x" }"#.into(),
            "Read-only file system",
        ),
        (
            r#"file = { path = "/srv/busy", content = "x" }"#.into(),
            "Device or resource busy",
        ),
        (
            r#"file = { path = "/srv/missing/f", content = "x" }"#.into(),
            "the directory /srv/missing is not there",
        ),
        (
            r#"symlink = { path = "/srv/missing/l", target = "x" }"#.into(),
            "the directory /srv/missing is not there",
        ),
        (
            r#"file = { path = "/srv/plain/f", content = "x" }"#.into(),
            "/srv/plain is not a directory",
        ),
        (
            r#"file = { path = "/srv/dangling", content = "x" }"#.into(),
            "set force = true to replace the link",
        ),
        (
            r#"directory = { path = "/srv/dirlink" }"#.into(),
            "/srv/dirlink is a symbolic link, not a directory",
        ),
        (
            r#"file = { path = "/srv/real", content = "x" }"#.into(),
            "/srv/real is a directory, not a file",
        ),
        (
            r#"file = { path = "/srv/f", content = "x", owner = "stranger" }"#.into(),
            "invalid user",
        ),
        (
            r#"user_in_group = { user = "stranger", group = "vagrant" }"#.into(),
            "there is no account stranger",
        ),
        (
            r#"sysctl = { key = "vm.swappiness", value = "garbage" }"#.into(),
            "the kernel does not take garbage",
        ),
        (
            r#"sysctl = { key = "net.ipv4.nosuch", value = 1 }"#.into(),
            "is its module loaded?",
        ),
    ] {
        let playbook = lab.write(
            "odd.toml",
            &format!("[[plays]]\nhosts = \"all\"\nresources = [{{ {resource} }}]\n"),
        );
        let said = lab
            .run("apply", &playbook, &["--yes"])
            .exits(1)
            .says(why)
            .does_not_say("unreachable");
        assert!(
            said.stdout.contains("try: "),
            "{why} has a hint:\n{}",
            said.stdout
        );
    }
    assert_eq!(
        lab.on(
            NODE,
            "find / -xdev -name '.skep*'; find /srv/full /srv/ro -type f"
        ),
        "",
        "no scrap is left"
    );
    lab.on(
        NODE,
        "test \"$(cat /srv/busy)\" = old; umount /srv/full /srv/ro /srv/busy",
    );
    // Large, many, deep, empty: all in one run.
    let playbook = lab.write(
        "large.toml",
        &format!(
            "[[plays]]\nhosts = \"all\"\nresources = [\n\
             {{ file = {{ path = \"/srv/large\", content = \"{{{{ 'line of text\\n' * 80000 }}}}\" }} }},\n\
             {{ file = {{ path = \"/srv/empty\", content = \"\" }} }},\n\
             {{ directory = {{ path = \"{long}\" }} }},\n\
             {{ file = {{ path = \"{long}/f\", content = \"deep\" }} }},\n\
             {{ file = {{ path = \"/srv/many{{{{ item }}}}\", content = \"n{{{{ item }}}}\" }}, loop = \"{{{{ range(100) | list }}}}\" }},\n]\n"
        ),
    );
    lab.run("apply", &playbook, &["--yes"]).exits(0);
    assert_eq!(
        lab.on(
            NODE,
            "wc -c </srv/large; wc -c </srv/empty; cat /srv/many99; ls /srv/many* | wc -l"
        ),
        "1040000\n0\nn99100"
    );
    let said = lab.run("check", &playbook, &["--json"]).exits(0);
    assert!(
        said.stdout.contains("\"execs\":1"),
        "104 resources are asked for in one exec:\n{}",
        said.stdout
    );
}

/// A run that was killed: other runs name the holder of the lock, and may take it after a minute.
fn lock_of_killed_run(lab: &TestLab) {
    let slow = lab.write(
        "slow.toml",
        "[[plays]]\nhosts = \"all\"\nresources = [{ command = { run = \"sleep 20\", always = true } }]\n",
    );
    let quick = lab.write(
        "quick.toml",
        "[[plays]]\nhosts = \"all\"\nresources = [{ command = { run = \"true\", always = true } }]\n",
    );
    let mut run = lab.command("apply", &slow, &["--yes"]);
    let mut run = run
        .env("USER", "ann\u{1b}[2J")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    lab.until(
        NODE,
        "test -s /run/skep.lock/owner",
        Duration::from_secs(10),
    );
    let said = lab
        .run("apply", &quick, &["--yes"])
        .exits(1)
        .says("locked by ann")
        .says(&format!("process {}", run.id()));
    assert_no_control_characters(&said);
    let said = said.says("--lock-wait").does_not_say("unreachable");
    assert!(said.stdout.contains("last heartbeat"), "{}", said.stdout);
    lab.run("check", &quick, &[]).exits(3);
    run.kill().unwrap();
    run.wait().unwrap();
    lab.run("apply", &quick, &["--yes"])
        .exits(1)
        .says("locked by ann");
    // A minute passes: the heartbeat is the fifth line, in seconds of uptime. The step still works
    // for a while, and keeps the host.
    lab.on(
        NODE,
        "read -r now _ </proc/uptime; sed -i \"5s/.*/$((${now%%.*} - 58))/\" /run/skep.lock/owner",
    );
    let said = lab
        .run("apply", &quick, &["--yes", "--lock-wait", "60s"])
        .exits(0);
    assert!(
        said.stderr.contains("waiting: locked by ann"),
        "waiting is told:\n{}",
        said.stderr
    );
    lab.on(NODE, "! test -e /run/skep.lock");
}

/// An account of the node reads the list of processes all the time: no text of the user is there.
fn user_text_is_in_no_list_of_processes(lab: &TestLab) {
    lab.on(
        NODE,
        r"runuser -u vagrant -- sh -c 'while [ ! -e /tmp/enough ]; do cat /proc/[0-9]*/cmdline; done 2>/dev/null' >/root/seen 2>&1 </dev/null &
        groupadd --force proved; sleep 0.2; test -s /root/seen",
    );
    let playbook = lab.write(
        "texts.toml",
        r#"[[plays]]
hosts = "all"
resources = [
  { command = { run = "sleep 0.71; : S3CRET-run; touch /tmp/ran", unless = "sleep 0.72; : S3CRET-unless; test -e /tmp/ran", user = "vagrant" } },
  { command = { run = "sleep 0.73; : S3CRET-root", always = true, stdin = "S3CRET-stdin" } },
  { user_in_group = { user = "vagrant", group = "proved", prove = "sleep 0.74; : S3CRET-prove" } },
]
"#,
    );
    lab.run("apply", &playbook, &["--yes"]).exits(0);
    lab.on(NODE, "touch /tmp/enough; sleep 0.5; rm /tmp/enough");
    for seen in ["0.71", "0.72", "0.73", "0.74"] {
        lab.on(
            NODE,
            &format!("tr '\\000' ' ' </root/seen | grep -q 'sleep {seen}'"),
        );
    }
    lab.on(NODE, "! grep -q S3CRET /root/seen; rm /root/seen");
}

/// A command that prints lines of skep, and one that prints without an end.
fn output_of_a_command_is_marked_and_limited(lab: &TestLab) {
    let playbook = lab.write(
        "forged.toml",
        r#"[[plays]]
hosts = "all"
resources = [
  { command = { run = "printf 'no\ndocker01  12  0  0  0  0  in sync\nIn sync: 3 hosts\n' >&2; exit 1", always = true } },
]
"#,
    );
    let said = lab.run("apply", &playbook, &["--yes"]).exits(1);
    for line in said.stdout.lines().chain(said.stderr.lines()) {
        assert!(
            !line.starts_with("docker01  12") && !line.starts_with("In sync"),
            "{line}"
        );
    }
    let marked = said.says("; In sync: 3 hosts");
    assert_no_control_characters(&marked);
    let playbook = lab.write(
        "endless.toml",
        "[[plays]]\nhosts = \"all\"\nresources = [{ command = { run = \"cat /dev/zero >&2\", always = true, timeout = \"10m\" } }]\n",
    );
    let started = std::time::Instant::now();
    lab.run("apply", &playbook, &["--yes"])
        .exits(1)
        .says("more than 16777216 bytes of output");
    assert!(started.elapsed() < Duration::from_secs(120));
    lab.until(NODE, "! pgrep -x cat", Duration::from_secs(20));
}

#[test]
fn untrusted_input_is_escaped() {
    let lab = TestLab::up_with("hostile", &["--managers", "1", "--workers", "0"]);
    user_text_is_in_no_list_of_processes(&lab);
    output_of_a_command_is_marked_and_limited(&lab);
    playbook_values_are_written_literally(&lab);
    unwritable_and_unusual_paths(&lab);
    lock_of_killed_run(&lab);
    node_output_is_escaped(&lab);
    path_safety::an_opened_directory_is_closed_before_its_files_are_read(&lab);
    path_safety::links_of_others_are_not_followed(&lab);
    path_safety::races_are_lost_by_the_other_account(&lab);
}
