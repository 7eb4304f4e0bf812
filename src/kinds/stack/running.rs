//! Services whose specification is in sync but whose tasks do not all run: there is nothing to
//! deploy, and still a difference from the playbook.

use serde_json::Value;

use super::LiveStack;
use crate::model::{Change, DisplayValue, FieldChange};

/// Adds a field for each service that lacks tasks. Returns true if there is any.
pub(super) fn compare(stack: &str, live: &LiveStack, change: &mut Change) -> bool {
    for service in live.own_services(stack) {
        let count = |key: &str| {
            service
                .pointer(&format!("/ServiceStatus/{key}"))
                .and_then(Value::as_u64)
        };
        // Engines before API 1.41 do not report these numbers.
        let (Some(running), Some(desired)) = (count("RunningTasks"), count("DesiredTasks")) else {
            continue;
        };
        let running = live.running_tasks.as_ref().map_or(running, |tasks| {
            service
                .get("ID")
                .and_then(Value::as_str)
                .and_then(|id| tasks.get(id))
                .copied()
                .unwrap_or_default()
        });
        // Completed tasks of a job no longer run, and count as done.
        if running + count("CompletedTasks").unwrap_or_default() >= desired {
            continue;
        }
        let name = service
            .pointer("/Spec/Name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        change.fields.push(FieldChange {
            field: format!("{name} running tasks"),
            before: DisplayValue::text(running.to_string()),
            after: DisplayValue::text(desired.to_string()),
        });
    }
    !change.fields.is_empty()
}
