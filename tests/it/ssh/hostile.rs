//! Hostile hosts: servers that open channels by themselves, and output with terminal escape codes.

use std::process::Command;
use std::sync::{Arc, Mutex};

use russh::keys::{Algorithm, PrivateKey, key::safe_rng};
use russh::server::{Auth, Config, Handle, Handler, Msg, Session};
use russh::{Channel, ChannelId};
use skep::transport::{Connection as _, Exec, TransportError};

use super::reach;
use super::sshd::{Sshd, public};

/// A server that accepts every login, and opens channels of every type when it receives a command.
#[derive(Clone, Default)]
struct HostileServer {
    opened: Arc<Mutex<Vec<(&'static str, bool)>>>,
}

impl HostileServer {
    async fn grab(self, handle: Handle) {
        let results = [
            ("session", handle.channel_open_session().await.is_ok()),
            ("agent", handle.channel_open_agent().await.is_ok()),
            (
                "direct-tcpip",
                handle
                    .channel_open_direct_tcpip("127.0.0.1", 22, "127.0.0.1", 1)
                    .await
                    .is_ok(),
            ),
            (
                "direct-streamlocal",
                handle
                    .channel_open_direct_streamlocal("/run/docker.sock")
                    .await
                    .is_ok(),
            ),
            (
                "forwarded-tcpip",
                handle
                    .channel_open_forwarded_tcpip("127.0.0.1", 22, "127.0.0.1", 1)
                    .await
                    .is_ok(),
            ),
            (
                "forwarded-streamlocal",
                handle
                    .channel_open_forwarded_streamlocal("/run/x")
                    .await
                    .is_ok(),
            ),
            (
                "x11",
                handle.channel_open_x11("127.0.0.1", 6000).await.is_ok(),
            ),
        ];
        *self.opened.lock().unwrap() = results.to_vec();
    }
}

impl Handler for HostileServer {
    type Error = russh::Error;

    async fn auth_publickey(
        &mut self,
        _: &str,
        _: russh::server::VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: russh::server::ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)?;
        let (handle, grabber) = (session.handle(), self.clone());
        tokio::spawn(async move {
            grabber.grab(handle.clone()).await;
            let _ = handle
                .disconnect(
                    russh::Disconnect::ByApplication,
                    "\u{1b}[2Jowned\u{7}".into(),
                    String::new(),
                )
                .await;
        });
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_opened_by_server_are_refused() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
    let config = Arc::new(Config {
        keys: vec![key],
        ..Config::default()
    });
    let grabber = HostileServer::default();
    let sshd = Sshd::prepare("", &["ed25519"]);
    let mut target = sshd.target();
    (target.address, target.port) = ("127.0.0.1".into(), listener.local_addr().unwrap().port());
    let server = grabber.clone();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let session = russh::server::run_stream(config, socket, server)
            .await
            .unwrap();
        let _ = session.await;
    });
    let connection = reach(&target).await.unwrap();
    let error = connection.exec(Exec::root("true")).await.unwrap_err();
    let opened = grabber.opened.lock().unwrap().clone();
    assert_eq!(opened.len(), 7, "{error}");
    assert!(opened.iter().all(|(_, opened)| !opened), "{opened:?}");
    // Its last message does not move the cursor.
    let TransportError::Lost(why) = &error else {
        panic!("{error}")
    };
    assert!(
        why.contains("owned") && !why.contains(char::is_control),
        "{why:?}"
    );
}

/// Output of a hostile host for any command, on both streams, before and instead of the real
/// output.
const ESCAPES: &str = r"printf '\033[2J\033]0;owned\007\033[31mred\r\233\n'; printf '\033[1;1H\033[8mhidden\r' >&2; exit 7";

#[tokio::test(flavor = "multi_thread")]
async fn escape_codes_from_hosts_never_reach_the_terminal() {
    let commands = [
        format!("ForceCommand {ESCAPES}"),
        // The host runs each command, with its own text before and after each line of the answer.
        r#"ForceCommand sh -c "$SSH_ORIGINAL_COMMAND" 2>&1 | sed 's/^/\o033[31m/'"#.to_owned(),
        r#"ForceCommand sh -c "$SSH_ORIGINAL_COMMAND" | sed 's/\(PRETTY_NAME=.\)/\1\o033[2J\o007/; s/hostname=/hostname=\o033[31m/'"#
            .to_owned(),
    ];
    for command in commands {
        let mut sshd = Sshd::prepare(&command, &["ed25519"]);
        std::fs::write(sshd.path("banner"), "\u{1b}[2Jwelcome\u{7}\r\n").unwrap();
        let config = std::fs::read_to_string(sshd.path("config")).unwrap();
        std::fs::write(
            sshd.path("config"),
            format!("Banner {}\n{config}", sshd.path("banner").display()),
        )
        .unwrap();
        sshd.run();
        let inventory = sshd.path("inventory.toml");
        let known = format!(
            "[{}]:{} {}\n",
            sshd.address,
            sshd.port,
            public(&sshd.path("host_ed25519"))
        );
        std::fs::write(sshd.path("known_hosts"), known).unwrap();
        let text = format!(
            "[defaults]\nknown_hosts = 'known_hosts'\nagent = false\nuser = 'root'\nssh_config = false\n\
             [hosts.web]\naddress = '{}'\nport = {}\nidentity_file = 'client'\n",
            sshd.address, sshd.port
        );
        std::fs::write(&inventory, text).unwrap();
        let playbook = sshd.path("play.toml");
        let play = "[[plays]]\nname = 'p'\nhosts = 'all'\nresources = [{ file = { path = '/etc/hostname', content = 'x' } }, \
            { package = { name = 'dpkg' } }]\n";
        std::fs::write(&playbook, play).unwrap();
        let verbs: [&[&str]; 5] = [
            &["ping", "-v"],
            &["ping", "--json"],
            &["facts", "-vvv"],
            &["plan", "--diff", "-vv", playbook.to_str().unwrap()],
            &["known-hosts", "scan", "web"],
        ];
        for verb in verbs {
            let mut skep = Command::new(env!("CARGO_BIN_EXE_skep"));
            skep.args(verb)
                .arg("-i")
                .arg(&inventory)
                .env("SKEP_STATE_DIR", sshd.path("state"));
            let output = tokio::task::block_in_place(|| skep.output().unwrap());
            let shown = [output.stdout, output.stderr].concat();
            assert!(!shown.is_empty());
            let text = String::from_utf8_lossy(&shown);
            let raw = |letter: char| letter.is_control() && letter != '\n' && letter != '\t';
            assert!(!text.contains(raw), "{command} {verb:?}: {text:?}");
        }
    }
}
