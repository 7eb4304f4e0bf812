//! The floor: russh alone, in its plainest use. N connections, as many at once as skep has; each
//! gives `sh` the script that skep sends on its standard input, or runs `true`, reads the output,
//! and ends.

use std::sync::Arc;

use russh::keys::{PrivateKeyWithHashAlg, load_secret_key};
use russh::{ChannelMsg, client};
use tokio::sync::Semaphore;

use super::work::FORKS;

/// Replaces the path of a script to run `true`.
pub const TRUE: &str = "-";

struct AcceptAll;

impl client::Handler for AcceptAll {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        _key: &russh::keys::PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

/// Runs to the end.
pub fn run(size: &str, port: &str, key: &str, script: &str) {
    let (size, port): (usize, u16) = (size.parse().unwrap(), port.parse().unwrap());
    let plain = script == TRUE;
    let script: Arc<[u8]> = if plain {
        Arc::default()
    } else {
        std::fs::read(script).unwrap().into()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let key = Arc::new(load_secret_key(key, None).unwrap());
        let config = Arc::new(client::Config {
            nodelay: true,
            ..client::Config::default()
        });
        let permits = Arc::new(Semaphore::new(FORKS));
        let mut all = tokio::task::JoinSet::new();
        for host in 0..size {
            let (key, config, script, permits) =
                (key.clone(), config.clone(), script.clone(), permits.clone());
            let address = super::server::address(host);
            all.spawn(async move {
                let _permit = permits.acquire_owned().await;
                let mut session = client::connect(config, (address.as_str(), port), AcceptAll)
                    .await
                    .unwrap();
                let login = session
                    .authenticate_publickey("root", PrivateKeyWithHashAlg::new(key, None))
                    .await
                    .unwrap();
                assert!(login.success());
                let mut channel = session.channel_open_session().await.unwrap();
                channel
                    .exec(true, if plain { "true" } else { "sh" })
                    .await
                    .unwrap();
                if !plain {
                    channel.data(&script[..]).await.unwrap();
                    channel.eof().await.unwrap();
                }
                let (mut status, mut bytes) = (None, 0);
                while let Some(message) = channel.wait().await {
                    match message {
                        ChannelMsg::Data { data } => bytes += data.len(),
                        ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
                        _ => {}
                    }
                }
                assert!(status == Some(0) && (plain || bytes > 0));
                let _ = session
                    .disconnect(russh::Disconnect::ByApplication, "", "")
                    .await;
            });
        }
        while let Some(joined) = all.join_next().await {
            joined.unwrap();
        }
    });
}
