//! Passwords in URLs, such as that of a proxy: `http://user:password@proxy:3128`. Plans, reports
//! and errors show such a URL without its password.

use std::borrow::Cow;
use std::ops::Range;

/// Text that stands in the place of a password.
const MASK: &str = "***";

/// Returns the text with every password of a URL replaced by `***`. The user's name stays. After
/// the word `proxy`, an address without a scheme (`user:password@proxy:3128`) counts as a URL.
#[must_use]
pub fn mask_url_passwords(text: &str) -> Cow<'_, str> {
    let passwords = url_passwords(text);
    if passwords.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut masked = String::new();
    let mut done = 0;
    for password in passwords {
        masked.push_str(&text[done..password.start]);
        masked.push_str(MASK);
        done = password.end;
    }
    masked.push_str(&text[done..]);
    Cow::Owned(masked)
}

/// Returns the ranges of all passwords in URLs, in their order.
#[must_use]
pub fn url_passwords(text: &str) -> Vec<Range<usize>> {
    let mut passwords = Vec::new();
    if !text.contains('@') {
        return passwords;
    }
    // `to_ascii_lowercase` keeps the positions of all characters.
    let lower = text.to_ascii_lowercase();
    let mut done = 0;
    while let Some(start) = next_address(&text[done..], &lower[done..]) {
        let start = done + start;
        let end = text[start..]
            .find(|one: char| one.is_whitespace() || "\"'`<>\\".contains(one))
            .map_or(text.len(), |length| start + length);
        if let Some((from, to)) = password(&text[start..end]) {
            passwords.push(start + from..start + to);
        }
        done = end;
    }
    passwords
}

/// Returns the position of the next address: after `://`, or after `proxy` and its sign. `lower` is
/// the text in lower case.
fn next_address(text: &str, lower: &str) -> Option<usize> {
    let scheme = text.find("://").map(|at| at + "://".len());
    let proxy = lower.match_indices("proxy").find_map(|(at, word)| {
        let from = at + word.len();
        let value = text[from..].trim_start_matches(['=', ':', '"', '\'', ' ', '\t']);
        let start = text.len() - value.len();
        (start > from).then_some(start)
    });
    match (scheme, proxy) {
        // The address after `proxy` has a scheme of its own.
        (Some(scheme), Some(proxy)) if proxy < scheme => {
            let between = &text[proxy..scheme];
            let is_scheme = between
                .trim_end_matches("://")
                .chars()
                .all(|one| one.is_ascii_alphanumeric() || "+.-".contains(one));
            Some(if is_scheme { scheme } else { proxy })
        }
        (Some(scheme), _) => Some(scheme),
        (None, proxy) => proxy,
    }
}

/// Returns the range of the password within an address that begins after its scheme.
fn password(address: &str) -> Option<(usize, usize)> {
    let authority = address.find(['/', '?', '#']).unwrap_or(address.len());
    let colon = address.find(':')?;
    if let Some(at) = address[..authority].rfind('@') {
        return (colon < at).then_some((colon + 1, at));
    }
    // A password with a slash that is not escaped: the text after the colon is no port.
    let port = &address[colon + 1..authority.max(colon + 1)];
    let at = address.rfind('@')?;
    let is_port = !port.is_empty() && port.bytes().all(|one| one.is_ascii_digit());
    (colon < authority && colon < at && !is_port).then_some((colon + 1, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_replaced_and_everything_else_stays() {
        for (text, masked) in [
            ("http://u:PASSWORD@p.lan:3128", "http://u:***@p.lan:3128"),
            ("http://u:PASS@WORD@p.lan:3128/", "http://u:***@p.lan:3128/"),
            ("http://u:PASS/WORD@p.lan:3128", "http://u:***@p.lan:3128"),
            ("socks5h://:PASSWORD@p", "socks5h://:***@p"),
            (
                r#"{"http-proxy":"http://u:PASSWORD@p","https-proxy":"http://v:PASSWORD@p"}"#,
                r#"{"http-proxy":"http://u:***@p","https-proxy":"http://v:***@p"}"#,
            ),
            (
                "Environment=\"HTTP_PROXY=http://u:PASSWORD@p\" 'https_proxy=u:PASSWORD@p:1'\n",
                "Environment=\"HTTP_PROXY=http://u:***@p\" 'https_proxy=u:***@p:1'\n",
            ),
            (
                "Acquire::http::Proxy \"http://u:PASSWORD@p:1\";\n",
                "Acquire::http::Proxy \"http://u:***@p:1\";\n",
            ),
            (
                "http-proxy: u:PASSWORD@p (no-proxy: a@b)",
                "http-proxy: u:***@p (no-proxy: a@b)",
            ),
        ] {
            assert_eq!(mask_url_passwords(text), masked);
        }
        for plain in [
            "http://p.lan:3128",
            "http://p.lan:3128/a@b",
            "http://user@p.lan",
            "ssh://git@p.lan:22/x",
            "vagrant@docker01: ok",
            "docker01:5000/web@sha256:abc",
            "proxy",
            "https://p.lan/x:y@z",
            "a proxy for user@p",
            "",
        ] {
            assert_eq!(mask_url_passwords(plain), plain);
        }
    }
}
