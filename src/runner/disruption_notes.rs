//! Notes about disruptive changes in a plan, so that a person reads them before the confirmation.

use super::{DisruptionForecast, Fleet};
use crate::model::Disruption;
use crate::runner::run_plan::RunPlan;

/// Adds the notes to every change of the plan that restarts an Engine.
pub(super) async fn note_disruptions(
    fleet: &Fleet,
    forecast: &dyn DisruptionForecast,
    plan: &mut RunPlan,
) {
    for (name, host) in &mut plan.hosts {
        let mut changes: Vec<_> = host
            .outcome
            .resources
            .iter_mut()
            .filter_map(|resource| resource.change.as_mut())
            .filter(|change| change.disturbs == Disruption::EngineRestart)
            .collect();
        if changes.is_empty() {
            continue;
        }
        let notes = forecast.forecast(name, fleet).await;
        for change in &mut changes {
            change.notes.extend(notes.iter().cloned());
        }
    }
}
