//! A node that was halted for longer than its certificate is valid, and clocks that are wrong, as
//! after suspending a computer. `check` reports both, and the repair that it suggests works.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::skep::Said;
use crate::test_lab::TestLab;

const CERTIFICATE: &str = "/var/lib/docker/swarm/certificates/swarm-node.crt";
const SWARM: [&str; 1] = ["playbooks/swarm.toml"];

#[test]
fn expired_certificate_and_clock_skew() {
    let lab = TestLab::with_docker("clock", &["--managers", "1", "--workers", "1"]);
    lab.run(
        "apply",
        "playbooks/docker.toml",
        &["playbooks/swarm.toml", "--yes"],
    )
    .exits(0);
    clock_skew_is_reported(&lab);
    expired_certificate_is_reported_and_renewed(&lab);
}

/// Sets an environment in which a program's wall clock is shifted; its monotonic clock is not.
fn with_clock(command: &mut Command, offset: &str) {
    let library = ["x86_64", "aarch64"]
        .map(|machine| format!("/usr/lib/{machine}-linux-gnu/faketime/libfaketimeMT.so.1"));
    let library = library
        .iter()
        .find(|library| Path::new(library).exists())
        .expect("libfaketime is installed: .ci/install");
    command.envs([
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME", offset),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]);
}

/// The nodes share this machine's clock, so skep's own clock is shifted: the difference is the
/// same.
fn clock_skew_is_reported(lab: &TestLab) {
    let check = |offset: &str| {
        let mut command = lab.command("check", "playbooks/docker.toml", &SWARM);
        with_clock(&mut command, offset);
        Said::from(command.output().expect("skep starts"))
    };
    check("+120s").exits(0).says("In sync");
    for (offset, how) in [("+130m", "2 hours behind"), ("-130m", "2 hours ahead of")] {
        let said = check(offset).exits(3);
        for node in ["docker01", "docker02"] {
            assert!(
                said.stdout
                    .contains(&format!("clock of {node}: {how} this machine's")),
                "{}",
                said.stdout
            );
            let mend = format!(
                "on {node}: `sudo systemctl restart systemd-timesyncd`, or `sudo chronyc makestep`, sets the clock"
            );
            assert!(said.stdout.contains(&mend), "{}", said.stdout);
        }
        said.says("if the other hosts differ too, this machine's clock is wrong");
    }
    lab.run("check", "playbooks/docker.toml", &SWARM).exits(0);
}

fn expired_certificate_is_reported_and_renewed(lab: &TestLab) {
    let openssl = |arguments: &[&str], offset: Option<&str>| {
        let mut command = Command::new("openssl");
        command.args(arguments);
        if let Some(offset) = offset {
            with_clock(&mut command, offset);
        }
        let output = command.output().expect("openssl is installed");
        assert!(
            output.status.success(),
            "openssl {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    let [authority, key, node, public, ended, names] = [
        "authority.crt",
        "authority.key",
        "node.crt",
        "node.pub",
        "ended.crt",
        "names",
    ]
    .map(|name| lab.path(name));
    // The swarm gets a CA whose key the test has. It signs the certificate that the node would have
    // after a long absence: with the node's own name and key, and an end in the past.
    openssl(
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "3650",
            "-subj",
            "/CN=swarm-ca",
            "-keyout",
            &key,
            "-out",
            &authority,
        ],
        None,
    );
    lab.put("docker01", &authority, "/root/authority.crt");
    lab.put("docker01", &key, "/root/authority.key");
    lab.on("docker01", "docker swarm ca --rotate --quiet --ca-cert /root/authority.crt --ca-key /root/authority.key");
    let renewed = format!(
        "test \"$(docker info -f '{{{{.Swarm.LocalNodeState}}}}')\" = active && grep -q . {CERTIFICATE}"
    );
    lab.until("docker02", &renewed, Duration::from_secs(120));
    lab.on("docker02", "systemctl stop docker.socket docker");
    lab.fetch("docker02", CERTIFICATE, "node.crt");
    let field = |name: &str| {
        let output = Command::new("openssl")
            .args([
                "x509",
                "-in",
                &node,
                "-noout",
                "-subject",
                "-nameopt",
                "multiline",
            ])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text
            .lines()
            .find(|line| line.trim_start().starts_with(name))
            .unwrap_or_else(|| panic!("{name}: {text}"));
        line.split(" = ").nth(1).unwrap().to_owned()
    };
    let (cluster, role, id) = (
        field("organizationName"),
        field("organizationalUnitName"),
        field("commonName"),
    );
    std::fs::write(
        &names,
        format!("subjectAltName=DNS:{role},DNS:{id}\nkeyUsage=digitalSignature,keyEncipherment\nextendedKeyUsage=serverAuth,clientAuth\n"),
    )
    .unwrap();
    openssl(
        &["x509", "-in", &node, "-noout", "-pubkey", "-out", &public],
        None,
    );
    let subject = format!("/O={cluster}/OU={role}/CN={id}");
    openssl(
        &[
            "x509",
            "-new",
            "-force_pubkey",
            &public,
            "-subj",
            &subject,
            "-CA",
            &authority,
            "-CAkey",
            &key,
            "-days",
            "90",
            "-extfile",
            &names,
            "-out",
            &ended,
        ],
        Some("-95d"),
    );
    lab.put("docker02", &ended, CERTIFICATE);
    lab.on(
        "docker02",
        &format!("chown root:root {CERTIFICATE} && chmod 644 {CERTIFICATE}"),
    );
    lab.fault("stop", "docker02");
    lab.fault("start", "docker02");
    lab.until(
        "docker01",
        "docker node ls | grep docker02 | grep -q Down",
        Duration::from_secs(120),
    );

    // The node stays refused: its Engine does not renew an expired certificate.
    let state = lab.on(
        "docker02",
        "docker info -f '{{.Swarm.LocalNodeState}}: {{.Swarm.Error}}'",
    );
    assert!(
        !state.starts_with("active") && state.contains("certificate"),
        "{state}"
    );

    let said = lab.run("check", "playbooks/docker.toml", &SWARM);
    assert!(
        said.stdout
            .contains("certificate of docker02: ended 5 days ago -> renewed by the node"),
        "{}\n{}",
        said.stdout,
        said.stderr
    );
    assert_ne!(said.code, 0);
    said.says(
        "docker02 was away for longer than its certificate lives: `skep apply` makes it join again",
    );
    lab.run(
        "apply",
        "playbooks/docker.toml",
        &["playbooks/swarm.toml", "--yes"],
    )
    .exits(0);
    lab.run("check", "playbooks/docker.toml", &SWARM)
        .exits(0)
        .says("In sync");
    let nodes = lab.on(
        "docker01",
        "docker node ls --format '{{.Hostname}} {{.Status}}' | sort",
    );
    assert_eq!(nodes, "docker01 Ready\ndocker02 Ready", "no ghost");
}
