//! The order of hosts. Each group of Ansible has an order of its own, and a skep inventory has one
//! order for all hosts. The first manager starts the swarm, so the order of each group is kept
//! wherever the groups do not contradict each other.

use indexmap::{IndexMap, IndexSet};

/// Result of [`order`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HostOrder {
    /// All hosts.
    pub(super) hosts: Vec<String>,
    /// Groups whose order could not be kept.
    pub(super) broken: Vec<String>,
}

/// Orders hosts so that every list of a group is in order. `mentioned` contains all hosts in the
/// order in which they are mentioned, which decides where no list does. If lists contradict each
/// other, those of `strong` groups are kept.
pub(super) fn order(
    mentioned: &[String],
    lists: &IndexMap<&str, &[String]>,
    is_strong: impl Fn(&str) -> bool,
) -> HostOrder {
    let mut sorted: Vec<(&&str, &&[String])> = lists.iter().collect();
    sorted.sort_by_key(|(group, _)| !is_strong(group));
    // Edges from a host to the hosts that must follow it.
    let mut followers: IndexMap<&str, IndexSet<&str>> = IndexMap::new();
    let mut broken = Vec::new();
    for (group, list) in sorted {
        let mut is_kept = true;
        for pair in list.windows(2) {
            let [before, after] = pair else { continue };
            if before == after || reaches(&followers, after, before) {
                is_kept = false;
            } else {
                followers.entry(before).or_default().insert(after);
            }
        }
        if !is_kept {
            broken.push((*group).to_owned());
        }
    }
    let mut waiting: IndexMap<&str, usize> =
        mentioned.iter().map(|host| (host.as_str(), 0)).collect();
    for after in followers.values().flatten() {
        *waiting.entry(after).or_default() += 1;
    }
    let mut hosts = Vec::new();
    while let Some(at) = waiting.values().position(|before| *before == 0) {
        let Some((host, _)) = waiting.shift_remove_index(at) else {
            break;
        };
        hosts.push(host.to_owned());
        for after in followers.get(host).into_iter().flatten() {
            if let Some(before) = waiting.get_mut(after) {
                *before -= 1;
            }
        }
    }
    HostOrder { hosts, broken }
}

/// Returns true if a path of edges leads from one host to another.
fn reaches(followers: &IndexMap<&str, IndexSet<&str>>, from: &str, to: &str) -> bool {
    let mut next = vec![from];
    let mut seen = IndexSet::new();
    while let Some(host) = next.pop() {
        if host == to {
            return true;
        }
        if seen.insert(host) {
            next.extend(followers.get(host).into_iter().flatten().copied());
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn ordered(mentioned: &str, lists: &[(&str, &str)]) -> (String, Vec<String>) {
        let lists: Vec<(&str, Vec<String>)> = lists
            .iter()
            .map(|(group, hosts)| (*group, names(hosts)))
            .collect();
        let lists = lists
            .iter()
            .map(|(group, hosts)| (*group, hosts.as_slice()))
            .collect();
        let order = order(&names(mentioned), &lists, |group| group == "managers");
        (order.hosts.join(" "), order.broken)
    }

    #[test]
    fn the_order_of_each_group_is_kept() {
        let lists = [("app", "m2"), ("db", "m3"), ("managers", "m1 m2 m3")];
        assert_eq!(ordered("m2 m3 m1", &lists), ("m1 m2 m3".into(), vec![]));
        assert_eq!(ordered("a b c", &[("x", "c a")]), ("b c a".into(), vec![]));
    }

    #[test]
    fn managers_are_in_order_even_if_another_group_contradicts() {
        let lists = [("app", "m2 m1 w1"), ("managers", "m1 m2")];
        assert_eq!(
            ordered("m2 m1 w1", &lists),
            ("m1 m2 w1".into(), vec!["app".into()])
        );
    }
}
