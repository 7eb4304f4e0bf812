//! Secrets stay in the process: they are in no log and no core file, and other processes cannot
//! read them.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::sshd::{Sshd, TestAccount, keygen, must, public};

const LOGIN: &str = "l0gin-secret";
const PHRASE: &str = "phr4se-secret";

/// Writes an inventory of one host.
fn inventory(sshd: &Sshd, user: &str, further: &str) -> std::path::PathBuf {
    let path = sshd.path("inventory.toml");
    let text = format!(
        "[defaults]\nknown_hosts = 'known_hosts'\nagent = false\nssh_config = false\n\
         [hosts.web]\naddress = '{}'\nport = {}\nuser = '{user}'\n{further}\n",
        sshd.address, sshd.port
    );
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn verbose_logs_hold_no_password_or_passphrase() {
    let account = TestAccount::new("/bin/dash");
    account.set_password(LOGIN);
    account.sudoers(&format!("{} ALL=(ALL) ALL\n", account.name));
    let sshd = Sshd::start("PasswordAuthentication yes\nAuthenticationMethods publickey,password");
    let key = keygen(sshd.folder.path(), "locked", &["-t", "ed25519"]);
    sshd.authorize(&public(&key));
    must(
        "ssh-keygen",
        &[
            "-q",
            "-p",
            "-P",
            "",
            "-N",
            PHRASE,
            "-a",
            "2",
            "-f",
            key.to_str().unwrap(),
        ],
    );
    let inventory = inventory(
        &sshd,
        &account.name,
        "identity_file = 'locked'\nbecome = true\nhost_keys = 'accept-new'",
    );
    for json in [false, true] {
        let mut skep = Command::new(env!("CARGO_BIN_EXE_skep"));
        skep.args(["facts", "-vvv", "-i"])
            .arg(&inventory)
            .env("SKEP_LOG", "trace")
            .env("RUST_LOG", "trace");
        skep.args(json.then_some("--json"));
        skep.env("SKEP_SSH_PASSWORD", LOGIN)
            .env("SKEP_BECOME_PASSWORD", LOGIN)
            .env("SKEP_KEY_PASSPHRASE", PHRASE);
        let output = tokio::task::block_in_place(|| skep.output().unwrap());
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(output.status.success(), "{out}{err}");
        assert!(
            err.contains("TRACE") || err.contains("DEBUG"),
            "the log is verbose: {err}"
        );
        for secret in [LOGIN, PHRASE] {
            assert!(
                !out.contains(secret) && !err.contains(secret),
                "{secret} in {out}{err}"
            );
            // As a list of bytes, which is how a packet would be printed.
            let bytes = secret
                .bytes()
                .map(|byte| byte.to_string())
                .collect::<Vec<_>>()
                .join(", ");
            assert!(!err.contains(&bytes), "{secret} as numbers in {err}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn process_leaves_no_core_and_is_not_dumpable() {
    // The server accepts the connection and sends nothing, so the process waits.
    let sshd = Sshd::prepare("", &["ed25519"]);
    let listener = std::net::TcpListener::bind((sshd.address.as_str(), sshd.port)).unwrap();
    let account = TestAccount::new("/bin/dash");
    let numbers = must("id", &["-u", &account.name]);
    let number: u32 = numbers.trim().parse().unwrap();
    let inventory = inventory(&sshd, "root", "");
    // The binary is at a path where that account can run it, with a limit that would allow core
    // files.
    let program = sshd.path("skep");
    std::fs::copy(env!("CARGO_BIN_EXE_skep"), &program).unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -c unlimited 2>/dev/null; exec \"$0\" \"$@\""])
        .arg(&program)
        .args(["ping", "-i"])
        .arg(&inventory);
    command
        .env("SKEP_SSH_PASSWORD", LOGIN)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/");
    let mut process = command.uid(number).gid(number).spawn().unwrap();
    let folder = std::path::PathBuf::from(format!("/proc/{}", process.id()));
    let (_held, _) = listener.accept().unwrap();
    let limits = std::fs::read_to_string(folder.join("limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    let fields: Vec<&str> = core.split_ascii_whitespace().collect();
    assert_eq!(fields[4..6], ["0", "0"], "{core}");
    // proc(5): the entries of a process that is not dumpable belong to root, whatever account runs
    // it.
    let status = std::fs::read_to_string(folder.join("status")).unwrap();
    assert!(status.contains(&format!("Uid:\t{number}\t")), "{status}");
    assert_eq!(
        std::fs::metadata(folder.join("environ")).unwrap().uid(),
        0,
        "it is dumpable"
    );
    let look = format!("cat {0}/environ {0}/mem", folder.display());
    let seen = Command::new("sh")
        .args(["-c", &look])
        .uid(number)
        .gid(number)
        .output()
        .unwrap();
    assert!(
        seen.stdout.is_empty(),
        "the same account reads its environment"
    );
    must("kill", &["-s", "ABRT", &process.id().to_string()]);
    let deadline = Instant::now() + Duration::from_secs(10);
    let status = loop {
        if let Some(status) = process.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(20));
    };
    use std::os::unix::process::ExitStatusExt as _;
    assert!(
        status.signal() == Some(6) && !status.core_dumped(),
        "{status:?}"
    );
}
