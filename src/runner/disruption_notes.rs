//! Notes about disruptive changes in a plan, so that a person reads them before the confirmation.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{DisruptionForecast, Fleet, NodeDrain};
use crate::model::{Action, Disruption};
use crate::playbook::{DrainRule, ResolvedPlaybook};
use crate::runner::run_plan::RunPlan;

/// Sources of the notes about restarts of Engines.
pub struct DisruptionNotes<'a> {
    forecast: &'a dyn DisruptionForecast,
    drain: Option<&'a dyn NodeDrain>,
    /// Drain rules by the name of the play.
    rules: Vec<(&'a str, DrainRule)>,
}

impl<'a> DisruptionNotes<'a> {
    /// Returns the sources of a playbook; `drain` is used for the plays that ask for it.
    #[must_use]
    pub fn new(
        forecast: &'a dyn DisruptionForecast,
        drain: Option<&'a dyn NodeDrain>,
        work: &'a ResolvedPlaybook,
    ) -> Self {
        let plays = work.plays.iter();
        let rules = plays.filter_map(|play| Some((play.name.as_str(), play.drain?)));
        Self {
            forecast,
            drain,
            rules: rules.collect(),
        }
    }

    /// Adds the notes to every change of the plan that restarts an Engine or takes a node out of
    /// the swarm.
    pub(super) async fn add(
        &self,
        fleet: &Arc<Fleet>,
        plan: &mut RunPlan,
        stop: &CancellationToken,
    ) {
        for (name, host) in &mut plan.hosts {
            let mut notes = None;
            for resource in &mut host.outcome.resources {
                let Some(change) = &mut resource.change else {
                    continue;
                };
                let leaves =
                    change.disturbs >= Disruption::NodeLoss && change.action == Action::Delete;
                if change.disturbs == Disruption::EngineRestart {
                    let own = match &notes {
                        Some(notes) => notes,
                        None => notes.insert(self.forecast.forecast(name, fleet.as_ref()).await),
                    };
                    change.notes.extend(own.iter().cloned());
                } else if !leaves {
                    continue;
                }
                let rule = self.rules.iter().find(|(play, _)| *play == resource.play);
                let rule = rule.map(|(_, rule)| *rule);
                let rule = rule.or_else(|| leaves.then(DrainRule::default));
                if let (Some(drain), Some(rule)) = (self.drain, rule) {
                    let drained = drain.forecast(fleet, name, rule, stop).await;
                    change.notes.extend(drained);
                }
            }
        }
    }
}
