//! Data for the page's template: a report in the words and the order of the page. Texts from hosts
//! are made literal here; the template escapes them.

use serde::Serialize;

use crate::drift::HostState;
use crate::drift::report::{
    CheckReport, ReportDrift, ReportExpiredRule, ReportField, ReportHost, ReportMember,
    ReportTotals, ReportValue,
};
use crate::report::diff::diff_lines;
use crate::report::literal;

#[derive(Serialize)]
pub(super) struct HtmlPage<'a> {
    verdict: &'static str,
    state: &'static str,
    playbooks: String,
    inventory: String,
    started: &'a str,
    last_success: Option<&'a str>,
    seconds: String,
    tool: &'a str,
    schema: u32,
    totals: &'a ReportTotals,
    managers: usize,
    voters: usize,
    problems: Vec<String>,
    expired: &'a [ReportExpiredRule],
    nodes: Vec<NodeView>,
    findings: Vec<&'static str>,
    rows: Vec<ResourceView>,
}

#[derive(Serialize)]
struct NodeView {
    name: String,
    role: String,
    leader: bool,
    state: &'static str,
    /// Text in the middle of the drawing: the number of differing resources, or a sign.
    sign: String,
    words: String,
    lines: Vec<String>,
    labels: Vec<String>,
}

#[derive(Serialize)]
struct ResourceView {
    host: String,
    resource: String,
    finding: &'static str,
    state: &'static str,
    since: String,
    fields: Vec<FieldView>,
    words: Vec<(&'static str, String)>,
}

#[derive(Serialize)]
struct FieldView {
    name: String,
    before: String,
    after: String,
    lines: Vec<DiffLine>,
}

#[derive(Serialize)]
struct DiffLine {
    class: &'static str,
    text: String,
}

pub(super) fn page(report: &CheckReport) -> HtmlPage<'_> {
    let rows = rows(report);
    let mut findings: Vec<&'static str> = rows.iter().map(|row| row.finding).collect();
    findings.sort_unstable();
    findings.dedup();
    let cluster = report.cluster.as_ref();
    let notes = report.hosts.iter().flat_map(|host| {
        host.notes
            .iter()
            .map(|note| format!("{}: {note}", host.host))
    });
    let problems = cluster
        .map(|cluster| cluster.problems.clone())
        .unwrap_or_default()
        .into_iter()
        .chain(notes);
    HtmlPage {
        verdict: report.state.words(),
        state: class(report.state),
        playbooks: literal(&report.playbooks.join(", ")).into_owned(),
        inventory: literal(&report.inventory.join(", ")).into_owned(),
        started: &report.started,
        last_success: report.last_success.as_deref(),
        seconds: format!(
            "{:.1}",
            std::time::Duration::from_millis(report.millis).as_secs_f64()
        ),
        tool: &report.tool,
        schema: report.schema,
        totals: &report.totals,
        managers: cluster.map_or(0, |cluster| cluster.managers),
        voters: cluster.map_or(0, |cluster| cluster.voters),
        problems: problems
            .map(|problem| literal(&problem).into_owned())
            .collect(),
        expired: &report.expired_rules,
        nodes: nodes(report),
        findings,
        rows,
    }
}

/// Returns the CSS class of a state.
fn class(state: HostState) -> &'static str {
    if state == HostState::NotLookedAt {
        "none"
    } else {
        state.key()
    }
}

/// Returns the nodes in the order of the page: managers, workers, hosts outside the swarm, then
/// nodes that match no host.
fn nodes(report: &CheckReport) -> Vec<NodeView> {
    let members = report
        .cluster
        .as_ref()
        .map(|cluster| cluster.members.as_slice())
        .unwrap_or_default();
    let of_host = |host: &str| {
        members
            .iter()
            .find(|member| member.host.as_deref() == Some(host))
    };
    let mut nodes: Vec<NodeView> = report
        .hosts
        .iter()
        .map(|host| node_of_host(host, of_host(&host.host)))
        .collect();
    nodes.sort_by_key(|node| match node.role.as_str() {
        "manager" => 0,
        "worker" => 1,
        _ => 2,
    });
    let all_read = report
        .hosts
        .iter()
        .all(|host| matches!(host.state, HostState::InSync | HostState::Drift));
    nodes.extend(
        members
            .iter()
            .filter(|member| member.host.is_none())
            .map(|member| {
                // A host that could not be read may be this node.
                let whose = if all_read {
                    "in no inventory"
                } else {
                    "matches no host that was read"
                };
                node(
                    member.hostname.clone(),
                    Some(member),
                    "none",
                    "?".into(),
                    whose.to_owned(),
                )
            }),
    );
    nodes
}

fn node_of_host(host: &ReportHost, member: Option<&ReportMember>) -> NodeView {
    let count = |number: usize, words: &str| format!("{number} {words}");
    let (sign, words) = match host.state {
        HostState::InSync => ("✓".into(), host.state.words().to_owned()),
        HostState::Drift => (
            host.drift.len().to_string(),
            count(host.drift.len(), "differ"),
        ),
        HostState::Failed => ("!".into(), count(host.failed.len(), "could not be read")),
        HostState::Unreachable | HostState::NotLookedAt => {
            ("?".into(), host.state.words().to_owned())
        }
    };
    let mut node = node(host.host.clone(), member, class(host.state), sign, words);
    if !host.ignored.is_empty() {
        node.lines.push(count(host.ignored.len(), "ignored"));
    }
    node
}

fn node(
    name: String,
    member: Option<&ReportMember>,
    state: &'static str,
    sign: String,
    words: String,
) -> NodeView {
    let mut node = NodeView {
        name: literal(&name).into_owned(),
        role: String::new(),
        leader: false,
        state,
        sign,
        words: literal(&words).into_owned(),
        lines: Vec::new(),
        labels: Vec::new(),
    };
    // A row without a node ID is a host that the swarm does not list.
    let Some(member) = member.filter(|member| !member.node_id.is_empty()) else {
        return node;
    };
    node.role.clone_from(&member.role);
    node.leader = member.leader;
    let standing = [&member.state, &member.availability].map(String::as_str);
    // The usual values are not shown.
    let odd = standing
        .into_iter()
        .filter(|word| !["ready", "active", ""].contains(word));
    node.lines
        .extend(odd.map(|word| format!("swarm: {}", literal(word))));
    if !member.engine_version.is_empty() {
        node.lines
            .push(format!("Engine {}", literal(&member.engine_version)));
    }
    node.labels = member
        .labels
        .iter()
        .map(|(key, value)| literal(&format!("{key}={value}")).into_owned())
        .collect();
    node
}

fn rows(report: &CheckReport) -> Vec<ResourceView> {
    let mut rows = Vec::new();
    for host in &report.hosts {
        if let Some(trouble) = &host.unreachable {
            rows.push(ResourceView {
                resource: "the host itself".into(),
                words: trouble_words(&trouble.why, &trouble.hint),
                ..row(host, "unreachable", "unreachable")
            });
        }
        if let Some(trouble) = &host.failure {
            rows.push(ResourceView {
                resource: "the host itself".into(),
                words: trouble_words(&trouble.why, &trouble.hint),
                ..row(host, "internal error", "failed")
            });
        }
        for failure in &host.failed {
            rows.push(ResourceView {
                resource: literal(&failure.resource).into_owned(),
                words: trouble_words(&failure.why, &failure.hint),
                ..row(host, "could not be read", "failed")
            });
        }
        rows.extend(
            host.drift
                .iter()
                .map(|drift| drift_row(host, drift, drift.cause.words(), "drift")),
        );
        rows.extend(host.ignored.iter().map(|ignored| {
            let mut row = drift_row(host, &ignored.drift, "ignored", "none");
            row.words
                .push(("ignored because", literal(&ignored.reason).into_owned()));
            row.words.push(("until", ignored.expires.clone()));
            row
        }));
    }
    rows
}

fn row(host: &ReportHost, finding: &'static str, state: &'static str) -> ResourceView {
    let host = literal(&host.host).into_owned();
    ResourceView {
        host,
        resource: String::new(),
        finding,
        state,
        since: String::new(),
        fields: Vec::new(),
        words: Vec::new(),
    }
}

fn trouble_words(why: &str, hint: &str) -> Vec<(&'static str, String)> {
    let words = [
        ("why", literal(why).into_owned()),
        ("try", literal(hint).into_owned()),
    ];
    words
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .collect()
}

fn drift_row(
    host: &ReportHost,
    drift: &ReportDrift,
    finding: &'static str,
    state: &'static str,
) -> ResourceView {
    let mut words: Vec<(&'static str, String)> = drift
        .notes
        .iter()
        .map(|note| ("note", literal(note).into_owned()))
        .collect();
    if drift.disturbs != "nothing" {
        words.push(("disruption", drift.disturbs.replace('_', " ")));
    }
    words.extend(
        drift
            .last_applied
            .iter()
            .map(|when| ("last applied", when.clone())),
    );
    words.push(("play", literal(&drift.play).into_owned()));
    ResourceView {
        resource: literal(&drift.resource).into_owned(),
        since: drift
            .since
            .as_deref()
            .unwrap_or_default()
            .replace('T', " ")
            .replace('Z', ""),
        fields: drift.fields.iter().map(field).collect(),
        words,
        ..row(host, finding, state)
    }
}

fn field(field: &ReportField) -> FieldView {
    let text = |value: &ReportValue| match value {
        ReportValue::Lines(text) => Some(text.clone()),
        ReportValue::Absent => Some(String::new()),
        _ => None,
    };
    let is_diff = matches!(field.before, ReportValue::Lines(_))
        || matches!(field.after, ReportValue::Lines(_));
    let lines = match (is_diff, text(&field.before), text(&field.after)) {
        (true, Some(before), Some(after)) => diff_lines(&before, &after, false),
        _ => Vec::new(),
    };
    FieldView {
        name: literal(&field.field).into_owned(),
        before: literal(&field.before.line()).into_owned(),
        after: literal(&field.after.line()).into_owned(),
        lines: lines
            .into_iter()
            .map(|(sign, line)| DiffLine {
                class: match sign {
                    '+' => "add",
                    '-' => "del",
                    _ => "",
                },
                text: literal(&format!("{sign} {line}")).into_owned(),
            })
            .collect(),
    }
}
