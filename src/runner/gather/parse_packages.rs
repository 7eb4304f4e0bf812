//! Parses the output of apt: versions that it offers, the actions of a simulation, and updates.

use std::collections::HashSet;

use crate::model::{AptAction, AptSimulation, PackageUpdate};

/// Reads the output of `apt-cache madison`: `name | version | source`.
pub(super) fn versions(text: &str) -> Vec<String> {
    let mut seen = HashSet::new();
    let all = text
        .lines()
        .filter_map(|line| line.split('|').nth(1))
        .map(str::trim);
    all.filter(|version| seen.insert(*version))
        .map(str::to_owned)
        .collect()
}

/// apt-get(8) with --simulate: `Inst name [old] (new origin [arch])`, `Remv name [old]`, and `E:`
/// lines for its reasons.
pub(super) fn simulation(text: &str, status: i32) -> AptSimulation {
    if status != 0 {
        let mut reasons: Vec<String> = text
            .lines()
            .filter(|line| line.starts_with("E:") || line.starts_with(' '))
            // apt also tries a name with a dot as a pattern, and says so: noise beside "unable to
            // locate".
            .filter(|line| !line.contains("Couldn't find any package by"))
            .map(|line| line.trim_start_matches("E:").trim().to_owned())
            .collect();
        if reasons.is_empty() {
            reasons.push(format!("apt-get ended with status {status}"));
        }
        return AptSimulation::Impossible(reasons);
    }
    AptSimulation::Actions(text.lines().filter_map(apt_action).collect())
}

/// Reads the simulation of an upgrade. Packages that are new come along with one that is not.
pub(super) fn updates(text: &str) -> Vec<PackageUpdate> {
    text.lines().filter_map(package_update).collect()
}

/// Reads a line of an upgrade's simulation: `Inst name [old] (new origin, origin [arch])`. The
/// origin of a security update is `Debian-Security:13/stable-security` or
/// `Ubuntu:24.04/noble-security`.
fn package_update(line: &str) -> Option<PackageUpdate> {
    let AptAction::Install {
        name,
        from: Some(from),
        to,
    } = apt_action(line)?
    else {
        return None;
    };
    let origins = line.split_once('(')?.1.split('[').next()?;
    Some(PackageUpdate {
        name,
        from,
        to,
        is_security: origins.to_ascii_lowercase().contains("security"),
    })
}

fn apt_action(line: &str) -> Option<AptAction> {
    let (verb, rest) = line.split_once(' ')?;
    let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    // A name of a foreign architecture carries it: `libc6:i386`.
    let name = name.split(':').next().unwrap_or(name).to_owned();
    let from = rest
        .strip_prefix('[')
        .and_then(|rest| rest.split(']').next())
        .map(str::to_owned);
    match verb {
        "Inst" => {
            let to = rest.split_once('(')?.1.split([' ', ')']).next()?.to_owned();
            Some(AptAction::Install { name, from, to })
        }
        "Remv" | "Purg" => Some(AptAction::Remove {
            name,
            from: from.unwrap_or_default(),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_of_a_distribution_and_of_its_security_archive() {
        let text = "Inst libc6 [2.36-9+deb12u1] (2.36-9+deb12u3 Debian-Security:12/stable-security [amd64]) [libc-bin:amd64 ]\n\
                    Inst base-files [12.4] (12.4+deb12u2 Debian:12.2/stable [amd64])\n\
                    Inst openssl [3.0.2-0ubuntu1] (3.0.2-0ubuntu2 Ubuntu:22.04/jammy-updates, Ubuntu:22.04/jammy-security [amd64])\n\
                    Inst linux-image-6.1.0-9-amd64 (6.1.2-1 Debian-Security:12/stable-security [amd64])\n\
                    Conf libc6 (2.36-9+deb12u3 Debian-Security:12/stable-security [amd64])\n\
                    Remv old [1.0]\n";
        let short = |update: PackageUpdate| {
            format!(
                "{} {} {} {}",
                update.name, update.from, update.to, update.is_security
            )
        };
        let updates: Vec<String> = updates(text).into_iter().map(short).collect();
        assert_eq!(
            updates,
            [
                "libc6 2.36-9+deb12u1 2.36-9+deb12u3 true",
                "base-files 12.4 12.4+deb12u2 false",
                "openssl 3.0.2-0ubuntu1 3.0.2-0ubuntu2 true",
            ]
        );
    }
}
