//! A plan as text: the differences, with values before and after. Hosts with the same changes share
//! one block, which keeps the plan of a thousand hosts short.

use std::fmt::Write as _;

use console::Style;
use indexmap::IndexMap;

use super::diff::diff_lines;
use super::{literal, literal_line};
use crate::model::{Action, DisplayValue, Disruption, FieldChange};
use crate::runner::outcome::ChangeView;
use crate::runner::{HostOutcome, Outcome, ResourceOutcome, RunSummary};

/// Options of a plan's text.
#[derive(Clone, Copy, Default)]
pub struct PlanStyle {
    /// Use colours.
    pub color: bool,
    /// Show diffs of any length in full.
    pub diff: bool,
    /// Show the cause of each difference.
    pub causes: bool,
}

/// Returns everything that differs, failed or is unreachable. A block that several hosts share is
/// shown once under all their names, and hosts with the same blocks share a heading.
#[must_use]
pub fn plan_text(summary: &RunSummary, style: PlanStyle) -> String {
    let mut blocks: IndexMap<String, Vec<&str>> = IndexMap::new();
    for (name, host) in &summary.hosts {
        for block in host_blocks(host, style) {
            blocks.entry(block).or_default().push(name.as_str());
        }
    }
    let mut headings: IndexMap<Vec<&str>, String> = IndexMap::new();
    for (block, hosts) in blocks {
        headings.entry(hosts).or_default().push_str(&block);
    }
    let bold = Style::new().bold().force_styling(style.color);
    let mut text = String::new();
    for (hosts, blocks) in headings {
        let _ = writeln!(text, "{}\n{blocks}", bold.apply_to(hosts.join(", ")));
    }
    text
}

fn host_blocks(host: &HostOutcome, style: PlanStyle) -> Vec<String> {
    let red = Style::new().red().force_styling(style.color);
    let mut blocks = Vec::new();
    if let Some(trouble) = &host.unreachable {
        let (why, hint) = (literal(&trouble.why), literal(&trouble.hint));
        blocks.push(format!(
            "  {} {why}\n      try: {hint}\n",
            red.apply_to("unreachable:")
        ));
    }
    if let Some(trouble) = &host.failure {
        let (why, hint) = (literal(&trouble.why), literal(&trouble.hint));
        blocks.push(format!(
            "  {} {why}\n      try: {hint}\n",
            red.apply_to("failed:")
        ));
    }
    for note in host.notes.iter().filter(|_| style.causes) {
        blocks.push(format!("  note: {}\n", literal(note)));
    }
    for resource in &host.resources {
        let mut text = String::new();
        match (&resource.outcome, &resource.change) {
            (Outcome::Failed { why, hint }, _) => {
                let _ = writeln!(
                    text,
                    "  {} {}: {}",
                    red.apply_to("x"),
                    literal_line(&resource.resource),
                    literal(why)
                );
                if !hint.is_empty() {
                    let _ = writeln!(text, "      try: {}", literal(hint));
                }
            }
            (Outcome::Differs, Some(change)) => change_text(&mut text, resource, change, style),
            _ => continue,
        }
        blocks.push(text);
    }
    let mut skipped: IndexMap<&str, usize> = IndexMap::new();
    for resource in &host.resources {
        if let Outcome::Skipped { because } = &resource.outcome {
            *skipped.entry(because).or_default() += 1;
        }
    }
    for (because, number) in skipped {
        let plural = if number == 1 { "" } else { "s" };
        blocks.push(format!(
            "  {number} resource{plural} skipped: {}\n",
            literal(because)
        ));
    }
    blocks
}

/// Returns the fields of a new resource with a few short fields as one line: `owner root, group
/// root, mode 0755`. `None` if they do not fit.
fn on_one_line(resource: &str, change: &ChangeView) -> Option<String> {
    if change.action != Action::Create || !change.notes.is_empty() {
        return None;
    }
    let mut words = Vec::new();
    for field in &change.fields {
        match (&field.before, &field.after) {
            // The resource's name already shows this value.
            (DisplayValue::Absent, DisplayValue::Text(value))
                if resource.contains(&format!("[{value}]")) => {}
            (DisplayValue::Absent, DisplayValue::Text(value)) if !value.contains('\n') => {
                words.push(format!("{} {value}", field.field));
            }
            _ => return None,
        }
    }
    let line = words.join(", ");
    (line.len() <= 72).then_some(line)
}

fn change_text(
    text: &mut String,
    resource: &ResourceOutcome,
    change: &ChangeView,
    style: PlanStyle,
) {
    let color = match change.action {
        Action::Create => Style::new().green(),
        Action::Update => Style::new().yellow(),
        Action::Delete => Style::new().red(),
        Action::Run => Style::new().cyan(),
    }
    .force_styling(style.color);
    let _ = write!(
        text,
        "  {} {}",
        color.apply_to(change.action.sign()),
        literal_line(&resource.resource)
    );
    let _ = write!(text, "{}", disturbance(change.disturbs));
    if let Some(cause) = resource.cause.filter(|_| style.causes) {
        let _ = write!(text, "  [{}]", cause.words());
    }
    if let Some(line) = on_one_line(&resource.resource, change) {
        let _ = writeln!(text, "  {}", literal_line(&line));
        return;
    }
    text.push('\n');
    for field in &change.fields {
        field_text(text, field, style);
    }
    for note in &change.notes {
        let _ = writeln!(text, "      note: {}", literal(note));
    }
}

/// Returns the warning about the disruption, which must be seen before the plan is confirmed.
fn disturbance(disturbs: Disruption) -> &'static str {
    match disturbs {
        Disruption::Nothing => "",
        Disruption::Reload => "  (reloads the service)",
        Disruption::ServiceRestart => "  (restarts the service)",
        Disruption::EngineRestart => "  (RESTARTS THE ENGINE)",
        Disruption::NodeLoss => "  (REMOVES THE NODE)",
        Disruption::ManagerLoss => "  (REMOVES A MANAGER)",
    }
}

fn field_text(text: &mut String, field: &FieldChange, style: PlanStyle) {
    let lines = |shown: &DisplayValue| match shown {
        DisplayValue::Lines(lines) => Some(lines.clone()),
        DisplayValue::Absent => Some(String::new()),
        _ => None,
    };
    let is_diff = matches!(field.before, DisplayValue::Lines(_))
        || matches!(field.after, DisplayValue::Lines(_));
    if let (true, Some(before), Some(after)) = (is_diff, lines(&field.before), lines(&field.after))
        && before != after
    {
        let _ = writeln!(text, "      {}:", literal_line(&field.field));
        for (sign, line) in diff_lines(&before, &after, style.diff) {
            let color = match sign {
                '+' => Style::new().green(),
                '-' => Style::new().red(),
                _ => Style::new(),
            };
            let shown = match ends_blank(&line) {
                // A difference in trailing whitespace would be invisible.
                true if sign != ' ' => format!("{sign} {}(trailing whitespace)", literal(&line)),
                _ => format!("{sign} {}", literal(&line)),
            };
            let _ = writeln!(
                text,
                "        {}",
                color.force_styling(style.color).apply_to(shown.trim_end())
            );
        }
        return;
    }
    let _ = writeln!(
        text,
        "      {}: {} -> {}",
        literal_line(&field.field),
        shown(&field.before),
        shown(&field.after)
    );
}

fn ends_blank(line: &str) -> bool {
    line.ends_with([' ', '\t'])
}

fn shown(value: &DisplayValue) -> String {
    match value {
        DisplayValue::Absent => "(absent)".into(),
        DisplayValue::Text(value) | DisplayValue::Lines(value) if value.is_empty() => "\"\"".into(),
        DisplayValue::Text(value) | DisplayValue::Lines(value) => literal_line(value).into_owned(),
        DisplayValue::Secret => "(secret)".into(),
        DisplayValue::KnownAfterApply => "(known after apply)".into(),
    }
}

/// Returns `1 host`, `3 hosts`.
#[must_use]
pub fn hosts_text(number: usize) -> String {
    format!("{number} host{}", if number == 1 { "" } else { "s" })
}

/// Returns the sentence under a plan: the number of resources by state and action, and of Engine
/// restarts.
#[must_use]
pub fn plan_totals(summary: &RunSummary) -> String {
    let changes = || {
        let resources = summary.hosts.values().flat_map(|host| &host.resources);
        resources
            .filter(|resource| resource.outcome == Outcome::Differs)
            .filter_map(|resource| resource.change.as_ref())
    };
    let count = |action: Action| changes().filter(|change| change.action == action).count();
    let restarts = changes()
        .filter(|change| change.disturbs == Disruption::EngineRestart)
        .count();
    let unreachable = summary
        .hosts
        .values()
        .filter(|host| host.unreachable.is_some())
        .count();
    let failed_hosts = summary
        .hosts
        .values()
        .filter(|host| host.failure.is_some())
        .count();
    let failed_hosts_text = if failed_hosts == 1 {
        "host failed"
    } else {
        "hosts failed"
    };
    let failed = summary.count(|outcome| matches!(outcome, Outcome::Failed { .. }));
    let restarts_text = if restarts == 1 {
        "Engine restart"
    } else {
        "Engine restarts"
    };
    let counts = [
        (
            summary.count(|outcome| *outcome == Outcome::Unchanged),
            "in sync",
        ),
        (count(Action::Create), "to create"),
        (count(Action::Update), "to change"),
        (count(Action::Delete), "to delete"),
        (count(Action::Run), "to run"),
        (restarts, restarts_text),
        (failed, "failed"),
        (failed_hosts, failed_hosts_text),
        (unreachable, "unreachable"),
    ];
    let counts: Vec<String> = counts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, words)| format!("{number} {words}"))
        .collect();
    let text = match counts.as_slice() {
        [] => "no resources".to_owned(),
        counts => counts.join(", "),
    };
    let text = format!("{}: {text}", hosts_text(summary.hosts.len()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::HostName;
    use crate::runner::ResourceOutcome;

    fn text(before: DisplayValue, after: DisplayValue) -> String {
        let change = ChangeView {
            action: Action::Update,
            fields: vec![FieldChange {
                field: "content".into(),
                before,
                after,
            }],
            steps: Vec::new(),
            disturbs: Disruption::Nothing,
            repeats: false,
            notes: Vec::new(),
        };
        let mut text = String::new();
        change_text(
            &mut text,
            &ResourceOutcome::new("p", "file[/f]", Outcome::Differs),
            &change,
            PlanStyle::default(),
        );
        text
    }

    #[test]
    fn invisible_differences_are_made_visible() {
        let lines = |text: &str| DisplayValue::Lines(text.to_owned());
        for (before, after, expected) in [
            (
                lines("a\n"),
                lines("a \n"),
                "- a\n        + a (trailing whitespace)\n",
            ),
            (
                lines("a"),
                lines("a\n"),
                "- a\n          (no newline at the end)\n        + a\n",
            ),
            (
                DisplayValue::Absent,
                lines(""),
                "content: (absent) -> \"\"\n",
            ),
            (
                lines("a\n"),
                lines("\u{1b}[2Ja\n"),
                "- a\n        + \\u{1b}[2Ja\n",
            ),
        ] {
            let text = text(before, after);
            assert!(text.ends_with(expected), "{text}");
        }
    }

    #[test]
    fn skipped_resources_are_counted_by_reason() {
        let skipped = |because: &str| {
            ResourceOutcome::new(
                "p",
                "file[/f]",
                Outcome::Skipped {
                    because: because.into(),
                },
            )
        };
        let host = HostOutcome {
            resources: vec![
                skipped("an earlier one failed"),
                skipped("an earlier one failed"),
                skipped("lost"),
            ],
            ..HostOutcome::default()
        };
        let summary = RunSummary {
            hosts: [(HostName::new("docker01"), host)].into(),
            ..RunSummary::default()
        };
        let text = plan_text(&summary, PlanStyle::default());
        assert_eq!(
            text,
            "docker01\n  2 resources skipped: an earlier one failed\n  1 resource skipped: lost\n\n"
        );
        assert!(
            crate::report::recap_text(&summary, 9).contains("skipped"),
            "a host whose resources were skipped is not in sync"
        );
    }
}
