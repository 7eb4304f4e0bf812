//! An agent with one key, within this process: russh signs the certificate of an RSA key with SHA-2
//! only through an agent, and offers no other interface for it. This agent answers sign requests of
//! the agent protocol and refuses all other messages.

use std::sync::Arc;

use russh::keys::agent::client::AgentClient;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_encoding::{Decode as _, Encode as _};
use russh::keys::ssh_key::Signature;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{HashAlg, PrivateKey};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

/// Message numbers of draft-ietf-sshm-ssh-agent, section 6.
const FAILURE: u8 = 5;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
const RSA_SHA2_256: u32 = 2;

/// Maximum size of a request in bytes: a login's data and a certificate are a few kilobytes.
const REQUEST_LIMIT: u32 = 256 * 1024;

/// Starts the agent, which ends with its client.
pub(super) fn start(key: Arc<PrivateKey>) -> AgentClient<DuplexStream> {
    let (near, mut far) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move {
        while let Ok(length @ 1..=REQUEST_LIMIT) = far.read_u32().await {
            let mut request = vec![0; length as usize];
            if far.read_exact(&mut request).await.is_err() {
                return;
            }
            let answer = sign(&key, &request).unwrap_or_else(|| vec![FAILURE]);
            let mut framed = Vec::new();
            if answer.encode(&mut framed).is_err() || far.write_all(&framed).await.is_err() {
                return;
            }
        }
    });
    AgentClient::connect(near)
}

fn sign(key: &PrivateKey, request: &[u8]) -> Option<Vec<u8>> {
    let (&SIGN_REQUEST, mut rest) = request.split_first()? else {
        return None;
    };
    // The wanted key is ignored, because there is only one key.
    Vec::<u8>::decode(&mut rest).ok()?;
    let data = Vec::<u8>::decode(&mut rest).ok()?;
    let flags = u32::decode(&mut rest).ok()?;
    let hash = if flags & RSA_SHA2_256 == 0 {
        HashAlg::Sha512
    } else {
        HashAlg::Sha256
    };
    let signature: Signature = match key.key_data() {
        KeypairData::Rsa(key) => (key, Some(hash)).try_sign(&data).ok()?,
        key => key.try_sign(&data).ok()?,
    };
    let mut answer = vec![SIGN_RESPONSE];
    signature.encode_prefixed(&mut answer).ok()?;
    Some(answer)
}
