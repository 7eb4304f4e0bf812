//! Fingerprints of OpenPGP keys (RFC 9580, 5.5.4). Neither this machine nor a bare host needs gpg:
//! this file reads keys that the playbook gives and keys that a host has; `install.sh` does the
//! same for a key that a host fetches. Signatures are not checked: apt does that.

use base64ct::{Base64, Encoding as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::base::hex;

/// First line of an armoured key (RFC 9580, 6.2).
pub(super) const ARMOUR: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";

/// Tag of a packet with a primary public key.
const PUBLIC_KEY: u8 = 6;

/// Returns the fingerprints of all primary keys, in upper-case hexadecimal. A file may hold several
/// keys, and apt trusts each of them.
///
/// # Errors
/// A sentence when the bytes are not OpenPGP keys.
pub(super) fn fingerprints(key: &[u8]) -> Result<Vec<String>, String> {
    let binary;
    let mut rest = if key.starts_with(b"-----BEGIN") {
        binary = without_armour(key)?;
        &binary[..]
    } else {
        key
    };
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (tag, body, after) =
            packet(rest).ok_or("the file is damaged: a packet is longer than the file")?;
        if tag == PUBLIC_KEY {
            found.push(fingerprint(body)?);
        }
        rest = after;
    }
    match found.is_empty() {
        true => Err("there is no public key in it".into()),
        false => Ok(found),
    }
}

/// Splits off one packet: its tag and its body (RFC 9580, 4.2). Lengths that only other packets may
/// have, partial and indeterminate ones, are errors.
fn packet(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&header, rest) = bytes.split_first()?;
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0_usize, |sum, one| (sum << 8) | *one as usize)
    };
    let (tag, length, rest) = match header {
        0x00..=0x7f => return None,
        0xc0..=0xff => {
            let (&first, after) = rest.split_first()?;
            let (length, rest) = match first {
                0..=191 => (first as usize, after),
                192..=223 => {
                    let (&second, after) = after.split_first()?;
                    (((first as usize - 192) << 8) + second as usize + 192, after)
                }
                255 => (number(after.get(..4)?), after.get(4..)?),
                _ => return None,
            };
            (header & 0x3f, length, rest)
        }
        _ => {
            let size = match header & 3 {
                0 => 1,
                1 => 2,
                2 => 4,
                _ => return None,
            };
            (
                (header & 0x3c) >> 2,
                number(rest.get(..size)?),
                rest.get(size..)?,
            )
        }
    };
    Some((tag, rest.get(..length)?, rest.get(length..)?))
}

/// Returns the fingerprint of a key's body: SHA-1 for version 4, SHA-256 for version 6.
fn fingerprint(body: &[u8]) -> Result<String, String> {
    let text = match (body.first(), u16::try_from(body.len())) {
        (Some(4), Ok(length)) => {
            let digest = Sha1::new_with_prefix([0x99])
                .chain_update(length.to_be_bytes())
                .chain_update(body);
            hex(&digest.finalize())
        }
        (Some(6), _) => {
            let length = u32::try_from(body.len()).map_err(|_| "the key is too long")?;
            let digest = Sha256::new_with_prefix([0x9b])
                .chain_update(length.to_be_bytes())
                .chain_update(body);
            hex(&digest.finalize())
        }
        (Some(version), _) => {
            return Err(format!(
                "it holds a key of version {version}; skep knows versions 4 and 6"
            ));
        }
        (None, _) => return Err("it holds an empty key".into()),
    };
    Ok(text.to_ascii_uppercase())
}

/// Returns the content of all armoured blocks (RFC 9580, 6.2).
pub(super) fn without_armour(key: &[u8]) -> Result<Vec<u8>, String> {
    let text = std::str::from_utf8(key).map_err(|_| "the armour is not text")?;
    let (mut binary, mut block, mut state) = (Vec::new(), String::new(), ArmourPart::Outside);
    for line in text.lines().map(str::trim_end) {
        state = match state {
            _ if line.starts_with("-----BEGIN") => ArmourPart::Headers,
            _ if line.starts_with("-----END") => {
                let bytes = Base64::decode_vec(&block);
                binary.extend(bytes.map_err(|_| "the armour is damaged: it is not Base64")?);
                block.clear();
                ArmourPart::Outside
            }
            ArmourPart::Headers if line.is_empty() => ArmourPart::Content,
            ArmourPart::Content => {
                // The line that begins with `=` is a checksum.
                if !line.starts_with('=') {
                    block.push_str(line);
                }
                ArmourPart::Content
            }
            other => other,
        };
    }
    match state {
        ArmourPart::Outside => Ok(binary),
        _ => Err("the armour has no end".into()),
    }
}

#[derive(Clone, Copy)]
enum ArmourPart {
    Outside,
    Headers,
    Content,
}

/// Returns a fingerprint as upper-case hexadecimal digits. People copy it with spaces or colons.
///
/// # Errors
/// A sentence when it is no fingerprint of version 4 (40 digits) or 6 (64 digits).
pub(super) fn normalized(fingerprint: &str) -> Result<String, String> {
    let digits: String = fingerprint
        .trim_start_matches("0x")
        .chars()
        .filter(|one| !one.is_whitespace() && *one != ':')
        .collect();
    let is_hex = digits.bytes().all(|one| one.is_ascii_hexdigit());
    if is_hex && matches!(digits.len(), 40 | 64) {
        return Ok(digits.to_ascii_uppercase());
    }
    Err(format!(
        "{fingerprint:?} is not the fingerprint of a key: it has 40 or 64 hexadecimal digits"
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::samples::{FINGERPRINT, KEY, RSA, RSA_FINGERPRINT, binary};
    use super::*;

    #[test]
    fn fingerprints_are_those_of_gnupg() {
        assert_eq!(fingerprints(KEY.as_bytes()).unwrap(), [FINGERPRINT]);
        assert_eq!(fingerprints(RSA.as_bytes()).unwrap(), [RSA_FINGERPRINT]);
        assert_eq!(fingerprints(&binary(KEY)).unwrap(), [FINGERPRINT]);
        // A second key is never overlooked, in whichever form it is added.
        let both = [FINGERPRINT, RSA_FINGERPRINT];
        let joined = [binary(KEY), binary(RSA)].concat();
        assert_eq!(fingerprints(&joined).unwrap(), both);
        assert_eq!(
            fingerprints(format!("{KEY}{RSA}").as_bytes()).unwrap(),
            both
        );
        let windows = KEY.replace('\n', "\r\n");
        assert_eq!(fingerprints(windows.as_bytes()).unwrap(), [FINGERPRINT]);
    }

    #[test]
    fn version_6_key_of_the_standard_is_known() {
        // The certificate of RFC 9580, A.3.
        let key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n\
            xioGY4d/4xsAAAAg+U2nu0jWCmHlZ3BqZYfQMxmZu52JGggkLq2EVD34laPCsQYf\n\
            GwoAAABCBYJjh3/jAwsJBwUVCg4IDAIWAAKbAwIeCSIhBssYbE8GCaaX5NUt+mxy\n\
            KwwfHifBilZwj2Ul7Ce62azJBScJAgcCAAAAAK0oIBA+LX0ifsDm185Ecds2v8lw\n\
            gyU2kCcUmKfvBXbAf6rhRYWzuQOwEn7E/aLwIwRaLsdry0+VcallHhSu4RN6HWaE\n\
            QsiPlR4zxP/TP7mhfVEe7XWPxtnMUMtf15OyA51YBM4qBmOHf+MZAAAAIIaTJINn\n\
            +eUBXbki+PSAld2nhJh/LVmFsS+60WyvXkQ1wpsGGBsKAAAALAWCY4d/4wKbDCIh\n\
            BssYbE8GCaaX5NUt+mxyKwwfHifBilZwj2Ul7Ce62azJAAAAAAQBIKbpGG2dWTX8\n\
            j+VjFM21J0hqWlEg+bdiojWnKfA5AQpWUWtnNwDEM0g12vYxoWM8Y81W+bHBw805\n\
            I8kWVkXU6vFOi+HWvv/ira7ofJu16NnoUkhclkUrk0mXubZvyl4GBg==\n\
            -----END PGP PUBLIC KEY BLOCK-----\n";
        assert_eq!(
            fingerprints(key.as_bytes()).unwrap(),
            ["CB186C4F0609A697E4D52DFA6C722B0C1F1E27C18A56708F6525EC27BAD9ACC9"]
        );
    }

    #[test]
    fn damaged_files_are_errors_and_never_panic() {
        let binary = binary(KEY);
        for length in 0..binary.len() {
            let _ = fingerprints(&binary[..length]);
        }
        for bytes in [
            &b""[..],
            b"<html>",
            b"\x99",
            b"\x99\xff\xff\x04",
            b"\xc6\xff\xff\xff\xff\xff",
            b"\xc6\xe0\x04",
            b"\x9b\x04",
            b"\xc6\x01\x03",
            b"\xc6\x00",
            b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ==\n",
            b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n*\n-----END PGP PUBLIC KEY BLOCK-----\n",
        ] {
            assert!(fingerprints(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn fingerprints_are_read_in_every_usual_form() {
        let plain = "9DC858229FC7DD38854AE2D88D81803C0EBFCD88";
        for form in [
            plain,
            "9DC8 5822 9FC7 DD38 854A  E2D8 8D81 803C 0EBF CD88",
            "0x9dc858229fc7dd38854ae2d88d81803c0ebfcd88",
            "9D:C8:58:22:9F:C7:DD:38:85:4A:E2:D8:8D:81:80:3C:0E:BF:CD:88",
        ] {
            assert_eq!(normalized(form).unwrap(), plain);
        }
        for bad in ["", "0EBFCD88", "8D81803C0EBFCD88", &plain.replace('9', "x")] {
            assert!(normalized(bad).is_err(), "{bad}");
        }
    }
}
