//! Real OpenSSH servers on loopback addresses, each with keys, configuration and a log of its own
//! in a temporary folder. They need root, and end with their value.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use skep::inventory::{HostKeyPolicy, SshConfigFile, SshTarget};
use skep::names::HostName;
use skep::transport::ConnectOptions;

static NEXT: AtomicU32 = AtomicU32::new(2);

/// Runs a program and panics unless it succeeds.
pub fn must(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect(program);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// Makes a key pair without a passphrase and returns the path of the private file.
pub fn keygen(folder: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    let path = folder.join(name);
    let mut all = vec!["-q", "-N", "", "-C", name, "-f", path.to_str().unwrap()];
    all.extend_from_slice(arguments);
    must("ssh-keygen", &all);
    path
}

/// Returns the public half of a key file, as one line.
pub fn public(path: &Path) -> String {
    std::fs::read_to_string(path.with_extension("pub"))
        .unwrap()
        .trim()
        .to_owned()
}

/// Returns the SHA256 fingerprint as `ssh-keygen` prints it.
pub fn fingerprint(path: &Path) -> String {
    must("ssh-keygen", &["-lf", path.to_str().unwrap()])
        .split(' ')
        .nth(1)
        .unwrap()
        .to_owned()
}

/// A server, which may not be started yet.
pub struct Sshd {
    /// Folder of the server: `client` (a key that it accepts), `host_*` (its keys), `known_hosts`,
    /// `log`.
    pub folder: tempfile::TempDir,
    /// Loopback address of the server.
    pub address: String,
    /// Port of the server.
    pub port: u16,
    process: Option<Child>,
}

impl Sshd {
    /// Starts a server with an ed25519 key and further lines of configuration.
    pub fn start(further: &str) -> Self {
        let mut sshd = Self::prepare(further, &["ed25519"]);
        sshd.run();
        sshd
    }

    /// Prepares a server without starting its process.
    pub fn prepare(further: &str, host_keys: &[&str]) -> Self {
        std::fs::create_dir_all("/run/sshd").expect("these tests run as root");
        let folder = tempfile::Builder::new()
            .prefix("skep-sshd-")
            .tempdir()
            .unwrap();
        // sshd reads the keys under the account that logs in.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let address = format!(
            "127.{}.{}.{}",
            1 + std::process::id() % 200,
            // Each test may run in a process of its own, in parallel with others.
            (std::process::id() / 200 + number / 250) % 250,
            2 + number % 250
        );
        let port = TcpListener::bind((address.as_str(), 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let client = keygen(folder.path(), "client", &["-t", "ed25519"]);
        std::fs::write(
            folder.path().join("authorized_keys"),
            public(&client) + "\n",
        )
        .unwrap();
        let mut config = format!(
            "{further}\nListenAddress {address}:{port}\nAuthorizedKeysFile {0}/authorized_keys\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nUseDNS no\nLogLevel VERBOSE\n",
            folder.path().display()
        );
        for kind in host_keys {
            let path = keygen(folder.path(), &format!("host_{kind}"), &["-t", kind]);
            config.push_str(&format!("HostKey {}\n", path.display()));
        }
        // A deeper shell level keeps root's bash from reading the start files of the machine that
        // runs the tests: some take seconds. Accounts made for a test have start files of their own
        // and read them.
        if !further.contains("SetEnv") {
            config.push_str("Match User root\n  SetEnv SHLVL=1\n");
        }
        std::fs::write(folder.path().join("config"), config).unwrap();
        Self {
            folder,
            address,
            port,
            process: None,
        }
    }

    /// Starts a server that sees a `/var/lib/skep` and a `/run` of its own: runs on it leave
    /// nothing on this machine, and two servers are two hosts.
    pub fn start_apart(further: &str) -> Self {
        std::fs::create_dir_all("/var/lib/skep").unwrap();
        let mut sshd = Self::prepare(further, &["ed25519"]);
        let apart = "mount -t tmpfs none /var/lib/skep && mount -t tmpfs none /run && mkdir /run/sshd && exec /usr/sbin/sshd \"$@\"";
        sshd.run_by(Command::new("unshare").args(["--mount", "sh", "-c", apart, "sshd"]));
        sshd
    }

    /// Starts a server whose sessions find no `docker` program.
    pub fn start_without_docker() -> Self {
        let mut sshd = Self::prepare("", &["ed25519"]);
        let all = sshd.path("all").display().to_string();
        let without = r#"here=$1 number=0; shift
for folder in /usr/bin /usr/local/bin; do
  number=$((number + 1)) all=$here.$number some=$here.$number.some
  mkdir "$all" "$some" && mount --bind "$folder" "$all" || exit
  for program in "$all"/*; do
    [ "${program##*/}" = docker ] || ln -s "$program" "$some"
  done
  mount --bind "$some" "$folder" || exit
done
exec /usr/sbin/sshd "$@""#;
        sshd.run_by(Command::new("unshare").args(["--mount", "sh", "-c", without, "sshd", &all]));
        sshd
    }

    /// Starts the process and waits until it listens.
    pub fn run(&mut self) {
        self.run_by(&mut Command::new("/usr/sbin/sshd"));
    }

    /// Starts the process by another program, which runs sshd with the arguments that it receives.
    /// Waits until sshd listens on each of its addresses; it logs one line for each.
    pub fn run_by(&mut self, command: &mut Command) {
        let log = self.path("log");
        let config = std::fs::read_to_string(self.path("config")).unwrap();
        let addresses = config.matches("ListenAddress ").count();
        let process = command
            .args(["-D", "-f"])
            .arg(self.path("config"))
            .arg("-E")
            .arg(&log)
            .stdin(Stdio::null())
            .spawn()
            .expect("openssh-server is installed");
        self.process = Some(process);
        let deadline = Instant::now() + Duration::from_secs(10);
        let listening = |log: &str| log.matches("Server listening").count();
        while !std::fs::read_to_string(&log).is_ok_and(|log| listening(&log) >= addresses) {
            assert!(
                Instant::now() < deadline,
                "sshd does not listen: {:?}",
                std::fs::read_to_string(&log)
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Returns the path of a file in the server's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Accepts a public key line for logins.
    pub fn authorize(&self, line: &str) {
        let path = self.path("authorized_keys");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(path, format!("{text}{line}\n")).unwrap();
    }

    /// Returns the log of the server.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Returns the target for root with the server's own key; new host keys are accepted.
    pub fn target(&self) -> SshTarget {
        SshTarget {
            port: self.port,
            identity_files: vec![self.path("client")],
            agent: false,
            host_key_policy: HostKeyPolicy::AcceptNew,
            known_hosts: vec![self.path("known_hosts")],
            ssh_config: SshConfigFile::Off,
            ..SshTarget::new(HostName::new("test"), self.address.clone())
        }
    }

    /// Kills the server's side of every connection, as a crash of the machine would.
    pub fn kill_sessions(&self) {
        for pid in children(self.process.as_ref().map(Child::id).expect("it runs")) {
            let _ = Command::new("kill")
                .args(["-9", &pid.to_string()])
                .stderr(Stdio::null())
                .status();
        }
    }

    /// Stops the server's side of every connection without closing anything, as a cut cable would.
    pub fn freeze_sessions(&self) {
        for pid in children(self.process.as_ref().map(Child::id).expect("it runs")) {
            must("kill", &["-STOP", &pid.to_string()]);
        }
    }

    /// Ends the process, as `systemctl stop ssh` would.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill_sessions();
        }
        self.stop();
    }
}

fn children(pid: u32) -> Vec<u32> {
    let text =
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_ascii_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect()
}

/// Returns options without an agent and without keys of this machine's user.
pub fn bare_options() -> ConnectOptions {
    ConnectOptions {
        agent_socket: None,
        default_identities: Vec::new(),
        ..ConnectOptions::default()
    }
}

/// An account made for a test, which is removed with the value.
pub struct TestAccount {
    /// Name of the account.
    pub name: String,
}

impl TestAccount {
    /// Makes an account with a home and the given login shell.
    pub fn new(shell: &str) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("skep-test-{}-{number}", std::process::id());
        // `*` is no password, but the account is not locked; sshd refuses locked accounts.
        must("useradd", &["-m", "-s", shell, "-p", "*", &name]);
        Self { name }
    }

    /// Makes an account that may become root without a password.
    pub fn with_sudo(shell: &str) -> Self {
        let account = Self::new(shell);
        let line = format!("{} ALL=(ALL) NOPASSWD: ALL\n", account.name);
        account.sudoers(&line);
        account
    }

    /// Sets the password of the account. The hash is a quick one, because it protects nothing but
    /// this test.
    pub fn set_password(&self, password: &str) {
        use std::io::Write as _;
        let mut process = Command::new("chpasswd")
            .args(["-c", "SHA512", "-s", "1000"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        process
            .stdin
            .take()
            .unwrap()
            .write_all(format!("{}:{password}\n", self.name).as_bytes())
            .unwrap();
        assert!(process.wait().unwrap().success());
    }

    /// Writes the sudo rules of the account.
    pub fn sudoers(&self, text: &str) {
        let path = self.sudoers_path();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).unwrap();
    }

    /// Returns the path of a file in the home of the account.
    pub fn home(&self, name: &str) -> PathBuf {
        PathBuf::from("/home").join(&self.name).join(name)
    }

    fn sudoers_path(&self) -> PathBuf {
        PathBuf::from("/etc/sudoers.d").join(&self.name)
    }
}

impl Drop for TestAccount {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.sudoers_path());
        let _ = Command::new("userdel")
            .args(["-r", "-f", &self.name])
            .stderr(Stdio::null())
            .status();
    }
}
