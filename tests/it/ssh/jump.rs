//! Jump hosts, proxy commands, IPv6.

use skep::inventory::{SettingOrigin, SshConfigFile, SshProxy, SshTarget};
use skep::names::HostName;
use skep::transport::{Connection as _, Exec, SshNetwork, TransportError};

use super::reach;
use super::sshd::{Sshd, bare_options, keygen, public};

/// Returns the target of a host as from an inventory that sets everything.
fn named(sshd: &Sshd, name: &str) -> SshTarget {
    let mut target = SshTarget {
        name: HostName::new(name),
        ..sshd.target()
    };
    for setting in [
        "user",
        "port",
        "identity_file",
        "agent",
        "known_hosts",
        "host_keys",
    ] {
        target.origins.insert(setting, SettingOrigin::Inventory);
    }
    target
}

fn through(mut target: SshTarget, hops: &str) -> SshTarget {
    target.ssh.proxy = SshProxy::Jump(hops.into());
    target.origins.insert("proxy", SettingOrigin::Inventory);
    target
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_behind_two_jumps_share_one_connection() {
    let (first, second, last) = (
        Sshd::start("MaxSessions 2"),
        Sshd::start("MaxSessions 2"),
        Sshd::start("MaxStartups 200"),
    );
    // Each server has its own keys.
    let hosts = [named(&first, "first"), named(&second, "second")];
    let network = std::sync::Arc::new(SshNetwork::new(bare_options(), hosts));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (network, target) = (
            network.clone(),
            through(named(&last, "last"), "first,second"),
        );
        tasks.spawn(async move {
            let connection = network.connect(&target).await?;
            connection
                .exec(Exec::root("echo \"$SSH_CONNECTION\""))
                .await
        });
    }
    for result in tasks.join_all().await {
        let text = String::from_utf8(result.unwrap().stdout).unwrap();
        assert!(text.contains(&last.address), "{text}");
    }
    let logins = |sshd: &Sshd| sshd.log().matches("Accepted publickey").count();
    assert_eq!(
        (logins(&first), logins(&second), logins(&last)),
        (1, 1, 100)
    );
    // A connection to a jump host that crashed is made again.
    first.kill_sessions();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    network
        .connect(&through(named(&last, "last"), "first,second"))
        .await
        .unwrap();
    assert_eq!(logins(&first), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn jump_hosts_are_verified_and_named_in_errors() {
    let (jump, last) = (Sshd::start(""), Sshd::start(""));
    let other = keygen(jump.folder.path(), "other", &["-t", "ed25519"]);
    std::fs::write(
        jump.path("known_hosts"),
        format!("[{}]:{} {}\n", jump.address, jump.port, public(&other)),
    )
    .unwrap();
    let network = SshNetwork::new(bare_options(), [named(&jump, "jump")]);
    let error = network
        .connect(&through(named(&last, "last"), "jump"))
        .await
        .err()
        .unwrap();
    let TransportError::Jump { hop, error: inner } = &error else {
        panic!("{error}")
    };
    assert!(
        hop.contains("jump") && hop.contains("last") && hop.contains("inventory"),
        "{hop}"
    );
    assert!(
        matches!(**inner, TransportError::HostKeyChanged { .. }),
        "{inner}"
    );
    assert!(!error.is_retryable());
    assert_eq!(
        last.log().matches("Connection from").count(),
        0,
        "no connection went further"
    );

    let forbids = Sshd::start("AllowTcpForwarding no");
    let network = SshNetwork::new(bare_options(), [named(&forbids, "jump")]);
    let error = network
        .connect(&through(named(&last, "last"), "jump"))
        .await
        .err()
        .unwrap();
    assert!(error.to_string().contains("AllowTcpForwarding"), "{error}");

    // No server listens behind it; the error has the server's own words.
    let (jump, nobody) = (Sshd::start(""), Sshd::prepare("", &["ed25519"]));
    let network = SshNetwork::new(bare_options(), [named(&jump, "jump")]);
    let error = network
        .connect(&through(named(&nobody, "last"), "jump"))
        .await
        .err()
        .unwrap();
    assert!(error.to_string().contains("Connection refused"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn jump_loops_and_unknown_jump_hosts_are_errors() {
    let (one, two) = (Sshd::start(""), Sshd::start(""));
    let hosts = [
        through(named(&one, "one"), "two"),
        through(named(&two, "two"), "one"),
    ];
    let network = SshNetwork::new(bare_options(), hosts.clone());
    let error = network.connect(&hosts[0]).await.err().unwrap();
    assert!(
        error
            .to_string()
            .contains("form a loop: one of two is already on the route"),
        "{error}"
    );
    assert_eq!(
        one.log().matches("Connection from").count() + two.log().matches("Connection from").count(),
        0
    );

    let mut lost = through(named(&one, "one"), "no-such-host.invalid");
    lost.ssh_config = SshConfigFile::Off;
    let error = network.connect(&lost).await.err().unwrap();
    let TransportError::Jump { hop, error: inner } = &error else {
        panic!("{error}")
    };
    assert!(hop.contains("no-such-host.invalid"), "{hop}");
    assert!(matches!(**inner, TransportError::Resolve { .. }), "{inner}");
    let error = network
        .connect(&through(named(&one, "one"), "a b"))
        .await
        .err()
        .unwrap();
    assert!(
        matches!(&error, TransportError::Settings { setting, .. } if setting == "ProxyJump"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_command() {
    let (jump, last) = (Sshd::start(""), Sshd::start(""));
    let mut target = last.target();
    let line = |extra: &str| {
        format!(
            "ssh -F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -i {} -p {} \
             root@{} -W %h:%p{extra}",
            jump.path("client").display(),
            jump.port,
            jump.address
        )
    };
    target.ssh.proxy = SshProxy::Command(line(""));
    let connection = reach(&target).await.unwrap();
    assert!(connection.exec(Exec::root("true")).await.unwrap().success());
    drop(connection);
    target.ssh.proxy = SshProxy::Command("sh -c 'echo no way >&2; exit 3'".into());
    let error = reach(&target).await.err().unwrap();
    assert!(error.to_string().contains("no way"), "{error}");
    target.ssh.proxy = SshProxy::Command("nc %Z".into());
    let error = reach(&target).await.err().unwrap();
    assert!(
        matches!(&error, TransportError::Settings { setting, .. } if setting == "ProxyCommand"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn address_family_and_bind_address() {
    let mut sshd = Sshd::prepare("", &["ed25519"]);
    let config = std::fs::read_to_string(sshd.path("config")).unwrap();
    std::fs::write(
        sshd.path("config"),
        format!("ListenAddress [::1]:{}\n{config}", sshd.port),
    )
    .unwrap();
    sshd.run();
    let mut target = sshd.target();
    target.address = "::1".into();
    let connection = reach(&target).await.unwrap();
    assert!(connection.exec(Exec::root("true")).await.unwrap().success());
    target.ssh.family = skep::inventory::AddressFamily::Inet;
    assert!(matches!(
        reach(&target).await.err().unwrap(),
        TransportError::Resolve { .. }
    ));
    target.address = sshd.address.clone();
    target.ssh.bind_address = Some("127.0.0.9".into());
    let connection = reach(&target).await.unwrap();
    let output = connection
        .exec(Exec::root("echo \"$SSH_CONNECTION\""))
        .await
        .unwrap();
    assert!(
        output.stdout.starts_with(b"127.0.0.9 "),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

/// A network namespace with a pair of linked interfaces; ends with the value.
struct NetworkNamespace(String);

impl NetworkNamespace {
    fn new() -> Self {
        let name = format!("skep-it-{}", std::process::id());
        super::sshd::must("ip", &["netns", "add", &name]);
        let apart = Self(name);
        apart
            .sh("ip link set lo up; ip link add near type veth peer name far; ip link set near up; ip link set far up");
        apart
    }

    fn run(&self, program: &str) -> std::process::Command {
        let mut command = std::process::Command::new("ip");
        command.args(["netns", "exec", &self.0, program]);
        command
    }

    fn sh(&self, script: &str) -> String {
        let output = self.run("sh").args(["-c", script]).output().unwrap();
        assert!(
            output.status.success(),
            "{script}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for NetworkNamespace {
    fn drop(&mut self) {
        let _ = std::process::Command::new("ip")
            .args(["netns", "del", &self.0])
            .status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn link_local_address_with_zone() {
    let apart = NetworkNamespace::new();
    // The kernel makes an address usable after it has checked for duplicates.
    let of = |device: &str| {
        let script = "for n in $(seq 100); do ip -6 -o addr show dev \"$1\" scope link -tentative \
            | sed -n 's/.*inet6 \\([^/]*\\).*/\\1/p' | grep . && exit; sleep 0.1; done; exit 1";
        apart
            .sh(&script.replace("\"$1\"", device))
            .trim()
            .to_owned()
    };
    of("near");
    let address = of("far");
    assert!(address.starts_with("fe80::"), "{address}");
    let mut sshd = Sshd::prepare("", &["ed25519"]);
    let config = std::fs::read_to_string(sshd.path("config")).unwrap();
    let (old, new) = (
        format!("{}:{}", sshd.address, sshd.port),
        format!("[{address}%far]:{}", sshd.port),
    );
    std::fs::write(sshd.path("config"), config.replace(&old, &new)).unwrap();
    sshd.run_by(&mut apart.run("/usr/sbin/sshd"));
    let zoned = format!("{address}%near");
    let key = public(&sshd.path("host_ed25519"));
    std::fs::write(
        sshd.path("known_hosts"),
        format!("[{zoned}]:{} {key}\n", sshd.port),
    )
    .unwrap();
    let inventory = |address: &str| {
        let text = format!(
            "[defaults]\nknown_hosts = 'known_hosts'\nhost_keys = 'strict'\nagent = false\nuser = 'root'\nssh_config = false\n\
             connect_timeout = '3s'\n[hosts.web]\naddress = '{address}'\nport = {}\nidentity_file = 'client'\n",
            sshd.port
        );
        std::fs::write(sshd.path("inventory.toml"), text).unwrap();
    };
    let ping = || {
        let mut skep = apart.run(env!("CARGO_BIN_EXE_skep"));
        skep.args(["ping", "-i"])
            .arg(sshd.path("inventory.toml"))
            .output()
            .unwrap()
    };
    inventory(&zoned);
    let output = ping();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stderr),
        sshd.log()
    );
    // Without its zone, the interface of the address is unknown.
    inventory(&address);
    assert_eq!(ping().status.code(), Some(4));
    let options = [
        "-F",
        "none",
        "-o",
        "BatchMode=yes",
        "-o",
        "ConnectTimeout=3",
        "-o",
    ];
    let mut ssh = apart.run("ssh");
    ssh.args(options)
        .arg(format!(
            "UserKnownHostsFile={}",
            sshd.path("known_hosts").display()
        ))
        .arg("-i")
        .arg(sshd.path("client"));
    let output = ssh
        .args(["-p", &sshd.port.to_string(), "-l", "root", &zoned, "true"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "ssh: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
