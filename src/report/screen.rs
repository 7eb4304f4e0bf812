//! The terminal, shared by progress bars, results and questions, so that none writes through another.

use std::io::{IsTerminal, Write};

use console::Style;
use indicatif::{MultiProgress, ProgressDrawTarget};
use secrecy::SecretString;

use super::literal::json_literal;

/// When to colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where a run's words go.
#[derive(Clone)]
pub struct Screen {
    bars: MultiProgress,
    terminal: bool,
    color_out: bool,
    color_err: bool,
    verbose: u8,
}

impl Screen {
    /// The process's own stdout and stderr. Progress bars are drawn only when stderr is a terminal and `progress` is set.
    #[must_use]
    pub fn new(color: ColorChoice, progress: bool, verbose: u8) -> Self {
        let terminal = progress && console::Term::stderr().is_term();
        let target = if terminal {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let wants = |is_terminal: bool| match color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none(),
        };
        Self {
            bars: MultiProgress::with_draw_target(target),
            terminal,
            color_out: wants(console::Term::stdout().is_term()),
            color_err: wants(console::Term::stderr().is_term()),
            verbose,
        }
    }

    /// Whether bars can be drawn.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// How many `-v` were given.
    #[must_use]
    pub fn verbose(&self) -> u8 {
        self.verbose
    }

    /// Whether results are coloured.
    #[must_use]
    pub fn colors_results(&self) -> bool {
        self.color_out
    }

    /// Whether messages on stderr are coloured.
    #[must_use]
    pub fn colors_messages(&self) -> bool {
        self.color_err
    }

    pub(super) fn bars(&self) -> &MultiProgress {
        &self.bars
    }

    /// Prints a result to stdout, as it is. A reader that went away (a closed pipe) is no error.
    pub fn result(&self, text: &str) {
        self.bars.suspend(|| {
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        });
    }

    /// Prints a result to stdout as one line of JSON.
    pub fn json(&self, value: &impl serde::Serialize) {
        // Only a map with keys that are no text could fail; no result has one.
        if let Ok(line) = serde_json::to_string(value) {
            self.result(&(json_literal(&line) + "\n"));
        }
    }

    /// Prints a line to stderr.
    pub fn note(&self, line: &str) {
        self.bars.suspend(|| {
            let _ = writeln!(std::io::stderr().lock(), "{line}");
        });
    }

    /// Prints a line to stderr in a style, where colours are wanted.
    pub fn styled_note(&self, style: &Style, line: &str) {
        let style = style.clone().force_styling(self.color_err);
        self.note(&style.apply_to(line).to_string());
    }

    /// Whether somebody sits at a terminal, wherever the standard streams go.
    #[must_use]
    pub fn has_keyboard() -> bool {
        std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/tty")
            .is_ok()
    }

    /// Asks on the terminal for a secret, which is not shown; `None` when there is no terminal or nothing was given.
    #[must_use]
    pub fn ask_secret(&self, question: &str) -> Option<SecretString> {
        let answer = self
            .bars
            .suspend(|| rpassword::prompt_password(question))
            .ok()?;
        (!answer.is_empty()).then(|| SecretString::from(answer))
    }

    /// Whether somebody can see a question and answer it: stdin and stderr are a terminal. Stdout may go to a file.
    #[must_use]
    pub fn can_ask(&self) -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Asks a yes-or-no question on stderr and reads the answer from stdin; anything but `y` or `yes` is no.
    #[must_use]
    pub fn ask(&self, question: &str) -> bool {
        self.bars.suspend(|| {
            let mut err = std::io::stderr().lock();
            let _ = write!(err, "{question} [y/N] ").and_then(|()| err.flush());
            let mut answer = String::new();
            let read = std::io::stdin().read_line(&mut answer);
            read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
        })
    }
}
