//! Faults of a swarm while every resource is in sync: tokens, certificates, and nodes that are off,
//! drained or unknown to the inventory.

use std::time::Duration;

use serde_json::Value;

use crate::test_lab::TestLab;

/// A node's certificate of the first quarter of 2020, created with `openssl ca -selfsign -startdate
/// 20200101000000Z -enddate 20200331000000Z`.
const ENDED: &str = "-----BEGIN CERTIFICATE-----
MIIBVjCB/gIBATAKBggqhkjOPQQDAjA4MRAwDgYDVQQKDAdjbHVzdGVyMRUwEwYD
VQQLDAxzd2FybS13b3JrZXIxDTALBgNVBAMMBG5vZGUwHhcNMjAwMTAxMDAwMDAw
WhcNMjAwMzMxMDAwMDAwWjA4MRAwDgYDVQQKDAdjbHVzdGVyMRUwEwYDVQQLDAxz
d2FybS13b3JrZXIxDTALBgNVBAMMBG5vZGUwWTATBgcqhkjOPQIBBggqhkjOPQMB
BwNCAARkjzDl+651QMQ2H9I/fg4ISgnfHnfc3KhNY4yPZ/ztm2MkKBkLuPna5hte
sMQj5c2D1fPYNNsNw1YW7eKMOFlDMAoGCCqGSM49BAMCA0cAMEQCIBXp65mmF2VH
jKr5tQCSfQiPK7AtOtkMTRh8xu6+Ujr0AiA2SE0WKWt/hpeYxRhYN28P/LMSKTwd
A/v/4x6AS1ksxg==
-----END CERTIFICATE-----
";
const CERTIFICATE: &str = "/var/lib/docker/swarm/certificates/swarm-node.crt";

#[test]
fn cluster_check_reports_swarm_faults() {
    let lab = TestLab::with_docker("cluster", &[]);
    lab.web2py("apply", &["--yes"]).exits(0);
    lab.web2py("check", &[]).exits(0);

    rotated_tokens_are_reported_and_never_shown(&lab);
    certificate_expiry_of_running_and_stopped_nodes(&lab);

    mixed_engine_versions_are_reported(&lab);

    lab.web2py("check", &["--updates"]).exits(0);
    lab.on("docker02", "touch /run/reboot-required");
    lab.web2py("check", &[])
        .exits(3)
        .says("host[upkeep]")
        .says("due: an installed package asks for it (/run/reboot-required)")
        .says("`skep node reboot docker02` drains the node and reboots it");
    lab.on("docker02", "rm /run/reboot-required");

    lab.on(
        "docker01",
        "docker node update --availability drain docker03",
    );
    lab.web2py("check", &[])
        .exits(3)
        .says("availability of docker03: drain -> active");
    lab.on(
        "docker01",
        "docker node update --availability active docker03",
    );

    // The node leaves and joins again by hand: it is a new node, and the old entry belongs to no
    // host.
    let token = lab.on("docker01", "docker swarm join-token -q worker");
    let old = lab.on("docker03", "docker info --format '{{.Swarm.NodeID}}'");
    let address = lab.on("docker01", "docker info --format '{{.Swarm.NodeAddr}}'");
    lab.on(
        "docker03",
        &format!("docker swarm leave && docker swarm join --token {token} {address}:2377"),
    );
    let said = lab.web2py("check", &[]).exits(3);
    let line = format!("node docker03 ({}): ", &old[..12]);
    assert!(
        said.stdout.contains(&line) && said.stdout.contains("not in the inventory"),
        "{}",
        said.stdout
    );
}

/// Runs a real Engine that reports another version: the number in the program is replaced by
/// another one of the same length.
fn mixed_engine_versions_are_reported(lab: &TestLab) {
    let version = lab.on("docker02", "docker version --format '{{.Server.Version}}'");
    let last = version.chars().next_back().unwrap();
    let other = format!(
        "{}{}",
        &version[..version.len() - 1],
        if last == '1' { '2' } else { '1' }
    );
    let pattern = version.replace('.', "\\.");
    let restart_with = |change: &str, wanted: &str| {
        let stop = "systemctl stop docker.socket docker.service && systemctl reset-failed";
        lab.on(
            "docker02",
            &format!(
                "program=$(command -v dockerd) && {stop} && {change} && systemctl start docker"
            ),
        );
        let listed =
            "docker node inspect docker02 --format '{{.Description.Engine.EngineVersion}}'";
        lab.until(
            "docker01",
            &format!("{listed} | grep -qxF '{wanted}'"),
            Duration::from_secs(120),
        );
    };
    restart_with(
        &format!("cp $program /root/dockerd && sed -i 's/{pattern}/{other}/g' $program"),
        &other,
    );
    let said = lab.web2py("check", &[]).exits(3);
    said.says("Engine versions: ")
        .says(&format!("{other} (docker02)"))
        .says("-> one version");
    restart_with("cp /root/dockerd $program", &version);
}

fn rotated_tokens_are_reported_and_never_shown(lab: &TestLab) {
    let token = |role: &str| lab.on("docker01", &format!("docker swarm join-token -q {role}"));
    let before = token("worker");
    lab.on(
        "docker01",
        "docker swarm join-token --quiet --rotate worker",
    );
    let after = token("worker");
    assert_ne!(before, after);
    let (report, page) = (lab.path("tokens.json"), lab.path("tokens.html"));
    let said = lab
        .web2py("check", &["--report", &report, "--html", &page])
        .exits(3);
    assert!(
        said.stdout
            .contains("join token of workers: rotated -> same as at the last apply"),
        "{}",
        said.stdout
    );
    assert!(
        !said.stdout.contains("join token of managers"),
        "{}",
        said.stdout
    );
    assert!(
        said.stdout.contains("[changed behind our back]"),
        "{}",
        said.stdout
    );
    let events = lab.web2py("check", &["--json", "-vv"]).exits(3);
    let record = lab.on("docker01", "cat /var/lib/skep/applied.json");
    assert!(record.contains("the join token of workers"), "{record}");
    for text in [
        said.stdout,
        said.stderr,
        events.stdout,
        events.stderr,
        record,
        std::fs::read_to_string(&report).unwrap(),
        std::fs::read_to_string(&page).unwrap(),
    ] {
        for secret in [&before, &after, &token("manager")] {
            assert!(
                !text.contains(secret.as_str()) && !text.contains(&secret[20..60]),
                "{text}"
            );
        }
    }
    // An apply accepts an intended rotation.
    lab.web2py("apply", &["--yes"])
        .exits(0)
        .says("the join token of workers has changed since the last apply");
    lab.web2py("check", &[]).exits(0);
}

fn certificate_expiry_of_running_and_stopped_nodes(lab: &TestLab) {
    let (report, metrics) = (lab.path("certificates.json"), lab.path("certificates.prom"));
    let outputs = ["--report", &report, "--metrics", &metrics];
    let until = |host: &str| {
        let report: Value =
            serde_json::from_str(&std::fs::read_to_string(&report).unwrap()).unwrap();
        let members = report["cluster"]["members"].as_array().unwrap().clone();
        let member = members
            .into_iter()
            .find(|member| member["host"] == host)
            .unwrap();
        member["certificate"]["until"].as_str().unwrap().to_owned()
    };
    lab.web2py("check", &outputs).exits(0);
    // OpenSSL reads the same file, as an independent check.
    let file = lab.on("docker02", &format!("cat {CERTIFICATE}"));
    let copy = lab.write("node.crt", &file);
    let openssl = std::process::Command::new("openssl")
        .args([
            "x509", "-in", &copy, "-noout", "-enddate", "-dateopt", "iso_8601",
        ])
        .output();
    if let Ok(openssl) = openssl
        .as_ref()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    {
        let end = openssl
            .trim()
            .trim_start_matches("notAfter=")
            .replace(' ', "T");
        assert_eq!(until("docker02"), end);
    }
    let text = std::fs::read_to_string(&metrics).unwrap();
    assert_eq!(
        text.matches("skep_swarm_certificate_expiry_timestamp_seconds{")
            .count(),
        3,
        "{text}"
    );

    lab.on("docker02", &format!("cp -a {CERTIFICATE} /root/kept.crt"));
    let ended = lab.write("ended.crt", ENDED);
    lab.put("docker02", &ended, CERTIFICATE);
    let said = lab.web2py("check", &outputs).exits(3);
    assert!(
        said.stdout.contains("certificate of docker02: ended "),
        "{}",
        said.stdout
    );
    assert_eq!(until("docker02"), "2020-03-31T00:00:00Z");

    lab.fault("stop", "docker02");
    let said = lab.web2py("check", &outputs).exits(4);
    let line = said
        .stdout
        .lines()
        .find(|line| line.contains("certificate of docker02"))
        .unwrap_or_default();
    assert!(
        line.contains("as last read; the node does not answer"),
        "{}",
        said.stdout
    );
    lab.until(
        "docker01",
        "docker node ls | grep docker02 | grep -q Down",
        Duration::from_secs(60),
    );
    let said = lab.web2py("check", &[]).exits(4);
    assert!(
        said.stdout.contains("state of docker02 (") && said.stdout.contains("): down -> ready"),
        "{}",
        said.stdout
    );
    assert_eq!(
        until("docker02"),
        "2020-03-31T00:00:00Z",
        "the last that was seen"
    );

    lab.fault("start", "docker02");
    lab.on(
        "docker02",
        &format!("cp -a /root/kept.crt {CERTIFICATE} && systemctl restart docker"),
    );
    lab.until(
        "docker01",
        "docker node ls | grep docker02 | grep -q Ready",
        Duration::from_secs(120),
    );
    lab.web2py("check", &outputs).exits(0);
}
