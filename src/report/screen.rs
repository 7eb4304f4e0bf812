//! The terminal, shared by progress bars, results and questions: all output goes through here, so
//! no output overwrites another.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use console::Style;
use indicatif::{MultiProgress, ProgressDrawTarget};
use secrecy::SecretString;

use super::literal::{json_literal, literal_output};

/// Use of colours.
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

/// Output of a run.
#[derive(Clone)]
pub struct Screen {
    bars: MultiProgress,
    terminal: bool,
    color_out: bool,
    color_err: bool,
    verbose: u8,
}

impl Screen {
    /// Returns a screen over the process's stdout and stderr. Progress bars are drawn only if
    /// stderr is a terminal and `progress` is set.
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

    /// Returns true if progress bars are drawn.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Number of `-v` flags.
    #[must_use]
    pub fn verbose(&self) -> u8 {
        self.verbose
    }

    /// Returns true if results are coloured.
    #[must_use]
    pub fn colors_results(&self) -> bool {
        self.color_out
    }

    /// Returns true if messages on stderr are coloured.
    #[must_use]
    pub fn colors_messages(&self) -> bool {
        self.color_err
    }

    pub(super) fn bars(&self) -> &MultiProgress {
        &self.bars
    }

    /// Prints a result to stdout, without control characters. A closed pipe is not an error.
    pub fn result(&self, text: &str) {
        let text = literal_output(text);
        self.bars.suspend(|| {
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        });
    }

    /// Prints a result to stdout as one line of JSON.
    pub fn json(&self, value: &impl serde::Serialize) {
        // Serialization fails only for maps whose keys are not strings; no result has one.
        if let Ok(line) = serde_json::to_string(value) {
            self.result(&(json_literal(&line) + "\n"));
        }
    }

    /// Prints a line to stderr.
    pub fn note(&self, line: &str) {
        self.bars.suspend(|| {
            let _ = writeln!(std::io::stderr().lock(), "{}", literal_output(line));
        });
    }

    /// Prints a line to stderr in a style, if colours are used.
    pub fn styled_note(&self, style: &Style, line: &str) {
        let style = style.clone().force_styling(self.color_err);
        self.note(&style.apply_to(line).to_string());
    }

    /// Returns true if the process has a terminal, even if the standard streams are redirected.
    #[must_use]
    pub fn has_keyboard() -> bool {
        std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/tty")
            .is_ok()
    }

    /// Asks on the terminal for a secret, without echo; `None` if there is no terminal or the
    /// answer is empty.
    #[must_use]
    pub fn ask_secret(&self, question: &str) -> Option<SecretString> {
        let answer = self
            .bars
            .suspend(|| rpassword::prompt_password(question))
            .ok()?;
        (!answer.is_empty()).then(|| SecretString::from(answer))
    }

    /// Asks a yes-or-no question on the terminal of the process, even if the standard streams are
    /// redirected; every answer except `y` and `yes` means no.
    #[must_use]
    pub fn ask_keyboard(&self, question: &str) -> bool {
        self.bars.suspend(|| {
            let terminal = std::fs::OpenOptions::new()
                .read(true)
                .write(true)
                .open("/dev/tty");
            let Ok(mut terminal) = terminal else {
                return false;
            };
            let asked = write!(terminal, "{question} [y/N] ").and_then(|()| terminal.flush());
            let mut answer = String::new();
            let read = std::io::BufReader::new(terminal).read_line(&mut answer);
            asked.is_ok() && read.is_ok() && is_yes(&answer)
        })
    }

    /// Returns true if the user can see and answer a question: stdin and stderr are a terminal.
    /// Stdout may be redirected to a file.
    #[must_use]
    pub fn can_ask(&self) -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Asks a yes-or-no question on stderr and reads the answer from stdin; every answer except `y`
    /// and `yes` means no.
    #[must_use]
    pub fn ask(&self, question: &str) -> bool {
        self.bars.suspend(|| {
            let mut err = std::io::stderr().lock();
            let _ = write!(err, "{question} [y/N] ").and_then(|()| err.flush());
            let mut answer = String::new();
            let read = std::io::stdin().read_line(&mut answer);
            read.is_ok() && is_yes(&answer)
        })
    }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}
