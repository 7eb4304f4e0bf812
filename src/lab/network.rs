//! The internal bridge network of an environment. Its subnet is chosen from a range, and Docker
//! stores it.
//! `--internal` gives nodes no route to the outside: they reach this machine only.

use std::net::Ipv4Addr;

use super::docker::{LABEL_LAB, LABEL_STATE, docker, docker_finish, inspect};
use super::error::LabError;
use super::name::LabName;
use super::state::StateDirectory;

/// Third octet of the /24 subnets, tried in order.
const CANDIDATES: std::ops::RangeInclusive<u8> = 10..=250;

/// An existing network of an environment.
#[derive(Debug, Clone)]
pub(crate) struct LabNetwork {
    /// Name of the network in Docker.
    pub(crate) name: String,
    /// Address of the bridge itself.
    pub(crate) gateway: Ipv4Addr,
}

impl LabNetwork {
    /// Returns the address of the node with this number, counted from 1.
    pub(crate) fn address(&self, number: u8) -> Ipv4Addr {
        let [a, b, c, _] = self.gateway.octets();
        Ipv4Addr::new(a, b, c, 10_u8.saturating_add(number))
    }
}

/// Returns the name of an environment's network.
pub(crate) fn name(lab: &LabName) -> String {
    format!("skep-{lab}")
}

/// Returns the environment's network, and creates it if it is missing.
pub(crate) fn ensure(lab: &LabName, state: &StateDirectory) -> Result<LabNetwork, LabError> {
    let name = name(lab);
    check_owner(lab, state)?;
    let found = inspect("network", &name, "{{(index .IPAM.Config 0).Gateway}}")?;
    if let Some(gateway) = found.and_then(|text| text.parse().ok()) {
        return Ok(LabNetwork { name, gateway });
    }
    let taken = taken_subnets()?;
    for third in CANDIDATES.filter(|third| is_free(*third, &taken)) {
        let gateway = Ipv4Addr::new(10, 213, third, 1);
        let created = docker_finish(
            60,
            [
                "network",
                "create",
                "--internal",
                "--driver=bridge",
                &format!("--subnet=10.213.{third}.0/24"),
                &format!("--gateway={gateway}"),
                &format!("--label={LABEL_LAB}={lab}"),
                &format!("--label={LABEL_STATE}={}", state.path().display()),
                &name,
            ],
        )?;
        if created.success {
            return Ok(LabNetwork { name, gateway });
        }
        // Another environment, or a bridge left by a killed dockerd, uses this subnet: the next one
        // is tried.
        let said = created.stderr.to_lowercase();
        if !(said.contains("overlap") || said.contains("conflict")) {
            return Err(created.into_error());
        }
    }
    Err(LabError::NoSubnet)
}

/// Refuses an environment that was created from another state directory.
pub(crate) fn check_owner(lab: &LabName, state: &StateDirectory) -> Result<(), LabError> {
    let format = format!("{{{{index .Labels \"{LABEL_STATE}\"}}}}");
    match inspect("network", &name(lab), &format)? {
        Some(owner) if owner != state.path().to_string_lossy() => {
            Err(LabError::ForeignStateDirectory {
                lab: lab.to_string(),
                owner,
            })
        }
        _ => Ok(()),
    }
}

fn taken_subnets() -> Result<Vec<String>, LabError> {
    let networks = docker(
        30,
        ["network", "ls", "--quiet", "--filter", "driver=bridge"],
    )?;
    let mut taken = Vec::new();
    for network in networks.lines() {
        // A network that is removed during this loop no longer uses a subnet.
        let subnets = inspect(
            "network",
            network,
            "{{range .IPAM.Config}}{{.Subnet}} {{end}}",
        )?;
        taken.extend(
            subnets
                .unwrap_or_default()
                .split_whitespace()
                .map(str::to_owned),
        );
    }
    Ok(taken)
}

fn is_free(third: u8, taken: &[String]) -> bool {
    let ours = format!("10.213.{third}.");
    let wide = ["10.213.0.0/16", "10.0.0.0/8"];
    !taken
        .iter()
        .any(|subnet| subnet.starts_with(&ours) || wide.contains(&subnet.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_already_taken_are_passed_over() {
        let taken = ["172.17.0.0/16".to_owned(), "10.213.10.0/24".to_owned()];
        assert!(!is_free(10, &taken));
        assert!(is_free(11, &taken));
        assert!(
            is_free(1, &taken),
            "10.213.10. does not begin with 10.213.1."
        );
        assert!(!is_free(11, &["10.0.0.0/8".to_owned()]));
    }

    #[test]
    fn nodes_count_from_eleven() {
        let network = LabNetwork {
            name: "skep-lab".to_owned(),
            gateway: Ipv4Addr::new(10, 213, 12, 1),
        };
        assert_eq!(network.address(1).to_string(), "10.213.12.11");
    }
}
