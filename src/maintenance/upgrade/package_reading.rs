//! Reads the packages of all hosts. An upgrade needs all of them before it changes the first one,
//! so a host that cannot be read ends it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::host_packages::{ENGINE_PACKAGES, FleetPackages, HostPackages, has_engine_version};
use super::{OsUpdates, UpgradeRequest};
use crate::kinds::package::{PackageResource, VersionPattern};
use crate::maintenance::{DrainOptions, MaintenanceError};
use crate::model::{HostFacts, ResourceKind as _, ShellQuery};
use crate::names::HostName;
use crate::playbook::{ResolvedPlaybook, ResourceBinding};
use crate::runner::gather::ask_host;
use crate::runner::{Fleet, fan_out, refresh_package_lists};

/// Fetches the package lists of the hosts, and reads their packages.
///
/// # Errors
/// [`MaintenanceError::Packages`] for the first host that cannot be read.
pub(super) async fn read_packages(
    fleet: &Arc<Fleet>,
    work: &Arc<ResolvedPlaybook>,
    hosts: &[HostName],
    request: &UpgradeRequest,
    options: &DrainOptions,
) -> Result<FleetPackages, MaintenanceError> {
    let results = fan_out(hosts.to_vec(), options.forks, |host| {
        let (fleet, work, request) = (fleet.clone(), work.clone(), request.clone());
        let (owner, wait) = (options.owner.owner.clone(), options.lease_wait);
        async move {
            let warnings = refresh_package_lists(&fleet, &host, &owner, wait).await?;
            let mut packages = read_host(&fleet, &work, &host, &request).await?;
            packages.warnings = warnings;
            Ok(packages)
        }
    })
    .await;
    let mut all = FleetPackages::new();
    for (host, result) in hosts.iter().zip(results) {
        let result: Result<HostPackages, String> =
            result.unwrap_or_else(|panic| Err(panic.why(host)));
        let packages = result.map_err(|why| MaintenanceError::Packages {
            host: host.clone(),
            why,
        })?;
        all.insert(host.clone(), packages);
    }
    Ok(all)
}

async fn read_host(
    fleet: &Fleet,
    work: &ResolvedPlaybook,
    host: &HostName,
    request: &UpgradeRequest,
) -> Result<HostPackages, String> {
    let names = ENGINE_PACKAGES
        .iter()
        .map(|name| ShellQuery::Package((*name).to_owned()));
    let mut queries: BTreeSet<ShellQuery> = names.collect();
    queries.extend([ShellQuery::Facts, ShellQuery::RebootState]);
    if request.os != OsUpdates::None {
        queries.insert(ShellQuery::PackageUpdates);
    }
    let answers = ask_host(fleet, host, queries).await?;
    let mut packages = HostPackages {
        reboot: known(answers.reboot_state())?.clone(),
        wanted: wanted(work, host, known(answers.facts())?, request)?,
        ..HostPackages::default()
    };
    for name in ENGINE_PACKAGES {
        let state = known(answers.package(name))?;
        if let Some(version) = &state.installed {
            packages
                .installed
                .insert((*name).to_owned(), version.clone());
            packages.is_held |= state.held;
        }
    }
    if request.os != OsUpdates::None {
        let updates = known(answers.package_updates())?.iter();
        let updates = updates.filter(|update| {
            (request.os == OsUpdates::All || update.is_security)
                && !ENGINE_PACKAGES.contains(&update.name.as_str())
        });
        packages.updates = updates.cloned().collect();
    }
    let installed = packages.installed.keys();
    let queries = installed.map(|name| ShellQuery::PackageVersions(name.clone()));
    let offers = ask_host(fleet, host, queries).await?;
    for name in packages.installed.keys() {
        let versions = known(offers.package_versions(name))?.clone();
        packages.offered.insert(name.clone(), versions);
    }
    Ok(packages)
}

/// Reads the state of the reboot again, after the packages were installed.
///
/// # Errors
/// Reason why the host cannot be read.
pub(super) async fn reboot_reason(
    fleet: &Fleet,
    host: &HostName,
) -> Result<Option<String>, String> {
    let answers = ask_host(fleet, host, [ShellQuery::RebootState]).await?;
    Ok(known(answers.reboot_state())?.reason())
}

fn known<T>(answer: Result<T, impl std::fmt::Display>) -> Result<T, String> {
    answer.map_err(|error| error.to_string())
}

/// Returns the versions that the playbook wants for the Engine's packages of a host. A version of
/// the command line replaces those of the Engine itself.
fn wanted(
    work: &ResolvedPlaybook,
    host: &HostName,
    facts: &HostFacts,
    request: &UpgradeRequest,
) -> Result<BTreeMap<String, VersionPattern>, String> {
    let mut wanted = BTreeMap::new();
    for (_, host_resource) in work.host_resources(host) {
        let resources = match &host_resource.resource {
            ResourceBinding::Bound(resource) => vec![resource.clone()],
            ResourceBinding::Deferred(deferred) if deferred.kind() == PackageResource::NAME => {
                deferred.bind(facts).map_err(|errors| errors.to_string())?
            }
            ResourceBinding::Deferred(_) => Vec::new(),
        };
        for pin in resources
            .iter()
            .flat_map(|resource| resource.pinned_versions())
        {
            wanted.insert(pin.package, VersionPattern::try_from(pin.version)?);
        }
    }
    if let Some(engine) = &request.engine {
        for name in ENGINE_PACKAGES
            .iter()
            .filter(|name| has_engine_version(name))
        {
            wanted.insert((*name).to_owned(), engine.clone());
        }
    }
    Ok(wanted)
}
