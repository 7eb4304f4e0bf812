//! The check of the files with the host's own openssl: one read-only script, whose exit status
//! names the first problem.

use std::net::IpAddr;

use crate::base::{path_walk, sh_quote};

/// Status when the host has no openssl.
pub(super) const NO_OPENSSL: i32 = 90;
/// Status when an account other than root can replace the files.
pub(super) const UNSAFE: i32 = 91;
/// First status that is about the certificate alone; lower statuses are about the authority.
pub(super) const CERTIFICATE: i32 = 20;

/// Returns a script that ends with status 0 if all files are valid. `renew` is in seconds. Its
/// output has no meaning.
pub(super) fn script(directory: &str, names: &[String], renew: u64) -> String {
    let directory = sh_quote(directory);
    let mut script = format!(
        "{}status=0\n\
         enter {directory} || status=$?\n\
         if [ $status -eq 1 ] || [ \"$control\" != root ]; then exit {UNSAFE}; fi\n\
         command -v openssl >/dev/null || exit {NO_OPENSSL}\n\
         [ $status -eq 0 ] || exit 10\n\
         [ -s ca.key ] && [ -s ca.crt ] || exit 10\n\
         openssl x509 -in ca.crt -noout -checkend {renew} || exit 11\n\
         [ \"$(openssl pkey -in ca.key -pubout)\" = \"$(openssl x509 -in ca.crt -noout -pubkey)\" ] || exit 12\n\
         [ -s server.key ] && [ -s server.crt ] || exit 20\n\
         openssl x509 -in server.crt -noout -checkend {renew} || exit 21\n\
         openssl verify -CAfile ca.crt server.crt || exit 22\n\
         [ \"$(openssl pkey -in server.key -pubout)\" = \"$(openssl x509 -in server.crt -noout -pubkey)\" ] || exit 23\n",
        path_walk()
    );
    for name in names {
        let option = if name.parse::<IpAddr>().is_ok() {
            "-checkip"
        } else {
            "-checkhost"
        };
        script.push_str(&format!(
            "openssl x509 -in server.crt -noout {option} {} | grep -q 'does match' || exit 24\n",
            sh_quote(name)
        ));
    }
    script
}

/// Describes a status in a few words.
pub(super) fn words(status: i32) -> &'static str {
    match status {
        10 | 20 => "missing",
        11 | 21 => "expires soon or has expired",
        12 | 23 => "belongs to another key",
        22 => "not signed by the authority",
        24 => "lacks a name",
        _ => "cannot be read",
    }
}
