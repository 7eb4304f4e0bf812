//! Chooses one exact set of versions for all hosts, before the first of them is changed. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::host_packages::{ENGINE_PACKAGES, FleetPackages, HostPackages};
use crate::kinds::package::compare_versions;
use crate::names::HostName;
use crate::swarm::upstream;

/// Versions by package, for each host.
pub(super) type ChosenVersions = BTreeMap<HostName, BTreeMap<String, String>>;

/// Chooses for each package the highest wanted version that apt offers on every host which has the
/// package. Hosts of different releases get the same version of the Engine with the revision of
/// their release.
///
/// # Errors
/// A sentence about a package for which no such version exists.
pub(super) fn choose(hosts: &FleetPackages) -> Result<ChosenVersions, String> {
    let mut chosen = ChosenVersions::new();
    for name in ENGINE_PACKAGES {
        let having: Vec<(&HostName, &HostPackages)> = hosts
            .iter()
            .filter(|(_, packages)| packages.installed.contains_key(*name))
            .collect();
        if having.is_empty() {
            continue;
        }
        let mut common: Option<BTreeSet<&str>> = None;
        for (host, packages) in &having {
            let fitting: BTreeSet<&str> = packages.fitting(name).map(upstream).collect();
            if fitting.is_empty() {
                return Err(packages.nothing_fits(host, name));
            }
            common = Some(match common {
                None => fitting,
                Some(before) => before.intersection(&fitting).copied().collect(),
            });
        }
        let common = common.unwrap_or_default();
        let highest = common
            .into_iter()
            .max_by(|one, other| compare_versions(one, other));
        let Some(highest) = highest else {
            return Err(nothing_in_common(name, &having));
        };
        for (host, packages) in having {
            let exact = packages
                .fitting(name)
                .find(|version| upstream(version) == highest);
            if let Some(exact) = exact {
                let versions = chosen.entry(host.clone()).or_default();
                versions.insert((*name).to_owned(), exact.to_owned());
            }
        }
    }
    Ok(chosen)
}

impl HostPackages {
    /// Returns the wanted versions of a package that apt offers, highest first.
    fn fitting(&self, name: &str) -> impl Iterator<Item = &str> {
        let wanted = self.wanted.get(name);
        let offered = self.offered.get(name).into_iter().flatten();
        let fits = move |version: &&String| wanted.is_none_or(|wanted| wanted.matches(version));
        offered.filter(fits).map(String::as_str)
    }

    fn nothing_fits(&self, host: &HostName, name: &str) -> String {
        let wanted = self.wanted.get(name);
        let wanted = wanted.map_or_else(String::new, |one| format!(" {}", one.as_str()));
        let offered: Vec<&str> = self
            .offered
            .get(name)
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        let offered = if offered.is_empty() {
            "it knows none; check the sources below /etc/apt with `apt-cache policy`".to_owned()
        } else {
            format!(
                "it offers {}; choose one of them with --engine or in the playbook",
                offered.join(", ")
            )
        };
        format!("apt on {host} has no version{wanted} of {name}: {offered}")
    }
}

fn nothing_in_common(name: &str, having: &[(&HostName, &HostPackages)]) -> String {
    let offers = having.iter().map(|(host, packages)| {
        let highest = packages.fitting(name).next().unwrap_or("nothing");
        format!("{host} offers {highest}")
    });
    let offers: Vec<String> = offers.collect();
    format!(
        "no version of {name} is offered on all hosts: {}; give them the same repository, or upgrade them apart with --limit",
        offers.join(", ")
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::kinds::package::VersionPattern;

    fn host(
        installed: &[(&str, &str)],
        offered: &[(&str, &[&str])],
        wanted: &[(&str, &str)],
    ) -> HostPackages {
        let owned = |text: &&str| (*text).to_owned();
        HostPackages {
            installed: installed
                .iter()
                .map(|(name, version)| (owned(name), owned(version)))
                .collect(),
            offered: offered
                .iter()
                .map(|(name, versions)| (owned(name), versions.iter().map(owned).collect()))
                .collect(),
            wanted: wanted
                .iter()
                .map(|(name, pattern)| {
                    (
                        owned(name),
                        VersionPattern::try_from(owned(pattern)).unwrap(),
                    )
                })
                .collect(),
            ..HostPackages::default()
        }
    }

    fn fleet<const N: usize>(hosts: [(&str, HostPackages); N]) -> FleetPackages {
        hosts
            .into_iter()
            .map(|(name, host)| (HostName::new(name), host))
            .collect()
    }

    const TRIXIE: &[&str] = &[
        "5:29.1.0-1~debian.13~trixie",
        "5:28.5.2-1~debian.13~trixie",
        "5:28.5.1-1~debian.13~trixie",
    ];
    const BOOKWORM: &[&str] = &[
        "5:28.5.2-1~debian.12~bookworm",
        "5:28.5.1-1~debian.12~bookworm",
    ];

    #[test]
    fn one_version_for_all_releases() {
        let installed: &[(&str, &str)] = &[("docker-ce", "5:26.1.5-1~x")];
        let hosts = fleet([
            ("a", host(installed, &[("docker-ce", TRIXIE)], &[])),
            ("b", host(installed, &[("docker-ce", BOOKWORM)], &[])),
        ]);
        let chosen = choose(&hosts).unwrap();
        assert_eq!(chosen[&HostName::new("a")]["docker-ce"], TRIXIE[1]);
        assert_eq!(chosen[&HostName::new("b")]["docker-ce"], BOOKWORM[0]);
    }

    #[test]
    fn patterns_limit_the_choice_and_each_package_has_its_own() {
        let installed: &[(&str, &str)] =
            &[("docker-ce", "5:26.1.5-1~x"), ("containerd.io", "1.7.1-1")];
        let offered: &[(&str, &[&str])] = &[
            ("docker-ce", TRIXIE),
            ("containerd.io", &["2.0.1-1", "1.7.9-1"]),
        ];
        let wanted: &[(&str, &str)] = &[("docker-ce", "28.5.1"), ("containerd.io", "1.*")];
        let chosen = choose(&fleet([("a", host(installed, offered, wanted))])).unwrap();
        let versions: Vec<&str> = chosen[&HostName::new("a")]
            .values()
            .map(String::as_str)
            .collect();
        assert_eq!(versions, ["1.7.9-1", TRIXIE[2]]);
    }

    #[test]
    fn a_version_that_is_not_there_names_host_package_and_offers() {
        let installed: &[(&str, &str)] = &[("docker-ce", "5:26.1.5-1~x")];
        let missing = |offered: &[&str]| {
            let offered = [("docker-ce", offered)];
            choose(&fleet([(
                "a",
                host(installed, &offered, &[("docker-ce", "30.*")]),
            )]))
            .unwrap_err()
        };
        assert_eq!(
            missing(&["5:28.5.2-1"]),
            "apt on a has no version 30.* of docker-ce: it offers 5:28.5.2-1; choose one of them with --engine or in the playbook"
        );
        assert!(missing(&[]).contains("it knows none"));
        let apart = choose(&fleet([
            ("a", host(installed, &[("docker-ce", &["5:28.5.2-1"])], &[])),
            ("b", host(installed, &[("docker-ce", &["5:28.5.1-1"])], &[])),
        ]));
        assert_eq!(
            apart.unwrap_err(),
            "no version of docker-ce is offered on all hosts: a offers 5:28.5.2-1, b offers 5:28.5.1-1; give them the same repository, \
             or upgrade them apart with --limit"
        );
    }
}
