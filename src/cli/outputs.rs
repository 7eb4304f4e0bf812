//! Outputs of a check's report besides the screen: files, a command, the history. All of them can
//! be used at once.

use std::path::PathBuf;

use super::selection::RunSelection;
use crate::drift::{CheckReport, FilteredRun};
use crate::report::{
    ReportHistory, Screen, fingerprint, html_text, junit_text, literal_document, metrics_text,
    notify, state_folder, write_whole,
};

/// Permission bits of files with values of hosts, which may be confidential.
const PRIVATE: u32 = 0o600;
/// Permission bits of metrics: the node exporter runs under another account.
const PUBLIC: u32 = 0o644;

/// Outputs of a check. An existing file is replaced as a whole and keeps its permissions; if that
/// fails, it is left unchanged.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct OutputArgs {
    /// Write the report as one JSON document (`skep schema report` prints its schema)
    #[arg(long, value_name = "FILE.json")]
    pub report: Option<PathBuf>,
    /// Write metrics for the node exporter's textfile collector
    #[arg(long, value_name = "FILE.prom")]
    pub metrics: Option<PathBuf>,
    /// Write JUnit XML, for CI systems
    #[arg(long, value_name = "FILE.xml")]
    pub junit: Option<PathBuf>,
    /// Write one self-contained page for a browser
    #[arg(long, value_name = "FILE.html")]
    pub html: Option<PathBuf>,
    /// Run this command (sh -c) with the report on its standard input if the state changed since
    /// the last notification
    #[arg(long, value_name = "COMMAND")]
    pub notify: Option<String>,
    /// Number of reports to keep for `skep history`; 0 keeps none
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub keep: usize,
}

impl OutputArgs {
    /// Returns true if one of the outputs shows the swarm.
    #[must_use]
    pub(super) fn show_cluster(&self) -> bool {
        self.report.is_some()
            || self.metrics.is_some()
            || self.html.is_some()
            || self.notify.is_some()
    }
}

impl OutputArgs {
    /// Returns true if an output is requested.
    #[must_use]
    pub(super) fn writes(&self) -> bool {
        self.show_cluster() || self.junit.is_some()
    }
}

/// Returns the history of a selection, for the same checks as `--single`. `None` without a state
/// folder.
#[must_use]
pub(super) fn history(selection: &RunSelection) -> Option<ReportHistory> {
    Some(ReportHistory::of(&state_folder()?, &selection.words()))
}

/// Writes all outputs and returns true if every requested output succeeded. A failed output does
/// not stop the others.
pub(super) async fn deliver(
    screen: &Screen,
    args: &OutputArgs,
    history: Option<&ReportHistory>,
    report: &CheckReport,
    filtered: &FilteredRun,
) -> anyhow::Result<bool> {
    let document = literal_document(&(serde_json::to_string_pretty(report)? + "\n")).into_bytes();
    let red = console::Style::new().red();
    let mut whole = true;
    let metrics = || metrics_text(report).into_bytes();
    let junit = || junit_text(report, &filtered.summary).into_bytes();
    let page = args
        .html
        .is_some()
        .then(|| html_text(report))
        .transpose()?
        .map(String::into_bytes);
    let files = [
        (
            &args.report,
            args.report.is_some().then(|| document.clone()),
            PRIVATE,
        ),
        (&args.metrics, args.metrics.is_some().then(metrics), PUBLIC),
        (&args.junit, args.junit.is_some().then(junit), PRIVATE),
        (&args.html, page, PRIVATE),
    ];
    for (path, content, mode) in files {
        let (Some(path), Some(content)) = (path, content) else {
            continue;
        };
        if let Err(error) = write_whole(path, &content, mode) {
            screen.styled_note(
                &red,
                &format!("error: {error}; an existing file is left unchanged"),
            );
            whole = false;
        }
    }
    if let Some(command) = &args.notify
        && let Err(error) = tell(command, history, report, &document).await
    {
        screen.styled_note(&red, &format!("error: {error:#}"));
        whole = false;
    }
    if args.keep > 0 {
        // The history is kept by default, so a failure is only a warning and fails no check.
        match history.map(|history| history.keep(report, args.keep)) {
            None => screen.note(
                "warning: the history was not kept: neither XDG_STATE_HOME nor HOME is an absolute path",
            ),
            Some(Err(error)) => screen.note(&format!("warning: the history was not kept: {error}")),
            Some(Ok(())) => {}
        }
    }
    Ok(whole)
}

async fn tell(
    command: &str,
    history: Option<&ReportHistory>,
    report: &CheckReport,
    document: &[u8],
) -> anyhow::Result<()> {
    let Some(history) = history else {
        anyhow::bail!(
            "--notify needs a state folder for the last notification; set XDG_STATE_HOME or HOME"
        );
    };
    let state = fingerprint(report);
    // A first run that is in sync is no news.
    let first_and_well =
        history.last_notified().is_none() && report.state == crate::drift::HostState::InSync;
    if !history.was_notified(&state) && !first_and_well {
        notify(command, document).await?;
    }
    if !history.was_notified(&state) {
        history.record_notified(&state)?;
    }
    Ok(())
}
