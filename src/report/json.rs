//! `--json`: one object per event and line on stdout, each with the version of its form.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Screen;
use super::literal::json_literal;
use crate::drift::{IgnoreRules, ignored_fields};
use crate::names::HostName;
use crate::runner::event::{EVENT_SCHEMA, Event};
use crate::runner::{Outcome, ResourceOutcome};

#[derive(Serialize)]
struct EventLine<'a> {
    schema: u32,
    #[serde(flatten)]
    event: &'a Event,
}

/// Prints every event until the stream ends. Ignored drift is marked in each event that shows it:
/// `ignored` lists fields and reasons, and the outcome of a resource with no other difference is
/// `ignored`.
pub async fn report_json(
    screen: &Screen,
    mut events: mpsc::Receiver<Event>,
    rules: Option<Arc<IgnoreRules>>,
) {
    let rules = rules.filter(|rules| !rules.active.is_empty());
    while let Some(event) = events.recv().await {
        let line = EventLine {
            schema: EVENT_SCHEMA,
            event: &event,
        };
        match rules.as_deref().and_then(|rules| marked(&line, rules)) {
            Some(line) => screen.json(&line),
            None => screen.json(&line),
        }
    }
}

/// Returns the line with its marks; `None` if it needs none.
fn marked(line: &EventLine<'_>, rules: &IgnoreRules) -> Option<Value> {
    match line.event {
        Event::Planned { host, resources } => {
            let marks = marks(host, resources, rules);
            if marks.is_empty() {
                return None;
            }
            let mut line = serde_json::to_value(line).ok()?;
            put(line.get_mut("resources")?, marks);
            Some(line)
        }
        Event::RunFinished { summary } => {
            let mut line = serde_json::to_value(line).ok()?;
            for (host, outcome) in &summary.hosts {
                let marks = marks(host, &outcome.resources, rules);
                put(
                    line.get_mut("summary")?
                        .get_mut("hosts")?
                        .get_mut(host.as_str())?
                        .get_mut("resources")?,
                    marks,
                );
            }
            Some(line)
        }
        _ => None,
    }
}

/// Returns, by the resource's index, the mark to insert into its object, and whether rules cover
/// all of its drift.
fn marks(
    host: &HostName,
    resources: &[ResourceOutcome],
    rules: &IgnoreRules,
) -> Vec<(usize, bool, Value)> {
    let differing = resources
        .iter()
        .enumerate()
        .filter(|(_, resource)| resource.outcome == Outcome::Differs);
    differing
        .filter_map(|(index, resource)| {
            let (ignored, whole) = ignored_fields(host, resource, rules);
            (!ignored.is_empty()).then(|| (index, whole, json!(ignored)))
        })
        .collect()
}

fn put(resources: &mut Value, marks: Vec<(usize, bool, Value)>) {
    for (index, whole, mark) in marks {
        let Some(resource) = resources.get_mut(index).and_then(Value::as_object_mut) else {
            continue;
        };
        if whole {
            resource.insert("outcome".into(), "ignored".into());
        }
        resource.insert("ignored".into(), mark);
    }
}

/// Returns the report of a check as the last line of the events.
#[must_use]
pub fn document_line(report: &crate::drift::CheckReport) -> String {
    let line = json!({ "schema": EVENT_SCHEMA, "event": "report", "report": report });
    json_literal(&line.to_string()) + "\n"
}
