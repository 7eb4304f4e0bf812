//! A report as JUnit XML, which most CI systems display: one suite per host, one case per resource.

use std::fmt::Write as _;

use super::{literal, literal_line, literal_lines};
use crate::drift::report::{CheckReport, ReportDrift};
use crate::runner::{Outcome, RunSummary};

/// Returns the XML. Resources in sync come from the run's summary, as the report does not list
/// them.
#[must_use]
pub fn junit_text(report: &CheckReport, summary: &RunSummary) -> String {
    let mut suites = String::new();
    let (mut tests, mut failures, mut errors, mut skipped) = (0, 0, 0, 0);
    for host in &report.hosts {
        let mut cases = String::new();
        let outcomes = summary
            .hosts
            .iter()
            .find(|(name, _)| name.as_str() == host.host)
            .map(|(_, outcome)| outcome);
        let fine = outcomes
            .into_iter()
            .flat_map(|outcome| &outcome.resources)
            .filter(|resource| {
                let ignored = |ignored: &crate::drift::report::ReportIgnored| {
                    ignored.drift.resource == resource.resource
                };
                resource.outcome == Outcome::Unchanged && !host.ignored.iter().any(ignored)
            });
        let mut count = 0;
        for resource in fine {
            case(
                &mut cases,
                &host.host,
                &resource.play,
                &resource.resource,
                "",
            );
            count += 1;
        }
        for drift in &host.drift {
            let inner = element(
                "failure",
                &format!("drift: {}", drift.cause.words()),
                &fields(drift),
            );
            case(&mut cases, &host.host, &drift.play, &drift.resource, &inner);
        }
        for ignored in &host.ignored {
            let words = format!("ignored until {}: {}", ignored.expires, ignored.reason);
            let drift = &ignored.drift;
            case(
                &mut cases,
                &host.host,
                &drift.play,
                &drift.resource,
                &element("skipped", &words, &fields(drift)),
            );
        }
        for failure in &host.failed {
            case(
                &mut cases,
                &host.host,
                &failure.play,
                &failure.resource,
                &element("error", &failure.why, &literal(&failure.hint)),
            );
        }
        let mut host_errors = host.failed.len();
        if let Some(trouble) = &host.unreachable {
            host_errors += 1;
            case(
                &mut cases,
                &host.host,
                "connection",
                "reachable",
                &element("error", &trouble.why, &literal(&trouble.hint)),
            );
        }
        if let Some(trouble) = &host.failure {
            host_errors += 1;
            case(
                &mut cases,
                &host.host,
                "skep",
                "completed",
                &element("error", &trouble.why, &literal(&trouble.hint)),
            );
        }
        count += host.drift.len() + host.ignored.len() + host_errors;
        let _ = write!(
            suites,
            "  <testsuite name=\"{}\" tests=\"{count}\" failures=\"{}\" errors=\"{host_errors}\" skipped=\"{}\" timestamp=\"{}\">\n{cases}  </testsuite>\n",
            escape(&host.host),
            host.drift.len(),
            host.ignored.len(),
            escape(report.started.trim_end_matches('Z'))
        );
        tests += count;
        failures += host.drift.len();
        errors += host_errors;
        skipped += host.ignored.len();
    }
    let seconds = report.millis as f64 / 1000.0;
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"skep check\" tests=\"{tests}\" failures=\"{failures}\" \
         errors=\"{errors}\" skipped=\"{skipped}\" time=\"{seconds:.3}\">\n{suites}</testsuites>\n"
    )
}

fn case(cases: &mut String, host: &str, play: &str, resource: &str, inner: &str) {
    let class = escape(&literal_line(&format!("{host}.{play}")));
    let name = escape(&literal_line(resource));
    let _ = if inner.is_empty() {
        writeln!(
            cases,
            "    <testcase classname=\"{class}\" name=\"{name}\"/>"
        )
    } else {
        writeln!(
            cases,
            "    <testcase classname=\"{class}\" name=\"{name}\">{inner}</testcase>"
        )
    };
}

fn element(name: &str, message: &str, text: &str) -> String {
    format!(
        "<{name} message=\"{}\">{}</{name}>",
        escape(&literal_line(message)),
        escape(text)
    )
}

fn fields(drift: &ReportDrift) -> String {
    let line = |field: &crate::drift::report::ReportField| {
        format!(
            "{}: {} -> {}",
            literal_line(&field.field),
            literal_line(&field.before.line()),
            literal_line(&field.after.line())
        )
    };
    drift.fields.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Escapes text for an XML document. Text from hosts may contain characters that XML forbids: these
/// become visible escapes first.
fn escape(text: &str) -> String {
    literal_lines(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\n', "&#10;")
        .replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_a_host_is_escaped() {
        assert_eq!(
            escape("<a b=\"&\">\u{1b}[2J\n\u{0}\u{ffff}"),
            "&lt;a b=&quot;&amp;&quot;&gt;\\u{1b}[2J&#10;\\u{0}\u{fffd}"
        );
    }
}
