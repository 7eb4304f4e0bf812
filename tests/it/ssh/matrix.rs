//! Servers in common setups. `ssh -F CONFIG host true` and skep use the same configuration: both
//! log in, or both fail. The table is in docs/ssh.md; `SKEP_WRITE_MATRIX=1` updates it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use skep::inventory::{SshConfigFile, SshTarget};
use skep::names::HostName;
use skep::transport::{Connection as _, Exec, Privilege, SshNetwork};

use super::sshd::{Sshd, bare_options, keygen, must, public};

/// Further lines for the server, its host keys, further lines for `Host web`, and the expected
/// result.
struct MatrixRow {
    name: &'static str,
    server: &'static str,
    host_keys: &'static [&'static str],
    client: &'static str,
    reached: bool,
}

const fn row(
    name: &'static str,
    server: &'static str,
    client: &'static str,
    reached: bool,
) -> MatrixRow {
    MatrixRow {
        name,
        server,
        host_keys: &["ed25519"],
        client,
        reached,
    }
}

const ROWS: &[MatrixRow] = &[
    row("as installed", "", "", true),
    MatrixRow {
        host_keys: &["rsa"],
        ..row("host key RSA", "", "", true)
    },
    MatrixRow {
        host_keys: &["ecdsa"],
        ..row("host key ECDSA", "", "", true)
    },
    row(
        "curve25519 only",
        "KexAlgorithms curve25519-sha256",
        "",
        true,
    ),
    row(
        "NIST P-256 only",
        "KexAlgorithms ecdh-sha2-nistp256",
        "",
        true,
    ),
    row(
        "group14 only, named by the client",
        "KexAlgorithms diffie-hellman-group14-sha256",
        "KexAlgorithms diffie-hellman-group14-sha256",
        true,
    ),
    row(
        "chacha20 only",
        "Ciphers chacha20-poly1305@openssh.com",
        "",
        true,
    ),
    row(
        "AES-CTR with HMAC-SHA2 only",
        "Ciphers aes256-ctr\nMACs hmac-sha2-256",
        "",
        true,
    ),
    row("AES-GCM only", "Ciphers aes128-gcm@openssh.com", "", true),
    row(
        "as Ubuntu 24.04 configures both sides",
        "KbdInteractiveAuthentication no\nUsePAM yes\nX11Forwarding yes\nPrintMotd no\nAcceptEnv LANG LC_*\nSubsystem sftp /usr/lib/openssh/sftp-server",
        "SendEnv LANG LC_*\nHashKnownHosts yes\nGSSAPIAuthentication yes",
        true,
    ),
    row(
        "no cipher in common",
        "Ciphers aes256-ctr",
        "Ciphers aes128-gcm@openssh.com",
        false,
    ),
    row("no key accepted", "AuthorizedKeysFile none", "", false),
    row("root may not log in", "PermitRootLogin no", "", false),
    row(
        "root with keys only",
        "PermitRootLogin prohibit-password",
        "",
        true,
    ),
    row(
        "keys switched off by the client",
        "",
        "PubkeyAuthentication no",
        false,
    ),
    row("one session a connection", "MaxSessions 1", "", true),
    row("a banner", "Banner /etc/os-release", "", true),
    row(
        "host unknown, strict",
        "",
        "StrictHostKeyChecking yes",
        false,
    ),
    row(
        "host unknown, accept-new",
        "",
        "StrictHostKeyChecking accept-new",
        true,
    ),
    row(
        "host changed",
        "",
        "UserKnownHostsFile FOLDER/changed\nStrictHostKeyChecking accept-new",
        false,
    ),
    row(
        "host changed, checking off",
        "",
        "UserKnownHostsFile FOLDER/changed\nStrictHostKeyChecking yes",
        false,
    ),
    row(
        "host known under an alias",
        "",
        "HostKeyAlias alias\nUserKnownHostsFile FOLDER/alias\nStrictHostKeyChecking yes",
        true,
    ),
    row(
        "host known, hashed",
        "",
        "UserKnownHostsFile FOLDER/hashed\nStrictHostKeyChecking yes",
        true,
    ),
    row(
        "host revoked",
        "",
        "UserKnownHostsFile FOLDER/revoked",
        false,
    ),
    row(
        "no agent, IdentitiesOnly",
        "",
        "IdentitiesOnly yes\nIdentityAgent none",
        true,
    ),
    row(
        "no such key file",
        "",
        "IdentityFile FOLDER/none\nIdentitiesOnly yes",
        true,
    ),
    row("through a jump host", "", "ProxyJump jump", true),
    row(
        "through a jump host that is not there",
        "",
        "ProxyJump no-such-host.invalid",
        false,
    ),
    row(
        "through a command",
        "",
        "ProxyCommand ssh -F CONFIG -W %h:%p jump",
        true,
    ),
    row(
        "through a command that fails",
        "",
        "ProxyCommand false",
        false,
    ),
    row(
        "Match exec",
        "",
        "Match !exec \"test %n = web\"\nPort 1",
        true,
    ),
    row(
        "IPv6 asked of an IPv4 address",
        "",
        "AddressFamily inet6",
        false,
    ),
    row("from another address", "", "BindAddress 127.0.0.8", true),
    row(
        "a setting that ssh does not know",
        "",
        "NoSuchSetting yes",
        false,
    ),
];

const ASK: &str = "-oBatchMode=yes";

fn by_ssh(config: &Path) -> bool {
    let output = Command::new("ssh")
        .arg("-F")
        .arg(config)
        .args([ASK, "web", "true"])
        .env_remove("SSH_AUTH_SOCK")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    output.status.success()
}

async fn by_skep(config: &Path) -> Result<(), String> {
    let target = SshTarget {
        ssh_config: SshConfigFile::File(config.to_path_buf()),
        ..SshTarget::new(HostName::new("web"), "web".into())
    };
    let network = SshNetwork::new(bare_options(), []);
    let connection = network
        .connect(&target)
        .await
        .map_err(|error| error.to_string())?;
    let exec = Exec {
        privilege: Privilege::Login,
        ..Exec::root("true")
    };
    let output = connection
        .exec(exec)
        .await
        .map_err(|error| error.to_string())?;
    connection.close().await;
    if output.success() {
        Ok(())
    } else {
        Err(format!("status {}", output.status))
    }
}

/// Writes the files of known hosts that rows name, and the configuration.
fn configure(sshd: &Sshd, jump: &Sshd, row: &MatrixRow) -> PathBuf {
    let folder = sshd.folder.path();
    let name = format!("[{}]:{}", sshd.address, sshd.port);
    let own = public(&sshd.path(&format!("host_{}", row.host_keys[0])));
    if !sshd.path("other").exists() {
        keygen(folder, "other", &["-t", "ed25519"]);
    }
    let write = |file: &str, text: String| std::fs::write(folder.join(file), text).unwrap();
    write(
        "changed",
        format!("{name} {}\n", public(&sshd.path("other"))),
    );
    write("alias", format!("alias {own}\n"));
    write("revoked", format!("{name} {own}\n@revoked * {own}\n"));
    write("hashed", format!("{name} {own}\n"));
    must(
        "ssh-keygen",
        &["-q", "-H", "-f", folder.join("hashed").to_str().unwrap()],
    );
    let config = folder.join("ssh_config");
    let client = row
        .client
        .replace("FOLDER", folder.to_str().unwrap())
        .replace("CONFIG", config.to_str().unwrap());
    // The first value of a setting counts, so the lines of the row come first.
    let text = format!(
        "Host web\n{client}\nHost web\nHostName {}\nPort {}\nUser root\nIdentityFile {}\n\
         Host jump\nHostName {}\nPort {}\nUser root\nIdentityFile {}\n\
         Host *\nUserKnownHostsFile FOLDER/known\nGlobalKnownHostsFile none\nStrictHostKeyChecking accept-new\nConnectTimeout 10\n",
        sshd.address,
        sshd.port,
        sshd.path("client").display(),
        jump.address,
        jump.port,
        jump.path("client").display(),
    );
    let text = text.replace("FOLDER", folder.to_str().unwrap());
    std::fs::write(&config, text).unwrap();
    config
}

struct DropbearProcess(Child);

impl Drop for DropbearProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts dropbear in place of a prepared server, for root with the same key.
///
/// The server sees its own home of root, with the key that it accepts; the machine's home is not
/// changed.
fn dropbear(sshd: &Sshd, kind: &str) -> (DropbearProcess, tempfile::TempDir) {
    let home = tempfile::tempdir().unwrap();
    let key = home.path().join("key").display().to_string();
    must("dropbearkey", &["-t", kind, "-f", &key]);
    let listen = format!("{}:{}", sshd.address, sshd.port);
    let apart = "mkdir -p -m 700 \"$1/root/.ssh\" && cp \"$2\" \"$1/root/.ssh/authorized_keys\" && \
        mount --bind \"$1/root\" /root && shift 2 && exec dropbear \"$@\"";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", apart, "dropbear"])
        .arg(home.path())
        .arg(sshd.path("client.pub"));
    command
        .args(["-F", "-E", "-s", "-r", &key, "-p", &listen, "-P"])
        .arg(home.path().join("pid"));
    let process = DropbearProcess(
        command
            .stderr(Stdio::null())
            .spawn()
            .expect("dropbear-bin is installed"),
    );
    let start = std::time::Instant::now();
    while std::net::TcpStream::connect((sshd.address.as_str(), sshd.port)).is_err() {
        assert!(
            start.elapsed() < std::time::Duration::from_secs(10),
            "dropbear does not listen"
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    (process, home)
}

#[tokio::test(flavor = "multi_thread")]
async fn skep_and_ssh_reach_the_same_servers() {
    let jump = Sshd::start("");
    let (mut lines, mut wrong) = (Vec::new(), Vec::new());
    let mut check = async |server: &str, sshd: &Sshd, row: &MatrixRow| {
        let config = configure(sshd, &jump, row);
        let _ = std::fs::remove_file(sshd.path("known"));
        let ssh = tokio::task::block_in_place(|| by_ssh(&config));
        let _ = std::fs::remove_file(sshd.path("known"));
        let skep = by_skep(&config).await;
        if ssh != skep.is_ok() || ssh != row.reached {
            wrong.push(format!("{server}, {}: ssh {ssh}, skep {skep:?}", row.name));
        }
        let word = |reached: bool| if reached { "in" } else { "refused" };
        lines.push(format!(
            "| {server} | {} | {} | {} |",
            row.name,
            word(ssh),
            word(skep.is_ok())
        ));
    };
    for row in ROWS {
        let mut sshd = Sshd::prepare(row.server, row.host_keys);
        tokio::task::block_in_place(|| sshd.run());
        check("OpenSSH", &sshd, row).await;
    }
    for (name, kind) in [
        ("host key Ed25519", "ed25519"),
        ("host key RSA", "rsa"),
        ("host key ECDSA", "ecdsa"),
    ] {
        let account = super::sshd::TestAccount::new("/bin/sh");
        let sshd = Sshd::prepare("", &["ed25519"]);
        let (_process, _home) = dropbear(&sshd, kind);
        let folder = account.home(".ssh");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(
            folder.join("authorized_keys"),
            public(&sshd.path("client")) + "\n",
        )
        .unwrap();
        must("chown", &["-R", &account.name, folder.to_str().unwrap()]);
        must("chmod", &["-R", "go-rwx", folder.to_str().unwrap()]);
        let client: &'static str = Box::leak(format!("User {}", account.name).into_boxed_str());
        check("Dropbear", &sshd, &row(name, "", client, true)).await;
    }
    for (name, kind) in [
        ("root, host key Ed25519", "ed25519"),
        ("root, host key RSA", "rsa"),
    ] {
        let sshd = Sshd::prepare("", &["ed25519"]);
        let (_process, _home) = dropbear(&sshd, kind);
        check("Dropbear", &sshd, &row(name, "", "", true)).await;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let table = format!(
        "| server | configuration | `ssh` | skep |\n|---|---|---|---|\n{}\n",
        lines.join("\n")
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ssh.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- matrix: begin -->\n", "<!-- matrix: end -->");
    let from = text.find(begin).unwrap() + begin.len();
    let to = text.find(end).unwrap();
    if std::env::var_os("SKEP_WRITE_MATRIX").is_some() {
        std::fs::write(&path, format!("{}{table}{}", &text[..from], &text[to..])).unwrap();
        return;
    }
    assert_eq!(
        text[from..to],
        table,
        "docs/ssh.md differs from the measured table; SKEP_WRITE_MATRIX=1 updates it"
    );
}
