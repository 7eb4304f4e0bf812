//! Progress for people on stderr. On a terminal: one line per active host, under one bar for all
//! hosts. Elsewhere: plain lines for changes, failures and unreachable hosts.

use std::collections::HashMap;
use std::time::Duration;

use console::Style;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;

use super::{Screen, hosts_text, literal};
use crate::names::HostName;
use crate::runner::event::Event;
use crate::runner::{Outcome, ResourceOutcome};

/// Maximum number of host lines drawn at once; more would not fit on a terminal.
const MOST_LINES: usize = 16;

/// Shows the events of a run until the stream ends.
pub async fn report_progress(screen: &Screen, mut events: mpsc::Receiver<Event>) {
    let mut progress = ProgressDisplay {
        screen,
        whole: None,
        hosts: HashMap::new(),
    };
    while let Some(event) = events.recv().await {
        progress.show(&event);
    }
    progress.clear();
}

struct ProgressDisplay<'a> {
    screen: &'a Screen,
    whole: Option<ProgressBar>,
    hosts: HashMap<HostName, ProgressBar>,
}

impl ProgressDisplay<'_> {
    fn show(&mut self, event: &Event) {
        match event {
            Event::RunStarted { verb, hosts } => {
                self.start(&format!("{verb}: reading"), hosts.len());
            }
            Event::Connecting { host } => self.line(host, "connecting"),
            Event::Connected { host, millis, .. } => {
                self.line(host, "connected");
                self.detail(1, host, &format!("connected in {millis} ms"));
            }
            Event::Gathering { host } => self.line(host, "reading"),
            Event::Planned { host, .. } | Event::HostFinished { host } => self.done(host),
            Event::Unreachable { host, trouble } => {
                self.warn(host, &format!("unreachable: {}", trouble.why));
                self.note(host, &format!("  try: {}", trouble.hint));
                self.done(host);
            }
            Event::HostFailed { host, trouble } => {
                self.warn(host, &format!("failed: {}", trouble.why));
                self.note(host, &format!("  try: {}", trouble.hint));
                self.done(host);
            }
            Event::PlayStarted { play, hosts } => {
                self.clear();
                self.screen.styled_note(
                    &Style::new().bold(),
                    &format!("play: {} ({})", literal(play), hosts_text(hosts.len())),
                );
                self.start(play, hosts.len());
            }
            Event::Waiting { host, why } => {
                self.line(host, &format!("waiting: {why}"));
                self.detail(0, host, &format!("waiting: {why}"));
            }
            Event::Converging {
                host,
                service,
                running,
                desired,
                trouble,
            } => {
                let why = trouble
                    .as_ref()
                    .map_or_else(String::new, |why| format!(" ({why})"));
                let text = format!("{service}: {running}/{desired} running{why}");
                self.line(host, &text);
                self.detail(0, host, &text);
            }
            Event::ForecastDiffers {
                host,
                resource,
                how,
            } => {
                self.note(host, &format!("{resource} differs from the plan: {how}"));
            }
            Event::ChangeStarted { host, resource, .. } => {
                self.detail(1, host, &format!("changing {resource}"));
            }
            Event::StepStarted {
                host,
                resource,
                step,
            } => {
                self.line(host, step);
                self.detail(1, host, &format!("{resource}: {step} ..."));
            }
            Event::StepFinished {
                host,
                resource,
                step,
                millis,
            } => {
                let seconds = Duration::from_millis(*millis).as_secs_f32();
                self.detail(1, host, &format!("{resource}: {step} ({seconds:.1} s)"));
            }
            Event::ResourceFinished { host, result } => self.finished(host, result),
            Event::Note {
                host: Some(host),
                text,
            } => self.note(host, &format!("note: {text}")),
            Event::Note { host: None, text } => self.screen.note(&literal(text)),
            Event::RunFinished { .. } => self.clear(),
        }
    }

    fn finished(&self, host: &HostName, result: &ResourceOutcome) {
        match &result.outcome {
            Outcome::Changed => {
                let sign = result
                    .change
                    .as_ref()
                    .map_or('~', |change| change.action.sign());
                self.styled(
                    &Style::new().green(),
                    host,
                    &format!("{sign} {}", result.resource),
                );
            }
            Outcome::Failed { why, hint } => {
                self.warn(host, &format!("x {}: {why}", result.resource));
                if !hint.is_empty() {
                    self.note(host, &format!("  try: {hint}"));
                }
            }
            Outcome::Unchanged => self.detail(2, host, &format!("= {}", result.resource)),
            Outcome::Differs | Outcome::Skipped { .. } => {}
        }
    }

    fn start(&mut self, what: &str, hosts: usize) {
        if !self.screen.is_terminal() {
            return;
        }
        let bar = self.screen.bars().add(ProgressBar::new(hosts as u64));
        if let Ok(style) =
            ProgressStyle::with_template("{spinner} {msg}  {pos}/{len} hosts  {elapsed}")
        {
            bar.set_style(style);
        }
        bar.set_message(literal(what).into_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        self.whole = Some(bar);
    }

    fn line(&mut self, host: &HostName, text: &str) {
        if !self.screen.is_terminal() {
            return;
        }
        if !self.hosts.contains_key(host) {
            if self.hosts.len() >= MOST_LINES {
                return;
            }
            let bar = self.screen.bars().add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("  {spinner} {prefix:<16} {wide_msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(host.to_string());
            bar.enable_steady_tick(Duration::from_millis(120));
            self.hosts.insert(host.clone(), bar);
        }
        if let Some(bar) = self.hosts.get(host) {
            bar.set_message(literal(text).into_owned());
        }
    }

    fn done(&mut self, host: &HostName) {
        if let Some(bar) = self.hosts.remove(host) {
            bar.finish_and_clear();
        }
        if let Some(whole) = &self.whole {
            whole.inc(1);
        }
    }

    fn clear(&mut self) {
        for (_, bar) in self.hosts.drain() {
            bar.finish_and_clear();
        }
        if let Some(whole) = self.whole.take() {
            whole.finish_and_clear();
        }
    }

    fn detail(&self, level: u8, host: &HostName, text: &str) {
        if self.screen.verbose() >= level && (level > 0 || !self.screen.is_terminal()) {
            self.note(host, text);
        }
    }

    fn note(&self, host: &HostName, text: &str) {
        self.screen.note(&format!("{host}: {}", literal(text)));
    }

    fn warn(&self, host: &HostName, text: &str) {
        self.styled(&Style::new().red(), host, text);
    }

    fn styled(&self, style: &Style, host: &HostName, text: &str) {
        self.screen
            .styled_note(style, &format!("{host}: {}", literal(text)));
    }
}
