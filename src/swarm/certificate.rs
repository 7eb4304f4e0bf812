//! Validity of a node's certificate. The Engine's API does not report it; the file `swarm-node.crt`
//! on the node contains it. This reader parses no more of X.509 (RFC 5280, 4.1) than the path to
//! `validity`, and verifies no signature: the result is used for a warning only.

use serde::Serialize;

use super::NodeRole;

/// Begin and end of a certificate's validity, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CertificateValidity {
    /// Not before.
    pub from: i64,
    /// Not after.
    pub until: i64,
}

impl CertificateValidity {
    /// Reads the first certificate of a PEM file; `None` when the text is not a certificate.
    #[must_use]
    pub fn read(pem: &[u8]) -> Option<Self> {
        let der = first(pem)?;
        let (_, certificate, _) = element(&der)?;
        let (_, mut rest, _) = element(certificate)?;
        // The version is left out in certificates of version 1.
        let (tag, _, after) = element(rest)?;
        if tag == 0xa0 {
            rest = after;
        }
        // Serial number, algorithm, issuer.
        for _ in 0..3 {
            rest = element(rest)?.2;
        }
        let (_, validity, _) = element(rest)?;
        let (from_tag, from, rest) = element(validity)?;
        let (until_tag, until, _) = element(rest)?;
        Some(Self {
            from: time(from_tag, from)?,
            until: time(until_tag, until)?,
        })
    }
}

/// Returns the role that the first certificate of a PEM file gives to its node: the managers write
/// it into the subject (`OU=swarm-manager`). `None` when the text is no certificate of a node.
#[must_use]
pub fn certificate_role(pem: &[u8]) -> Option<NodeRole> {
    let der = first(pem)?;
    let has = |word: &[u8]| der.windows(word.len()).any(|part| part == word);
    match (has(b"swarm-manager"), has(b"swarm-worker")) {
        (true, false) => Some(NodeRole::Manager),
        (false, true) => Some(NodeRole::Worker),
        _ => None,
    }
}

/// Returns the bytes of the first certificate of a PEM file.
fn first(pem: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(pem).ok()?;
    let body = text
        .split("-----BEGIN CERTIFICATE-----")
        .nth(1)?
        .split("-----END")
        .next()?;
    base64(body)
}

/// Splits off one DER element: returns its tag, its content, and the bytes after it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 {
            return None;
        }
        let (digits, rest) = rest.split_at_checked(count)?;
        (
            digits
                .iter()
                .fold(0, |sum, digit| sum << 8 | usize::from(*digit)),
            rest,
        )
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// Parses a UTCTime `YYMMDDhhmmssZ` (until 2049) or a GeneralizedTime `YYYYMMDDhhmmssZ`.
fn time(tag: u8, text: &[u8]) -> Option<i64> {
    let digits: Vec<i64> = text
        .strip_suffix(b"Z")?
        .iter()
        .map(|byte| byte.is_ascii_digit().then(|| i64::from(byte - b'0')))
        .collect::<Option<_>>()?;
    let two = |at: usize| Some(digits.get(at)? * 10 + digits.get(at + 1)?);
    let (year, at) = match (tag, digits.len()) {
        (0x17, 12) => (two(0)? + if two(0)? < 50 { 2000 } else { 1900 }, 2),
        (0x18, 14) => (two(0)? * 100 + two(2)?, 4),
        _ => return None,
    };
    let clock = two(at + 4)? * 3600 + two(at + 6)? * 60 + two(at + 8)?;
    Some(days(year, two(at)?, two(at + 2)?) * 86_400 + clock)
}

/// Returns the days from 1970-01-01 to a date of the Gregorian calendar. Years begin in March, to
/// put the leap day last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * month + 2) / 5 + day
        - 1
        - 719_468
}

/// Decodes base64 with line breaks (RFC 4648); `None` on any other character.
fn base64(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => break,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A leaf certificate followed by another one, as in swarm-node.crt; made with `openssl req
    /// -x509` and `-not_before`, `-not_after`.
    const PEM: &str = include_str!("certificate/sample.pem");

    #[test]
    fn role_is_read_from_the_subject() {
        // The base64 of `OU=swarm-manager` and of `OU=swarm-worker`.
        let pem = |body: &str| {
            format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n").into_bytes()
        };
        let manager = pem("T1U9c3dhcm0tbWFuYWdlcg==");
        assert_eq!(certificate_role(&manager), Some(NodeRole::Manager));
        assert_eq!(
            certificate_role(&pem("T1U9c3dhcm0td29ya2Vy")),
            Some(NodeRole::Worker)
        );
        assert_eq!(certificate_role(PEM.as_bytes()), None);
        assert_eq!(certificate_role(b"no certificate"), None);
    }

    #[test]
    fn the_first_certificate_of_a_file_is_read() {
        let validity = CertificateValidity::read(PEM.as_bytes()).unwrap();
        // 2026-11-01T10:00:00Z and 2027-01-30T11:30:15Z, by date(1).
        assert_eq!(
            (validity.from, validity.until),
            (1_793_527_200, 1_801_308_615)
        );
        // The second certificate is of version 3, as the Engine's certificates are, and lives ten
        // years.
        let other = PEM.split_once("-----END CERTIFICATE-----").unwrap().1;
        let validity = CertificateValidity::read(other.as_bytes()).unwrap();
        assert_eq!(validity.until - validity.from, 3650 * 86_400);
    }

    #[test]
    fn utc_and_generalized_times_are_parsed() {
        assert_eq!(time(0x17, b"700101000000Z"), Some(0));
        assert_eq!(time(0x17, b"991231235959Z"), Some(946_684_799));
        assert_eq!(time(0x18, b"20240229120000Z"), Some(1_709_208_000));
        assert_eq!(time(0x18, b"21000301000000Z"), Some(4_107_542_400));
        for bad in [&b"20240229120000"[..], b"2024022912000xZ", b"Z", b""] {
            assert_eq!((time(0x17, bad), time(0x18, bad)), (None, None));
        }
    }

    #[test]
    fn truncated_certificates_are_rejected() {
        let whole = PEM.split("-----END").next().unwrap();
        for length in 0..whole.len() / 2 {
            let _ = CertificateValidity::read(&whole.as_bytes()[..length]);
        }
        assert_eq!(
            CertificateValidity::read(&whole.as_bytes()[..whole.len() / 4]),
            None
        );
        assert_eq!(
            CertificateValidity::read(
                b"-----BEGIN CERTIFICATE-----\nMIIB!\n-----END CERTIFICATE-----"
            ),
            None
        );
        assert_eq!(CertificateValidity::read(b"\xff"), None);
    }
}
