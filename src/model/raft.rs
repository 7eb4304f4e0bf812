//! Position of a manager in the log of the swarm.

/// Last entry in a manager's Raft log, as the manager announced it when it last asked for votes.
/// Of two managers, the one with the higher position knows more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RaftPosition {
    /// Term of the entry.
    pub term: u64,
    /// Index of the entry.
    pub index: u64,
}

impl RaftPosition {
    /// Reads a line of dockerd's journal: `... [logterm: 2, index: 31] sent MsgVote request to
    /// ...`.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.split_once("[logterm: ")?;
        let (term, rest) = rest.split_once(", index: ")?;
        let end = rest.find(|one: char| !one.is_ascii_digit())?;
        Some(Self {
            term: term.parse().ok()?,
            index: rest[..end].parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_in_the_journal() {
        let line = r#"time="2026-11-30T19:06:17Z" level=info msg="d40f [logterm: 2, index: 31] sent MsgVote request to ce4d at term 3" module=raft"#;
        let position = RaftPosition { term: 2, index: 31 };
        assert_eq!(RaftPosition::parse(line), Some(position));
        assert_eq!(RaftPosition::parse("[logterm: x, index: 31] "), None);
        assert_eq!(RaftPosition::parse("raft.node: elected leader"), None);
        assert!(position > RaftPosition { term: 2, index: 30 });
        assert!(position > RaftPosition { term: 1, index: 99 });
    }
}
