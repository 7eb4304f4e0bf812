//! Changes the packages of one host by an `apply` of skep's own play: with the plan, the guard, the
//! locks and the verification of every `apply`.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::inventory::Inventory;
use crate::kinds::package::PackageResource;
use crate::maintenance::DrainOptions;
use crate::maintenance::own_play::{OwnPlay, OwnResource};
use crate::model::{ResourceKind as _, ShellQuery};
use crate::names::HostName;
use crate::runner::Fleet;
use crate::runner::gather::ask_host;

/// Ends with 1 if a running Engine has another program than the installed one: the kernel marks a
/// program whose file was replaced.
const OLD_ENGINE_RUNS: &str = r#"pid=$(systemctl show --property=MainPID --value docker.service) || exit 0
case $pid in '' | 0) exit 0 ;; esac
case $(readlink "/proc/$pid/exe") in *' (deleted)') exit 1 ;; esac"#;

/// Packages that one transaction of apt installs, with their exact versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PackageSet {
    pub versions: Vec<(String, String)>,
    pub is_held: bool,
    pub may_downgrade: bool,
}

impl PackageSet {
    /// Returns the fields of a `package` resource, as an inline table of TOML.
    fn fields(&self) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let versions = self.versions.iter();
        let names: Vec<String> = versions.clone().map(|(name, _)| quoted(name)).collect();
        let pairs: Vec<String> = versions
            .map(|(name, version)| format!("{} = {}", quoted(name), quoted(version)))
            .collect();
        format!(
            "{{ names = [{}], version = {{ {} }}, allow_downgrade = {}{} }}",
            names.join(", "),
            pairs.join(", "),
            self.may_downgrade,
            if self.is_held { ", hold = true" } else { "" },
        )
    }

    fn resource(&self) -> OwnResource {
        OwnResource {
            kind: PackageResource::NAME,
            fields: self.fields(),
        }
    }
}

/// Installs the sets on one host. `managers` are the managers whose word counts.
///
/// # Errors
/// Reason of the first failure, with the next step.
pub(super) async fn install(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    managers: &[HostName],
    host: &HostName,
    sets: &[PackageSet],
    options: &DrainOptions,
    stop: &CancellationToken,
) -> Result<(), String> {
    let resources: Vec<OwnResource> = sets.iter().map(PackageSet::resource).collect();
    let play = OwnPlay {
        name: "upgrade",
        host,
        resources: &resources,
    };
    play.run(fleet, inventory, managers, options, stop).await?;
    check_running_engine(fleet, host).await
}

/// Checks that the Engine that runs is the one that is installed.
async fn check_running_engine(fleet: &Fleet, host: &HostName) -> Result<(), String> {
    let test = ShellQuery::Test {
        script: OLD_ENGINE_RUNS.into(),
    };
    let answers = ask_host(fleet, host, [test]).await?;
    match answers.test(OLD_ENGINE_RUNS) {
        Ok(0) => Ok(()),
        Ok(_) => Err(
            "the packages are installed, and the Engine of before still runs; run `systemctl restart docker` there".into(),
        ),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_set_is_one_resource() {
        let set = |names: &[&str], is_held| PackageSet {
            versions: names
                .iter()
                .map(|name| ((*name).to_owned(), "5:28.5.2-1~x".to_owned()))
                .collect(),
            is_held,
            may_downgrade: false,
        };
        let sets = [set(&["docker-ce", "docker-ce-cli"], true)];
        assert_eq!(
            sets[0].fields(),
            r#"{ names = ["docker-ce", "docker-ce-cli"], version = { "docker-ce" = "5:28.5.2-1~x", "docker-ce-cli" = "5:28.5.2-1~x" }, allow_downgrade = false, hold = true }"#
        );
    }
}
