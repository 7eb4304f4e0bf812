//! Rows of ufw as it keeps them itself: lines `### tuple ###` in /etc/ufw/user.rules and user6.rules. They are read there, since `ufw status`
//! takes a lock, which is a file.

/// A row that lets packets in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FirewallRule {
    /// `tcp`, `udp` or `any`.
    pub(super) protocol: String,
    /// Port on this host: a number, a range or a list.
    pub(super) port: String,
    /// Address or network that may; `any` for everybody.
    pub(super) from: String,
}

/// A row that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LiveRule {
    pub(super) row: FirewallRule,
    /// Whether it carries our comment.
    pub(super) ours: bool,
}

/// The comment of our rows, as ufw keeps it: in hexadecimal.
const COMMENT: &str = "comment=736b6570";

/// The rows of a file that allow something from somewhere to a port of this host, on every interface. Others are nobody's business here.
pub(super) fn read(file: &str) -> Vec<LiveRule> {
    file.lines()
        .filter_map(|line| line.strip_prefix("### tuple ### "))
        .filter_map(one)
        .collect()
}

/// `allow tcp 2377 0.0.0.0/0 any 192.168.56.12 in comment=...`: action, protocol, port and address here, port and address there.
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
    // An application's rows have its name behind the direction.
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

/// Whether ufw is to run: `ENABLED=yes` in /etc/ufw/ufw.conf.
pub(super) fn enabled(configuration: &str) -> bool {
    let value = configuration
        .lines()
        .filter_map(|line| line.trim().strip_prefix("ENABLED="))
        .next_back();
    value.is_some_and(|value| value.trim().trim_matches('"').eq_ignore_ascii_case("yes"))
}
