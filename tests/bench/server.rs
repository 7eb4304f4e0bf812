//! A real sshd on a free port of every loopback address, with keys of its own, ended when dropped.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Folder with the record of the last apply on a host. The "hosts" are this machine: they must
/// neither read the entries of earlier benchmarks, which cost time and memory, nor leave any.
const RECORD: &str = "/var/lib/skep";
/// Every login finds an empty folder there, which ends with the server; the machine's own folder
/// stays unchanged.
const WITH_A_CLEAN_RECORD: &str =
    r#"mount -t tmpfs -o mode=0700 skep "$1" && exec /usr/sbin/sshd -D -e -f "$2""#;

/// A running server and its folder.
pub struct BenchServer {
    folder: tempfile::TempDir,
    port: u16,
    process: Child,
}

/// Returns the loopback address of a "host".
pub fn address(host: usize) -> String {
    format!("127.0.{}.{}", 1 + host / 200, 1 + host % 200)
}

impl BenchServer {
    /// Starts a server and waits until it listens.
    pub fn start() -> Self {
        // Below /tmp, where every account may write, skep walks each path one component at a time.
        // Managed paths are usually in directories of root.
        let folder = tempfile::tempdir_in("/var/lib").unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        for name in ["host_key", "identity"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f", &path(name)])
                .status()
                .unwrap();
            assert!(made.success());
        }
        std::fs::copy(path("identity.pub"), path("authorized_keys")).unwrap();
        // A deeper shell level keeps root's bash from reading the start files of the machine that
        // measures: some take seconds.
        std::fs::write(
            path("sshd_config"),
            format!(
                "Port {port}\nListenAddress 0.0.0.0\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\n\
                 PermitRootLogin prohibit-password\nMaxStartups 2000\nLogLevel ERROR\nSetEnv SHLVL=1\n",
                path("host_key"),
                path("authorized_keys")
            ),
        )
        .unwrap();
        for needed in ["/run/sshd", RECORD] {
            std::fs::create_dir_all(Path::new(needed)).unwrap();
        }
        let process = Command::new("unshare")
            .args([
                "--mount",
                "--propagation",
                "private",
                "--",
                "sh",
                "-c",
                WITH_A_CLEAN_RECORD,
                "sshd",
                RECORD,
            ])
            .arg(path("sshd_config"))
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("util-linux and sshd are installed");
        let server = Self {
            folder,
            port,
            process,
        };
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        std::fs::create_dir_all(server.path("data")).unwrap();
        server
    }

    /// Returns the port on which the server listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns a path in the folder of the server.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Returns the command of a floor run of this many hosts, each running the script that skep
    /// sends.
    pub fn floor(&self, size: usize) -> Command {
        self.floor_with(size, &self.path("script"))
    }

    /// Returns the command of a floor run of this many hosts, each running `true`.
    pub fn floor_of_true(&self, size: usize) -> Command {
        self.floor_with(size, super::floor::TRUE)
    }

    fn floor_with(&self, size: usize, script: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([
            "--floor",
            &size.to_string(),
            &self.port.to_string(),
            &self.path("identity"),
            script,
        ]);
        command
    }
}

impl Drop for BenchServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
