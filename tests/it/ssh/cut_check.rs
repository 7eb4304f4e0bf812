//! A `skep check` of a real sshd over a link that is cut one byte before, at, and one byte after
//! the end of each packet in either direction; `SKEP_CUT_POINTS=bytes` cuts after every byte. At
//! every cut, the result is that of a good link, or a clear error and never "in sync".
//! `tests/lab/link_faults.rs` tests `apply` likewise, on whole nodes.
#![allow(
    clippy::print_stderr,
    reason = "the results of a long run are for people; other runs are captured"
)]

use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::sshd::{Sshd, public};
use crate::proxy::{FaultProxy, LinkFault};

/// Parallel trials, because each spends most of its time waiting.
const AT_ONCE: usize = 24;

/// A playbook of a file in sync and a file that differs; FOLDER is the folder of the server.
const PLAYBOOK: &str = r#"[[plays]]
hosts = "all"
resources = [
  { file = { path = "FOLDER/same", content = "same\n" } },
  { file = { path = "FOLDER/other", content = "new\n" } },
  { directory = { path = "FOLDER/none", mode = "0750" } },
  { symlink = { path = "FOLDER/link", target = "same" } },
  { command = { run = "true", creates = "FOLDER/same" } },
]
"#;

fn check(sshd: &Sshd, number: usize, port: u16) -> Output {
    let text = format!(
        "[defaults]\nknown_hosts = 'known_hosts'\nagent = false\nuser = 'root'\nssh_config = 'ciphers'\nconnect_timeout = '5min'\n\
         [hosts.web]\naddress = '127.0.0.1'\nport = {port}\nhost_key_alias = 'web'\nidentity_file = 'client'\n"
    );
    let inventory = sshd.path(&format!("inventory{number}.toml"));
    std::fs::write(&inventory, text).unwrap();
    let mut skep = Command::new(env!("CARGO_BIN_EXE_skep"));
    skep.args(["check", "--color", "never", "-i"])
        .arg(&inventory)
        .arg(sshd.path("play.toml"));
    let output = skep
        .env("SKEP_STATE_DIR", sshd.path("state"))
        .output()
        .unwrap();
    std::fs::remove_file(inventory).unwrap();
    output
}

/// Returns the lines about resources.
fn answer(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .filter(|line| line.starts_with(' '))
        .map(str::to_owned)
        .collect()
}

/// Returns true for the right answer and false for a clear error; any other result is an error.
fn verdict(output: &Output, wanted: &[String]) -> Result<bool, String> {
    if output.status.code() == Some(3) && answer(output) == wanted {
        return Ok(true);
    }
    let all = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let why = ["connection lost: ", "cannot connect to "]
        .iter()
        .any(|why| all.contains(why));
    // The link is cut and never slow, so a timeout is not a clear error.
    let clear =
        output.status.code() == Some(4) && why && all.contains("web") && all.contains("try: ");
    let clear = clear && !all.contains(" timed out after ");
    if clear && !all.contains("In sync") {
        Ok(false)
    } else {
        Err(format!("{:?}\n{all}", output.status))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_cut_at_every_point_is_right_or_error() {
    // Resources that were applied to this machine must not affect the answer.
    let sshd = Arc::new(Sshd::start_apart("MaxStartups 1000"));
    std::fs::write(
        sshd.path("known_hosts"),
        format!("web {}\n", public(&sshd.path("host_ed25519"))),
    )
    .unwrap();
    std::fs::write(
        sshd.path("ciphers"),
        "Host *\nCiphers aes256-gcm@openssh.com\n",
    )
    .unwrap();
    std::fs::write(
        sshd.path("play.toml"),
        PLAYBOOK.replace("FOLDER", sshd.folder.path().to_str().unwrap()),
    )
    .unwrap();
    std::fs::write(sshd.path("same"), "same\n").unwrap();
    std::fs::write(sshd.path("other"), "old\n").unwrap();
    let link = FaultProxy::start(&sshd.address, sshd.port, LinkFault::None).await;
    let whole = tokio::task::block_in_place(|| check(&sshd, 0, link.port));
    let wanted = Arc::new(answer(&whole));
    assert!(
        whole.status.code() == Some(3) && wanted.len() > 2,
        "{whole:?}"
    );
    assert_eq!(link.connections(), 1);
    let weathers: Vec<LinkFault> = match std::env::var("SKEP_CUT_POINTS").as_deref() {
        Ok("bytes") => (1..=link.bytes() + 100).map(LinkFault::CutAfter).collect(),
        _ => FaultProxy::cut_points(link.packets()),
    };
    let (started, bytes, packets) = (Instant::now(), link.bytes(), link.packets());
    let (permits, mut trials) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    for (index, fault) in weathers.into_iter().enumerate() {
        let (sshd, wanted, permits) = (sshd.clone(), wanted.clone(), permits.clone());
        trials.spawn(async move {
            let _permit = permits.acquire_owned().await;
            let link = FaultProxy::start(&sshd.address, sshd.port, fault).await;
            let port = link.port;
            let run = tokio::task::spawn_blocking(move || check(&sshd, index + 1, port));
            let output = tokio::time::timeout(Duration::from_secs(600), run)
                .await
                .expect("it ends")
                .unwrap();
            verdict(&output, &wanted).map_err(|why| format!("{fault:?}: {why}"))
        });
    }
    let results = trials.join_all().await;
    let failed: Vec<&String> = results
        .iter()
        .filter_map(|result| result.as_ref().err())
        .collect();
    assert!(
        failed.is_empty(),
        "{} of {}: {:#?}",
        failed.len(),
        results.len(),
        &failed[..failed.len().min(3)]
    );
    let right = results.iter().filter(|result| **result == Ok(true)).count();
    let clear = results.len() - right;
    let ends = FaultProxy::cut_points(packets)
        .into_iter()
        .filter(|fault| fault.cuts_at_an_end())
        .count();
    assert_eq!(ends as u64, packets[0] + packets[1]);
    eprintln!(
        "{bytes} bytes, {packets:?} packets: {right} right, {clear} clear errors, {:?}",
        started.elapsed()
    );
    assert!(
        clear > results.len() / 2 && right > 0,
        "{clear} of {}",
        results.len()
    );
}
