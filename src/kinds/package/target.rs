//! The packages of one apt transaction, as values. This file renders them to arguments and to the
//! summary of the step; no other code reads or builds these texts.

use super::{PackageName, VersionPattern};

/// A package that apt installs or removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PackageTarget {
    /// Install the version that apt prefers.
    Preferred {
        /// Name of the package.
        name: PackageName,
    },
    /// Install this version.
    Version {
        /// Name of the package.
        name: PackageName,
        /// Full version, as apt lists it.
        version: String,
    },
    /// Install the first version that matches the pattern. The step selects it, because apt knows
    /// no such version before it fetches the package lists.
    Matching {
        /// Name of the package.
        name: PackageName,
        /// Pattern of the version.
        pattern: VersionPattern,
    },
    /// Remove the package.
    Remove {
        /// Name of the package.
        name: PackageName,
    },
}

impl PackageTarget {
    /// Returns the argument of `apt-get install` (apt-get(8): `name`, `name=version`, `name-`). For
    /// [`PackageTarget::Matching`] it is `name?pattern`, which the script of the install step
    /// replaces; neither a name nor a pattern contains `?`.
    fn argument(&self) -> String {
        match self {
            Self::Preferred { name } => name.0.clone(),
            Self::Version { name, version } => format!("{}={version}", name.0),
            Self::Matching { name, pattern } => format!("{}?{}", name.0, pattern.as_str()),
            Self::Remove { name } => format!("{}-", name.0),
        }
    }

    /// Returns the target's part of the step's summary.
    fn summary(&self) -> String {
        match self {
            Self::Preferred { name } => format!("install {}", name.0),
            Self::Version { name, version } => format!("install {} {version}", name.0),
            Self::Matching { name, pattern } => format!("install {} {}", name.0, pattern.as_str()),
            Self::Remove { name } => format!("remove {}", name.0),
        }
    }
}

/// One run of `apt-get install`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AptTransaction {
    /// Options that change the result, for the simulation and the installation alike.
    pub(super) options: Vec<String>,
    /// Packages that apt installs and removes.
    pub(super) targets: Vec<PackageTarget>,
}

impl AptTransaction {
    /// Returns the arguments of `apt-get install`: the options, then the packages.
    pub(super) fn arguments(&self) -> Vec<String> {
        let targets = self.targets.iter().map(PackageTarget::argument);
        self.options.iter().cloned().chain(targets).collect()
    }

    /// Returns the summary of the step: `install docker-ce 28.*, remove docker.io`.
    pub(super) fn summary(&self) -> String {
        let parts: Vec<String> = self.targets.iter().map(PackageTarget::summary).collect();
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_target_has_its_argument_and_its_summary() {
        let name = |text: &str| PackageName::try_from(text.to_owned()).unwrap();
        let cases = [
            (
                PackageTarget::Preferred { name: name("g++") },
                "g++",
                "install g++",
            ),
            (
                PackageTarget::Version {
                    name: name("docker-ce"),
                    version: "5:28.3.1-1~u".into(),
                },
                "docker-ce=5:28.3.1-1~u",
                "install docker-ce 5:28.3.1-1~u",
            ),
            (
                PackageTarget::Matching {
                    name: name("docker-ce"),
                    pattern: VersionPattern::try_from("28.*".to_owned()).unwrap(),
                },
                "docker-ce?28.*",
                "install docker-ce 28.*",
            ),
            (
                PackageTarget::Remove {
                    name: name("docker.io"),
                },
                "docker.io-",
                "remove docker.io",
            ),
        ];
        for (target, argument, summary) in &cases {
            assert_eq!(
                (target.argument().as_str(), target.summary().as_str()),
                (*argument, *summary)
            );
        }
        let transaction = AptTransaction {
            options: vec!["--allow-downgrades".into()],
            targets: cases.map(|(target, ..)| target).to_vec(),
        };
        assert_eq!(
            transaction.arguments(),
            [
                "--allow-downgrades",
                "g++",
                "docker-ce=5:28.3.1-1~u",
                "docker-ce?28.*",
                "docker.io-"
            ]
        );
        assert_eq!(
            transaction.summary(),
            "install g++, install docker-ce 5:28.3.1-1~u, install docker-ce 28.*, remove docker.io"
        );
    }
}
