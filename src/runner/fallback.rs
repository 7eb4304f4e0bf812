//! Cluster-scoped resources run on one host of the play, the delegate. If the delegate cannot be
//! read, the play's next suitable host is the fallback for this run, and the report names it; if
//! there is none, the report says that the resources were not checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;

use super::event::Event;
use super::examine::HostExaminer;
use super::outcome::Problem;
use super::{Fleet, fan_out};
use crate::model::{Resource, ResourceScope};
use crate::names::HostName;
use crate::playbook::{HostResource, ResolvedPlay, ResolvedPlaybook};
use crate::runner::host_plan::{HostPlan, PlannedResource, resource_outcome};
use crate::transport::TransportError;

/// Fallback hosts, by index of the play.
pub(super) type Fallbacks = BTreeMap<usize, HostName>;

/// Returns the labels of the cluster-scoped resources on the delegate of a play.
fn cluster_labels(play: &ResolvedPlay, delegate: &HostName) -> Vec<String> {
    let host_resources = play.host_resources.get(delegate).into_iter().flatten();
    host_resources
        .filter(|host_resource| host_resource.scope() == Some(ResourceScope::Cluster))
        .map(HostResource::label)
        .collect()
}

/// Chooses a fallback for each play whose delegate could not be read: the first of the play's
/// fallback hosts that could be read, preferably one without a failure.
pub(super) fn choose_fallbacks(
    work: &ResolvedPlaybook,
    found: &mut IndexMap<HostName, HostPlan>,
) -> Fallbacks {
    let mut chosen = Fallbacks::new();
    for (index, play) in work.plays.iter().enumerate() {
        let Some(delegate) = &play.delegate else {
            continue;
        };
        // No host takes over from a delegate on which another run works: that run may be changing
        // the same objects of the swarm.
        let is_lost = found
            .get(delegate)
            .is_some_and(|host| host.outcome.is_lost() && !host.locked);
        let left = if is_lost {
            cluster_labels(play, delegate)
        } else {
            Vec::new()
        };
        if left.is_empty() {
            continue;
        }
        let reached = |host: &HostName| found.get(host).is_some_and(|host| !host.outcome.is_lost());
        // `apply` changes nothing on a host with a refused change or an unreadable resource.
        let sound = |host: &HostName| found.get(host).is_some_and(|host| !host.outcome.failed());
        let able = || {
            play.fallbacks
                .iter()
                .filter(|(host, host_resources)| !host_resources.is_empty() && reached(host))
                .map(|(host, _)| host)
        };
        let standby = able()
            .find(|host| sound(host))
            .or_else(|| able().next())
            .cloned();
        let takes = standby
            .as_ref()
            .and_then(|host| play.fallbacks.get(host))
            .into_iter()
            .flatten();
        let taken: Vec<String> = takes.map(HostResource::label).collect();
        let unread: Vec<&str> = left
            .iter()
            .filter(|name| !taken.contains(name))
            .map(String::as_str)
            .collect();
        if let Some(host) = found.get_mut(delegate).filter(|_| !unread.is_empty()) {
            let names = unread.join(", ");
            host.outcome.notes.push(format!(
                "not checked: {names}, since no other host of the play {} can take over",
                play.name
            ));
        }
        if let Some(standby) = standby {
            chosen.insert(index, standby);
        }
    }
    chosen
}

/// Plans the cluster-scoped resources on their fallback hosts, and adds the result to the hosts'
/// plans.
pub(super) async fn plan_on_fallback(
    fleet: &Arc<Fleet>,
    work: &ResolvedPlaybook,
    found: &mut IndexMap<HostName, HostPlan>,
    fallbacks: &Fallbacks,
) {
    for (index, name) in fallbacks {
        let (Some(play), Some(forecast)) = (work.plays.get(*index), found.get_mut(name)) else {
            continue;
        };
        let host_resources = play.fallbacks.get(name).into_iter().flatten();
        let resources: Vec<Arc<dyn Resource>> =
            host_resources.filter_map(HostResource::ready).collect();
        let names: Vec<String> = resources.iter().map(|resource| resource.id()).collect();
        let delegate = play
            .delegate
            .as_ref()
            .map_or("its delegate", HostName::as_str);
        let note = format!(
            "{name} takes over {} from {delegate}, which cannot be read",
            names.join(", ")
        );
        // Runs as a task of its own: a panic is a failure of the host, as it is for the host's own
        // resources.
        let looked = fan_out(
            [(name.clone(), resources.clone())],
            1,
            |(name, resources)| {
                let fleet = fleet.clone();
                async move {
                    let host = fleet.host(&name).await?;
                    let examined = examine_on(&fleet, &host, &resources).await?;
                    Ok::<_, TransportError>((examined, host.execs()))
                }
            },
        )
        .await
        .pop();
        match looked.unwrap_or(Ok(Ok((Vec::new(), forecast.outcome.execs)))) {
            Ok(Ok((examined, execs))) => {
                forecast.outcome.execs = execs;
                for (resource, result) in resources.into_iter().zip(examined) {
                    let mut outcome = resource_outcome(&play.name, resource.id(), &result);
                    forecast
                        .record
                        .explain(resource.as_ref(), &play.playbook, &mut outcome);
                    forecast.outcome.resources.push(outcome);
                    forecast.tasks.push(PlannedResource {
                        play: *index,
                        playbook: Arc::clone(&play.playbook),
                        resource,
                        change: result.ok().flatten(),
                        follow_ups: Vec::new(),
                    });
                }
                // Plays run in order; within a play, the cluster-scoped resources come last here.
                forecast.tasks.sort_by_key(|task| task.play);
            }
            Ok(Err(error)) => forecast
                .outcome
                .notes
                .push(format!("not checked: {}: {error}", names.join(", "))),
            Err(panic) => {
                let trouble = Problem::internal(name, &panic);
                forecast.outcome.failure = Some(trouble.clone());
                fleet
                    .events()
                    .send(Event::HostFailed {
                        host: name.clone(),
                        trouble,
                    })
                    .await;
            }
        }
        fleet
            .events()
            .send(Event::Note {
                host: Some(name.clone()),
                text: note.clone(),
            })
            .await;
        forecast.outcome.notes.push(note);
    }
}

async fn examine_on(
    fleet: &Fleet,
    host: &super::ConnectedHost,
    resources: &[Arc<dyn Resource>],
) -> Result<Vec<super::examine::ExamineResult>, TransportError> {
    HostExaminer::gather(fleet, host, resources, None)
        .await?
        .examine(resources)
        .await
}
