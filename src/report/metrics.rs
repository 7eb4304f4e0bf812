//! A report in Prometheus text format, for the textfile collector of the node exporter.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::drift::{CheckReport, HostState};
use crate::kinds::KINDS;

/// Returns the text. Every series has the label `playbook`, so the files of several timers do not
/// conflict.
#[must_use]
pub fn metrics_text(report: &CheckReport) -> String {
    let playbook = report
        .playbooks
        .iter()
        .map(|path| stem(path))
        .collect::<Vec<_>>()
        .join(",");
    let mut page = MetricsWriter {
        text: String::new(),
        playbook,
    };
    let seconds = |text: &str| {
        let moment = humantime::parse_rfc3339(text).ok()?;
        Some(moment.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs() as f64)
    };
    let gauge = &mut page;
    gauge.one(
        "skep_check_timestamp_seconds",
        "Start of the last check.",
        seconds(&report.started),
    );
    gauge.one(
        "skep_check_duration_seconds",
        "Duration of the last check.",
        Some(report.millis as f64 / 1000.0),
    );
    gauge.one(
        "skep_check_exit_code",
        "Exit code of the last check.",
        Some(f64::from(report.exit_code)),
    );
    gauge.one(
        "skep_check_last_success_timestamp_seconds",
        "Start of the last check that read every resource of every host, with or without drift; missing if there was none.",
        report.last_success.as_deref().and_then(seconds),
    );
    gauge.head("skep_hosts", "Hosts by state.");
    for state in HostState::ALL {
        let count = report
            .hosts
            .iter()
            .filter(|host| host.state == state)
            .count();
        gauge.series("skep_hosts", &[("state", state.key())], count as f64);
    }
    gauge.one(
        "skep_unreachable_hosts",
        "Unreachable hosts.",
        Some(report.totals.unreachable as f64),
    );
    gauge.head(
        "skep_host_state",
        "1 for the state of the host, 0 for the other states.",
    );
    for host in &report.hosts {
        for state in HostState::ALL {
            let labels = [("host", host.host.as_str()), ("state", state.key())];
            gauge.series(
                "skep_host_state",
                &labels,
                f64::from(u8::from(host.state == state)),
            );
        }
    }
    gauge.head(
        "skep_host_drifted_resources",
        "Resources of the host that differ and are not ignored.",
    );
    for host in &report.hosts {
        gauge.series(
            "skep_host_drifted_resources",
            &[("host", &host.host)],
            host.drift.len() as f64,
        );
    }
    let mut kinds: BTreeMap<&str, usize> = KINDS
        .iter()
        .chain(&["cluster"])
        .map(|kind| (*kind, 0))
        .collect();
    for drift in report.hosts.iter().flat_map(|host| &host.drift) {
        *kinds.entry(&drift.kind).or_default() += 1;
    }
    gauge.head(
        "skep_drifted_resources",
        "Resources that differ and are not ignored, by kind.",
    );
    for (kind, count) in kinds {
        gauge.series("skep_drifted_resources", &[("kind", kind)], count as f64);
    }
    let totals = &report.totals;
    gauge.one(
        "skep_failed_resources",
        "Resources that could not be read or were refused.",
        Some(totals.failed_resources as f64),
    );
    gauge.one(
        "skep_ignored_resources",
        "Resources whose drift is ignored by a rule.",
        Some(totals.ignored as f64),
    );
    gauge.one(
        "skep_expired_ignore_rules",
        "Expired ignore rules.",
        Some(report.expired_rules.len() as f64),
    );
    if let Some(cluster) = &report.cluster {
        gauge.head(
            "skep_swarm_members",
            "Nodes of the swarm by role, as a manager lists them.",
        );
        for role in ["manager", "worker"] {
            let count = cluster
                .members
                .iter()
                .filter(|member| member.role == role)
                .count();
            gauge.series("skep_swarm_members", &[("role", role)], count as f64);
        }
        gauge.one(
            "skep_swarm_voters",
            "Managers of the swarm that are reachable.",
            Some(cluster.voters as f64),
        );
        gauge.head(
            "skep_swarm_certificate_expiry_timestamp_seconds",
            "End of the node's certificate, as last read.",
        );
        for member in &cluster.members {
            let until = member
                .certificate
                .as_ref()
                .and_then(|certificate| seconds(&certificate.until));
            if let (Some(host), Some(until)) = (&member.host, until) {
                gauge.series(
                    "skep_swarm_certificate_expiry_timestamp_seconds",
                    &[("host", host)],
                    until,
                );
            }
        }
        gauge.one(
            "skep_swarm_problems",
            "Problems of the swarm.",
            Some(cluster.problems.len() as f64),
        );
    }
    page.text
}

fn stem(path: &str) -> &str {
    Path::new(path)
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or(path)
}

struct MetricsWriter {
    text: String,
    playbook: String,
}

impl MetricsWriter {
    fn head(&mut self, name: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} gauge");
    }

    fn series(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let mut all = format!("playbook=\"{}\"", escape(&self.playbook));
        for (key, text) in labels {
            let _ = write!(all, ",{key}=\"{}\"", escape(text));
        }
        let _ = writeln!(self.text, "{name}{{{all}}} {value}");
    }

    /// Writes a metric of one series; writes nothing if there is no value.
    fn one(&mut self, name: &str, help: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.head(name, help);
            self.series(name, &[], value);
        }
    }
}

/// Applies the three escapes of the exposition format for label values.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut page = MetricsWriter {
            text: String::new(),
            playbook: "a\"b".into(),
        };
        page.series("x", &[("host", "c\\d\ne")], 1.0);
        assert_eq!(page.text, "x{playbook=\"a\\\"b\",host=\"c\\\\d\\ne\"} 1\n");
    }
}
