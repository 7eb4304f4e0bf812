//! Join tokens appear in no argument list, no file and no log, not even with -vvv.

use std::process::Stdio;

use crate::skep::Said;
use crate::test_lab::TestLab;

/// Prefix of every token of a swarm.
const TOKEN: &str = "SWMTKN-";

#[test]
fn join_tokens_are_not_leaked() {
    let lab = TestLab::with_docker("secrets", &[]);
    lab.run("apply", "playbooks/docker.toml", &["--yes"])
        .exits(0);
    // Each node records every command line and environment that it sees while the others join.
    let watch = "exec >/dev/null 2>&1; rm -f /root/seen; while [ ! -e /root/stop ]; do cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep -a '[S]WMTKN-1' >>/root/seen; echo x >>/root/samples; done";
    for node in ["docker01", "docker02", "docker03"] {
        lab.on(
            node,
            &format!(
                "setsid sh -c {} </dev/null >/dev/null 2>&1 & sleep 0.1",
                quoted(watch)
            ),
        );
    }
    let run = lab
        .command("apply", "playbooks/swarm.toml", &["--yes", "-vvv"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let own = run.id();
    let sampler = std::thread::spawn(move || {
        let mut seen = String::new();
        while let Ok(bytes) = std::fs::read(format!("/proc/{own}/cmdline")) {
            if bytes.is_empty() {
                break;
            }
            let environ = std::fs::read(format!("/proc/{own}/environ")).unwrap_or_default();
            seen.push_str(&String::from_utf8_lossy(&[bytes, environ].concat()));
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        seen
    });
    let said = Said::from(run.wait_with_output().unwrap())
        .exits(0)
        .does_not_say(TOKEN);
    assert!(
        said.stderr.contains("skep"),
        "-vvv says something:\n{}",
        said.stderr
    );
    assert!(!sampler.join().unwrap().contains(TOKEN));
    let tokens = lab.on(
        "docker01",
        "docker swarm join-token -q worker; docker swarm join-token -q manager",
    );
    assert!(
        tokens.starts_with(TOKEN),
        "there are tokens to be found: {tokens}"
    );
    for node in ["docker01", "docker02", "docker03"] {
        lab.on(node, "touch /root/stop; sleep 0.3");
        let samples: usize = lab.on(node, "wc -l </root/samples").parse().unwrap();
        assert!(
            samples > 20,
            "the watch on {node} saw only {samples} moments"
        );
        assert_eq!(
            lab.on(node, "cat /root/seen"),
            "",
            "a command line of {node} held a token"
        );
        // The Engine stores tokens below /var/lib/docker/swarm; every other place is searched.
        let found = lab.on(node, "grep -rlas SWMTKN-1 /etc /root /home /srv /tmp /run /var/log /var/lib/skep 2>/dev/null | head; journalctl --no-pager 2>/dev/null | grep -c SWMTKN-1 || :");
        assert_eq!(found, "0", "a file or the journal of {node} holds a token");
    }
    // The recording itself works: it finds a token on a command line.
    lab.on("docker02", "rm -f /root/stop /root/seen");
    lab.on(
        "docker02",
        &format!(
            "setsid sh -c {} </dev/null >/dev/null 2>&1 & sh -c 'sleep 1; :' SWMTKN-1-canary; touch /root/stop",
            quoted(watch)
        ),
    );
    assert!(lab.on("docker02", "cat /root/seen").contains("canary"));
    let json = lab
        .command("plan", "playbooks/swarm.toml", &["--json"])
        .output()
        .unwrap();
    assert!(!String::from_utf8_lossy(&json.stdout).contains(TOKEN));
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
