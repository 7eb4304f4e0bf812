//! The machines that a drill stops, and the expected reaction of the swarm. Pure.

use crate::names::HostName;
use crate::swarm::NodeRole;

/// Kind of drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// The leader is lost.
    ManagerLoss,
    /// Two managers are lost, the leader among them.
    TwoManagers,
    /// A worker is lost.
    WorkerLoss,
    /// Two workers are lost.
    TwoWorkers,
    /// The host in front of the cluster is lost.
    LoadBalancerHost,
}

/// A host as a node of the swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrillNode {
    /// Name in the inventory.
    pub host: HostName,
    /// Role of the node.
    pub role: NodeRole,
    /// True if the node is the leader.
    pub leader: bool,
    /// True if the host is in the group `load_balancers`.
    pub balances: bool,
}

/// Machines to stop, and the expected consequences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrillPlan {
    /// Hosts that are stopped, all at once.
    pub lost: Vec<HostName>,
    /// Number of managers before the drill, and of managers that keep running.
    pub managers: (usize, usize),
    /// Expected consequences, as phrases for a list.
    pub expected: Vec<String>,
}

impl DrillPlan {
    /// Returns true if the remaining managers are a majority.
    #[must_use]
    pub fn keeps_majority(&self) -> bool {
        self.managers.1 > self.managers.0 / 2
    }
}

/// Chooses the machines to stop. Hosts in `chosen` come first, then the hosts that the scenario
/// prefers.
///
/// # Errors
/// A message if the swarm has too few of the machines that the scenario needs, a chosen host is not
/// one of them, or no machine would keep running.
pub fn plan_drill(
    scenario: Scenario,
    members: &[DrillNode],
    chosen: &[HostName],
) -> Result<DrillPlan, String> {
    // The leader first: its loss requires an election.
    let of_role = |role: NodeRole| {
        let mut found: Vec<&DrillNode> = members
            .iter()
            .filter(|member| member.role == role)
            .collect();
        found.sort_by_key(|member| !member.leader);
        found
    };
    let (candidates, wanted, what) = match scenario {
        Scenario::ManagerLoss => (of_role(NodeRole::Manager), 1, "a manager"),
        Scenario::TwoManagers => (of_role(NodeRole::Manager), 2, "two managers"),
        Scenario::WorkerLoss => (of_role(NodeRole::Worker), 1, "a worker"),
        Scenario::TwoWorkers => (of_role(NodeRole::Worker), 2, "two workers"),
        Scenario::LoadBalancerHost => {
            let any = |member: &&DrillNode| member.balances || !chosen.is_empty();
            (
                members.iter().filter(any).collect(),
                1,
                "a host of the group `load_balancers` (or --host)",
            )
        }
    };
    let is_candidate = |host: &HostName| candidates.iter().any(|member| member.host == *host);
    if let Some(stranger) = chosen.iter().find(|host| !is_candidate(host)) {
        return Err(format!(
            "{stranger} is not what this drill stops: it is about {what}"
        ));
    }
    let mut lost: Vec<HostName> = chosen.to_vec();
    lost.extend(
        candidates
            .iter()
            .map(|member| member.host.clone())
            .filter(|host| !chosen.contains(host)),
    );
    lost.truncate(wanted);
    if lost.len() < wanted {
        return Err(format!(
            "the drill is about {what}, and the swarm has {} of them",
            lost.len()
        ));
    }
    if lost.len() == members.len() {
        return Err("no machine would be left to observe the swarm".into());
    }
    let managers = of_role(NodeRole::Manager);
    let left = managers
        .iter()
        .filter(|member| !lost.contains(&member.host))
        .count();
    let mut plan = DrillPlan {
        lost,
        managers: (managers.len(), left),
        expected: Vec::new(),
    };
    plan.expected = expected(
        scenario,
        &plan,
        managers
            .iter()
            .any(|member| member.leader && plan.lost.contains(&member.host)),
    );
    Ok(plan)
}

fn expected(scenario: Scenario, plan: &DrillPlan, leader_lost: bool) -> Vec<String> {
    let (before, left) = plan.managers;
    let mut expected = Vec::new();
    if plan.keeps_majority() {
        if leader_lost {
            expected.push(format!(
                "{left} of {before} managers are a majority: they choose a new leader"
            ));
        } else {
            expected.push("the swarm keeps its leader and accepts changes".into());
        }
        expected
            .push("the managers call the lost nodes down, and start their tasks on others".into());
    } else {
        expected.push(format!(
            "{left} of {before} managers are no majority: no leader, nothing can be changed"
        ));
        expected.push("tasks that run go on; those of the lost machines are not replaced".into());
    }
    expected.push("the other machines answer every request at the published port".into());
    if scenario == Scenario::LoadBalancerHost {
        expected.push(
            "clients that know only the lost machine's address get no answer until it is back"
                .into(),
        );
    }
    expected.push("when the machines are back, the cluster is whole without anybody's help".into());
    expected
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn members(managers: usize, workers: usize) -> Vec<DrillNode> {
        let member = |index: usize, role| DrillNode {
            host: HostName::new(format!(
                "{}{index}",
                if role == NodeRole::Manager { "m" } else { "w" }
            )),
            role,
            leader: role == NodeRole::Manager && index == managers,
            balances: role == NodeRole::Worker && index == 1,
        };
        let of = |count, role| (1..=count).map(move |index| member(index, role));
        of(managers, NodeRole::Manager)
            .chain(of(workers, NodeRole::Worker))
            .collect()
    }

    fn lost(
        scenario: Scenario,
        members: &[DrillNode],
        chosen: &[&str],
    ) -> Result<(String, bool), String> {
        let chosen: Vec<HostName> = chosen.iter().map(HostName::new).collect();
        let plan = plan_drill(scenario, members, &chosen)?;
        let names: Vec<&str> = plan.lost.iter().map(HostName::as_str).collect();
        Ok((names.join(" "), plan.keeps_majority()))
    }

    #[test]
    fn chosen_machines_and_the_majority() {
        let five = members(3, 2);
        assert_eq!(
            lost(Scenario::ManagerLoss, &five, &[]),
            Ok(("m3".into(), true)),
            "the leader"
        );
        assert_eq!(
            lost(Scenario::ManagerLoss, &five, &["m1"]),
            Ok(("m1".into(), true))
        );
        assert_eq!(
            lost(Scenario::TwoManagers, &five, &[]),
            Ok(("m3 m1".into(), false))
        );
        assert_eq!(
            lost(Scenario::TwoManagers, &members(5, 0), &[]),
            Ok(("m5 m1".into(), true))
        );
        assert_eq!(
            lost(Scenario::WorkerLoss, &five, &[]),
            Ok(("w1".into(), true))
        );
        assert_eq!(
            lost(Scenario::TwoWorkers, &five, &[]),
            Ok(("w1 w2".into(), true))
        );
        assert_eq!(
            lost(Scenario::LoadBalancerHost, &five, &[]),
            Ok(("w1".into(), true))
        );
        assert_eq!(
            lost(Scenario::LoadBalancerHost, &five, &["m1"]),
            Ok(("m1".into(), true))
        );
        assert_eq!(
            lost(Scenario::ManagerLoss, &members(1, 2), &[]),
            Ok(("m1".into(), false))
        );
    }

    #[test]
    fn impossible_drills() {
        for (scenario, members, chosen, why) in [
            (
                Scenario::TwoWorkers,
                members(3, 1),
                vec![],
                "the drill is about two workers, and the swarm has 1 of them",
            ),
            (
                Scenario::WorkerLoss,
                members(3, 1),
                vec!["m1"],
                "m1 is not what this drill stops: it is about a worker",
            ),
            (
                Scenario::TwoManagers,
                members(2, 0),
                vec![],
                "no machine would be left to observe the swarm",
            ),
        ] {
            assert_eq!(lost(scenario, &members, &chosen), Err(why.to_owned()));
        }
    }

    #[test]
    fn expectations() {
        let sentences = |scenario| {
            plan_drill(scenario, &members(3, 2), &[])
                .unwrap()
                .expected
                .join("\n")
        };
        assert!(sentences(Scenario::ManagerLoss).contains("choose a new leader"));
        assert!(sentences(Scenario::TwoManagers).contains("no majority"));
        assert!(
            sentences(Scenario::LoadBalancerHost).contains("know only the lost machine's address")
        );
    }
}
