//! `--json`: one object per event and line on stdout, each with the version of the form.

use serde::Serialize;
use tokio::sync::mpsc;

use super::Screen;
use crate::engine::event::{EVENT_SCHEMA, Event};

#[derive(Serialize)]
struct Line<'a> {
    schema: u32,
    #[serde(flatten)]
    event: &'a Event,
}

/// Prints every event until the stream ends.
pub async fn report_json(screen: &Screen, mut events: mpsc::Receiver<Event>) {
    while let Some(event) = events.recv().await {
        screen.json(&Line { schema: EVENT_SCHEMA, event: &event });
    }
}

/// The report of a check as the last line of its events.
#[must_use]
pub fn document_line(report: &crate::drift::Report) -> String {
    let line = serde_json::json!({ "schema": EVENT_SCHEMA, "event": "report", "report": report });
    format!("{line}\n")
}
