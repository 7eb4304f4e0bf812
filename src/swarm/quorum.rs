//! Arithmetic of the voters. A swarm of N managers needs N/2 + 1 of them reachable to change
//! anything at all (Docker's "Administer and maintain a swarm"); no change made by skep may let it
//! fall below that.

use super::SwarmNode;
use crate::model::Refusal;

/// The voters of a swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voters {
    /// Number of managers, reachable or not.
    pub total: usize,
    /// Number of managers that the other managers can reach.
    pub reachable: usize,
    /// Node ID of the leader.
    pub leader: Option<String>,
}

/// Effect of a restart on a manager of an autolocked swarm.
pub const STAYS_LOCKED: &str = "stays locked until `docker swarm unlock` is run on it";
/// Ways to restart a manager of an autolocked swarm.
const UNLOCK_HINT: &str = "turn autolock off for this run (`docker swarm update --autolock=false` on a manager) and on again after it; or use \
     --force with the unlock key at hand (`docker swarm unlock-key`), and unlock each manager while skep waits for it";

/// Way in which a manager is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoterLoss {
    /// The Engine restarts: the manager still counts as a voter while it is away.
    Restart,
    /// The manager becomes a worker: there is one voter fewer.
    Demotion,
    /// The manager leaves without being demoted: it counts as a voter for ever.
    Leaving,
    /// The Engine restarts in an autolocked swarm: the manager still counts as a voter, and is away
    /// until somebody gives it the unlock key.
    Lock,
}

/// A loss that the swarm survives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedLoss {
    /// Consequence to report before the loss; `None` when the node does not vote.
    pub note: Option<String>,
}

impl Voters {
    /// Counts the voters among the nodes.
    #[must_use]
    pub fn count(nodes: &[SwarmNode]) -> Self {
        let managers = nodes.iter().filter(|node| node.manager.is_some());
        Self {
            total: managers.clone().count(),
            reachable: managers
                .clone()
                .filter(|node| node.is_reachable_manager())
                .count(),
            leader: managers
                .clone()
                .find(|node| node.manager.as_ref().is_some_and(|status| status.leader))
                .map(|node| node.id.clone()),
        }
    }

    /// Returns the number of voters that must agree.
    #[must_use]
    pub fn majority(&self) -> usize {
        self.total / 2 + 1
    }

    /// Returns true if the swarm can currently decide anything.
    #[must_use]
    pub fn has_majority(&self) -> bool {
        self.total > 0 && self.reachable >= self.majority()
    }
}

/// Checks whether the swarm survives the loss of a node as a manager. Messages call the node
/// `name`.
///
/// # Errors
/// A [`Refusal`] with the numbers of voters before and after.
pub fn may_lose(
    nodes: &[SwarmNode],
    node_id: &str,
    name: &str,
    loss: VoterLoss,
) -> Result<AllowedLoss, Refusal> {
    let before = Voters::count(nodes);
    let Some(node) = nodes
        .iter()
        .find(|node| node.id == node_id && node.manager.is_some())
    else {
        return Ok(AllowedLoss { note: None });
    };
    let act = match loss {
        VoterLoss::Restart => format!("restarting the Engine of {name}"),
        VoterLoss::Demotion => format!("demoting {name}"),
        VoterLoss::Leaving => format!("removing {name} from the swarm"),
        VoterLoss::Lock => format!("restarting the Engine of {name}, which {STAYS_LOCKED},"),
    };
    if before.total == 1 {
        return match loss {
            VoterLoss::Restart => Ok(AllowedLoss {
                note: Some(format!(
                    "{act} stops the only manager for a while: running services continue, but the swarm cannot be changed"
                )),
            }),
            VoterLoss::Demotion | VoterLoss::Leaving => Err(Refusal {
                why: format!("{act} would remove the only manager, and the swarm with it"),
                hint: "promote another node to manager first".into(),
            }),
            VoterLoss::Lock => Err(Refusal {
                why: format!("{act} takes the only manager away"),
                hint: UNLOCK_HINT.into(),
            }),
        };
    }
    let after = Voters {
        total: if loss == VoterLoss::Demotion {
            before.total - 1
        } else {
            before.total
        },
        reachable: before.reachable - usize::from(node.is_reachable_manager()),
        leader: None,
    };
    let counts = format!(
        "leaves {} of {} managers reachable",
        after.reachable, after.total
    );
    if !before.has_majority() {
        return Err(Refusal {
            why: format!(
                "the swarm has no majority now ({} of {} managers reachable), and {act} {counts}",
                before.reachable, before.total
            ),
            hint: "bring the unreachable managers back first".into(),
        });
    }
    if !after.has_majority() {
        return Err(Refusal {
            why: format!("{act} {counts}, below the majority of {}", after.majority()),
            hint: "add a manager first (three tolerate the loss of one), bring unreachable managers back, or use --force"
                .into(),
        });
    }
    if loss == VoterLoss::Lock {
        return Err(Refusal {
            why: format!("{act} {counts} until then"),
            hint: UNLOCK_HINT.into(),
        });
    }
    let alone = if after.total == 1 {
        "; the remaining manager must not be lost"
    } else {
        ""
    };
    Ok(AllowedLoss {
        note: Some(format!(
            "{act} {counts}, the majority is {}{alone}",
            after.majority()
        )),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use crate::swarm::samples::{node, voter};

    /// Builds nodes: `r` is a reachable manager, `u` an unreachable manager, `w` a worker; the
    /// first reachable manager leads.
    fn nodes(letters: &str) -> Vec<SwarmNode> {
        let leader = letters.find('r');
        let node = |(index, letter): (usize, char)| {
            let node = node(&format!("n{index}"), &format!("docker{index}"), "10.0.0.1");
            let value = match letter {
                'r' => voter(node, leader == Some(index), "reachable"),
                'u' => voter(node, false, "unreachable"),
                _ => node,
            };
            SwarmNode::read(&value).unwrap()
        };
        letters.chars().enumerate().map(node).collect()
    }

    #[test]
    fn majority_of_voters() {
        for (letters, majority, has) in [
            ("r", 1, true),
            ("rr", 2, true),
            ("ru", 2, false),
            ("rru", 2, true),
            ("rrruu", 3, true),
        ] {
            let voters = Voters::count(&nodes(letters));
            assert_eq!(
                (voters.majority(), voters.has_majority()),
                (majority, has),
                "{letters}"
            );
        }
        assert_eq!(Voters::count(&nodes("wr")).leader.as_deref(), Some("n1"));
    }

    #[test]
    fn losses_of_the_majority_are_refused() {
        use VoterLoss::{Demotion, Leaving, Restart};
        // Each case loses the first node.
        for (letters, loss, allowed) in [
            ("wr", Restart, true),
            ("wr", Demotion, true),
            ("r", Restart, true),
            ("r", Demotion, false),
            ("r", Leaving, false),
            ("rr", Restart, false),
            ("rr", Demotion, true),
            ("rr", Leaving, false),
            ("rrr", Restart, true),
            ("rrr", Demotion, true),
            ("rru", Restart, false),
            ("rru", Demotion, false),
            ("urr", Restart, true),
            ("urr", Demotion, true),
            ("rrrru", Restart, true),
            ("rrruu", Restart, false),
            ("ruu", Demotion, false),
        ] {
            let verdict = may_lose(&nodes(letters), "n0", "docker01", loss);
            assert_eq!(verdict.is_ok(), allowed, "{letters} {loss:?}: {verdict:?}");
        }
    }

    #[test]
    fn restart_in_an_autolocked_swarm_needs_consent() {
        for (letters, counts) in [
            ("r", "takes the only manager away"),
            (
                "rr",
                "leaves 1 of 2 managers reachable, below the majority of 2",
            ),
            ("rrr", "leaves 2 of 3 managers reachable until then"),
            ("ruu", "the swarm has no majority now"),
        ] {
            let refusal = may_lose(&nodes(letters), "n0", "docker01", VoterLoss::Lock).unwrap_err();
            assert!(
                refusal
                    .why
                    .contains("stays locked until `docker swarm unlock`")
                    && refusal.why.contains(counts),
                "{}",
                refusal.why
            );
        }
        let worker = may_lose(&nodes("wr"), "n0", "docker01", VoterLoss::Lock);
        assert_eq!(worker, Ok(AllowedLoss { note: None }));
    }

    #[test]
    fn messages_contain_the_voters_before_and_after() {
        let refusal = may_lose(&nodes("rr"), "n0", "docker01", VoterLoss::Restart).unwrap_err();
        let why = "restarting the Engine of docker01 leaves 1 of 2 managers reachable, below the majority of 2";
        assert_eq!(refusal.why, why);
        let note = may_lose(&nodes("rrr"), "n0", "docker01", VoterLoss::Demotion)
            .unwrap()
            .note
            .unwrap();
        assert_eq!(
            note,
            "demoting docker01 leaves 2 of 2 managers reachable, the majority is 2"
        );
        assert_eq!(
            may_lose(&nodes("wr"), "n0", "docker01", VoterLoss::Restart)
                .unwrap()
                .note,
            None
        );
    }
}
