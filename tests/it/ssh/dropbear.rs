//! A server other than OpenSSH: dropbear, which some small images have.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use skep::transport::{Connection as _, Exec};

use super::reach;
use super::sshd::{Sshd, TestAccount, keygen, public};

struct DropbearServer(Child);

impl Drop for DropbearServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_through_dropbear() {
    let sshd = Sshd::prepare("", &["ed25519"]);
    let account = TestAccount::with_sudo("/bin/sh");
    let folder = account.home(".ssh");
    std::fs::create_dir_all(&folder).unwrap();
    let rsa = keygen(sshd.folder.path(), "rsa", &["-t", "rsa", "-b", "2048"]);
    let keys = format!("{}\n{}\n", public(&sshd.path("client")), public(&rsa));
    std::fs::write(folder.join("authorized_keys"), keys).unwrap();
    super::sshd::must("chown", &["-R", &account.name, folder.to_str().unwrap()]);
    super::sshd::must("chmod", &["-R", "go-rwx", folder.to_str().unwrap()]);
    let host_key = sshd.path("dropbear_key").display().to_string();
    super::sshd::must("dropbearkey", &["-t", "ed25519", "-f", &host_key]);
    let port = TcpListener::bind((sshd.address.as_str(), 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let listen = format!("{}:{port}", sshd.address);
    let mut dropbear = Command::new("dropbear");
    dropbear.args([
        "-F",
        "-E",
        "-s",
        "-r",
        &host_key,
        "-p",
        &listen,
        "-P",
        sshd.path("pid").to_str().unwrap(),
    ]);
    let _dropbear = DropbearServer(
        dropbear
            .stderr(Stdio::null())
            .spawn()
            .expect("dropbear-bin is installed"),
    );

    let mut target = sshd.target();
    (target.user, target.port, target.become_root) = (account.name.clone(), port, true);
    target.connect_wait = Duration::from_secs(5);
    for key in [sshd.path("client"), rsa] {
        target.identity_files = vec![key];
        let connection = reach(&target).await.unwrap();
        let exec = Exec {
            stdin: vec![b'x'; 1 << 20],
            arguments: vec!["a'b".into()],
            ..Exec::root("id -un; echo \"$1\"; wc -c")
        };
        let output = connection.exec(exec).await.unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            "root\na'b\n1048576\n"
        );
        assert_eq!(
            connection.exec(Exec::root("exit 9")).await.unwrap().status,
            9
        );
        connection.close().await;
    }
}
