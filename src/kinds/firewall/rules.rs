//! Reads the rules of ufw from its own files: lines `### tuple ###` in /etc/ufw/user.rules and
//! user6.rules. skep does not run `ufw status`, because that takes a lock, which is a file.

/// A rule that allows packets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FirewallRule {
    /// `tcp`, `udp` or `any`.
    pub(super) protocol: String,
    /// Port on this host: a number, a range or a list.
    pub(super) port: String,
    /// Allowed address or network; `any` for everybody.
    pub(super) from: String,
}

/// A rule that exists on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LiveRule {
    pub(super) row: FirewallRule,
    /// True if the rule has skep's comment.
    pub(super) ours: bool,
}

/// Comment of skep's rules as ufw stores it, in hexadecimal.
const COMMENT: &str = "comment=736b6570";

/// Returns the rules of a file that allow traffic from any source to a port of this host, on every
/// interface. Other rules are ignored.
pub(super) fn read(file: &str) -> Vec<LiveRule> {
    file.lines()
        .filter_map(|line| line.strip_prefix("### tuple ### "))
        .filter_map(one)
        .collect()
}

/// Reads a tuple such as `allow tcp 2377 0.0.0.0/0 any 192.168.56.12 in comment=...`: action,
/// protocol, port and address of this host, port and address of the source, and direction.
fn one(tuple: &str) -> Option<LiveRule> {
    let words: Vec<&str> = tuple.split_whitespace().collect();
    let [
        action,
        protocol,
        port,
        to,
        from_port,
        from,
        direction,
        more @ ..,
    ] = words.as_slice()
    else {
        return None;
    };
    let any = |address: &str| matches!(address, "0.0.0.0/0" | "::/0");
    let plain = *action == "allow" && *direction == "in" && *from_port == "any" && any(to);
    // Rules of an application have its name after the direction.
    plain.then(|| LiveRule {
        row: FirewallRule {
            protocol: (*protocol).to_owned(),
            port: (*port).to_owned(),
            from: if any(from) {
                "any".into()
            } else {
                (*from).to_owned()
            },
        },
        ours: more.contains(&COMMENT),
    })
}

/// Returns true if ufw is enabled: `ENABLED=yes` in /etc/ufw/ufw.conf.
pub(super) fn enabled(configuration: &str) -> bool {
    let value = configuration
        .lines()
        .filter_map(|line| line.trim().strip_prefix("ENABLED="))
        .next_back();
    value.is_some_and(|value| value.trim().trim_matches('"').eq_ignore_ascii_case("yes"))
}
