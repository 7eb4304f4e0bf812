//! The quorum check of a rebuild: the machine of a manager never demotes itself, so it keeps its
//! vote until its ghost is removed. Pure: the caller reads the swarm.

use super::{RebuildConsent, RebuildError};
use crate::names::HostName;
use crate::swarm::{SwarmNode, VoterLoss, may_lose};

/// Facts about the swarm and the inventory that decide whether a machine may be destroyed.
#[derive(Debug, Clone, Default)]
pub struct QuorumFacts {
    /// Nodes as a manager lists them; `None` if no manager lists them.
    pub nodes: Option<Vec<SwarmNode>>,
    /// Node ID of the host as its own Engine reports it; `None` if the Engine does not answer.
    pub node_id: Option<String>,
    /// The host's address in the swarm, as the inventory gives it.
    pub address: Option<String>,
    /// True if an Engine of the inventory reports that it is in a swarm.
    pub any_in_swarm: bool,
    /// True if the host is in the group `managers`.
    pub manages: bool,
    /// True if another host is in the group `managers`.
    pub others_manage: bool,
}

/// Consequence of the rebuild for the swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwarmFate {
    /// The swarm continues, or there is none.
    Continues,
    /// The swarm is lost with its only manager, and a new swarm is started.
    StartsAnew,
}

/// Decides whether the machine may be destroyed, and what becomes of the swarm.
///
/// # Errors
/// [`RebuildError::OnlyManager`], [`RebuildError::LosesMajority`] or
/// [`RebuildError::UnknownQuorum`], unless the operator consented to that loss.
pub fn check_quorum(
    host: &HostName,
    facts: &QuorumFacts,
    consent: RebuildConsent,
) -> Result<SwarmFate, RebuildError> {
    let Some(nodes) = &facts.nodes else {
        return without_manager(host, facts, consent);
    };
    let Some(node) = find(nodes, facts).filter(|node| node.manager.is_some()) else {
        return Ok(SwarmFate::Continues);
    };
    if nodes.iter().filter(|node| node.manager.is_some()).count() == 1 {
        return loses_only_manager(host, consent);
    }
    match may_lose(nodes, &node.id, host.as_str(), VoterLoss::Leaving) {
        Err(refusal) if !consent.force => Err(RebuildError::LosesMajority(refusal)),
        _ => Ok(SwarmFate::Continues),
    }
}

/// Decides if no manager answers: either there is no swarm, or this host was its only manager, or
/// the other managers are unreachable.
fn without_manager(
    host: &HostName,
    facts: &QuorumFacts,
    consent: RebuildConsent,
) -> Result<SwarmFate, RebuildError> {
    if facts.others_manage && facts.any_in_swarm && !consent.force {
        return Err(RebuildError::UnknownQuorum(host.clone()));
    }
    if facts.any_in_swarm && facts.manages {
        return loses_only_manager(host, consent);
    }
    Ok(SwarmFate::Continues)
}

fn loses_only_manager(host: &HostName, consent: RebuildConsent) -> Result<SwarmFate, RebuildError> {
    if consent.new_cluster {
        Ok(SwarmFate::StartsAnew)
    } else {
        Err(RebuildError::OnlyManager(host.clone()))
    }
}

/// Finds the host's node: by node ID if its Engine answers, otherwise by the address that it
/// advertises. A node ID that the managers do not list belongs to no node of this swarm.
fn find<'a>(nodes: &'a [SwarmNode], facts: &QuorumFacts) -> Option<&'a SwarmNode> {
    match (&facts.node_id, &facts.address) {
        (Some(id), _) => nodes.iter().find(|node| node.id == *id),
        (None, Some(address)) => nodes.iter().find(|node| node.address == *address),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::swarm::samples::{host, node, voter};

    /// Builds nodes `n1`, `n2`, ... with the addresses `10.0.0.1`, `10.0.0.2`, ...: `r` is a
    /// reachable manager, `u` an unreachable manager, `w` a worker.
    fn nodes(letters: &str) -> Vec<SwarmNode> {
        let node = |(index, letter): (usize, char)| {
            let number = index + 1;
            let node = node(
                &format!("n{number}"),
                &format!("docker0{number}"),
                &format!("10.0.0.{number}"),
            );
            let value = match letter {
                'r' => voter(node, false, "reachable"),
                'u' => voter(node, false, "unreachable"),
                _ => node,
            };
            SwarmNode::read(&value).unwrap()
        };
        letters.chars().enumerate().map(node).collect()
    }

    fn decide(facts: &QuorumFacts, consent: RebuildConsent) -> String {
        match check_quorum(&host("docker01"), facts, consent) {
            Ok(fate) => format!("{fate:?}"),
            Err(RebuildError::OnlyManager(_)) => "only manager".into(),
            Err(RebuildError::LosesMajority(_)) => "majority".into(),
            Err(RebuildError::UnknownQuorum(_)) => "unknown".into(),
            Err(error) => error.to_string(),
        }
    }

    const NONE: RebuildConsent = RebuildConsent {
        force: false,
        new_cluster: false,
        data_empty: false,
    };
    const FORCE: RebuildConsent = RebuildConsent {
        force: true,
        ..NONE
    };
    const NEW: RebuildConsent = RebuildConsent {
        new_cluster: true,
        ..NONE
    };

    #[test]
    fn managers_answer() {
        // The host is the first node.
        for (letters, consent, expected) in [
            ("wr", NONE, "Continues"),
            ("r", NONE, "only manager"),
            ("rw", NONE, "only manager"),
            ("rw", FORCE, "only manager"),
            ("rw", NEW, "StartsAnew"),
            ("rr", NONE, "majority"),
            ("rr", NEW, "majority"),
            ("rr", FORCE, "Continues"),
            ("rrr", NONE, "Continues"),
            ("rru", NONE, "majority"),
            ("urr", NONE, "Continues"),
        ] {
            for by_address in [false, true] {
                let facts = QuorumFacts {
                    nodes: Some(nodes(letters)),
                    node_id: (!by_address).then(|| "n1".into()),
                    address: Some("10.0.0.1".into()),
                    any_in_swarm: true,
                    ..QuorumFacts::default()
                };
                let case = format!("{letters} {consent:?} by address: {by_address}");
                assert_eq!(decide(&facts, consent), expected, "{case}");
            }
        }
    }

    #[test]
    fn host_that_is_no_node_of_the_swarm() {
        for (node_id, address) in [
            (None, None),
            (None, Some("10.0.0.9")),
            // The address belongs to another node meanwhile; the node ID decides.
            (Some("n9"), Some("10.0.0.1")),
        ] {
            let facts = QuorumFacts {
                nodes: Some(nodes("r")),
                node_id: node_id.map(str::to_owned),
                address: address.map(str::to_owned),
                any_in_swarm: true,
                manages: true,
                ..QuorumFacts::default()
            };
            assert_eq!(decide(&facts, NONE), "Continues", "{node_id:?} {address:?}");
        }
    }

    #[test]
    fn no_manager_answers() {
        for (any_in_swarm, manages, others_manage, consent, expected) in [
            (false, true, true, NONE, "Continues"),
            (false, true, false, NEW, "Continues"),
            (true, false, true, NONE, "unknown"),
            (true, true, true, NONE, "unknown"),
            (true, true, true, NEW, "unknown"),
            (true, false, true, FORCE, "Continues"),
            (true, true, true, FORCE, "only manager"),
            (true, true, false, NONE, "only manager"),
            (true, true, false, NEW, "StartsAnew"),
            (true, false, false, NONE, "Continues"),
        ] {
            let facts = QuorumFacts {
                any_in_swarm,
                manages,
                others_manage,
                ..QuorumFacts::default()
            };
            let case = format!("{facts:?} {consent:?}");
            assert_eq!(decide(&facts, consent), expected, "{case}");
        }
    }

    #[test]
    fn messages() {
        let facts = QuorumFacts {
            nodes: Some(nodes("rr")),
            node_id: Some("n1".into()),
            ..QuorumFacts::default()
        };
        let error = check_quorum(&host("docker01"), &facts, NONE).unwrap_err();
        assert_eq!(
            error.to_string(),
            "removing docker01 from the swarm leaves 1 of 2 managers reachable, below the majority of 2; add a manager first \
             (three tolerate the loss of one), bring unreachable managers back, or use --force"
        );
        assert!(
            RebuildError::OnlyManager(host("docker01"))
                .to_string()
                .ends_with("or promote another node to manager first")
        );
    }
}
