//! `command`: an arbitrary command, for tasks that no other kind covers. Its conditions (`creates`,
//! `unless`) say when it need not run, so that a second run changes nothing. Whenever the command
//! would run, the plan shows it in full, marked with `!`.

use std::time::Duration;

use serde::Deserialize;

use super::{AbsolutePath, AccountName};
use crate::base::{RUN_SHELL_TEXT_STRICT, sh_quote};
use crate::model::{
    Action, Change, DisplayValue, Disruption, HostAnswers, HostContext, InvalidField, Observation,
    Operation, ProbeError, Query, Refusal, ResourceKind, STEP_TIMEOUT, ShellQuery, Step,
};

/// Longest name of a command, in characters.
const NAME_LENGTH: usize = 60;

/// A command.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandResource {
    /// Name in messages. Default: the first 60 characters of the command.
    name: Option<String>,
    /// POSIX shell text, which ends at the first command that fails. Either `run` or `argv` is
    /// given. The text is in no list of processes.
    run: Option<String>,
    /// Program and its arguments, taken literally, without a shell. Every account of the host can
    /// see them in the list of processes while the program runs.
    argv: Option<Vec<String>>,
    /// Path that the command creates. The command need not run if the path exists, and the path
    /// must exist after a run.
    creates: Option<AbsolutePath>,
    /// Condition as shell text: the command need not run if the text ends with status 0. It runs as
    /// root at every plan and check, and must only read.
    unless: Option<String>,
    /// Run the command at every apply. Default `false`; then `creates` or `unless` is required.
    #[serde(default)]
    always: bool,
    /// Account that runs the command. Default `root`.
    user: Option<AccountName>,
    /// Standard input of the command; never shown. Default: empty.
    #[serde(default)]
    stdin: String,
    /// Time limit, e.g. `"10m"`. Default `"2m"`.
    timeout: Option<String>,
    /// Disruption by the command: `"nothing"` (default), `"reload"`, `"service_restart"` or
    /// `"engine_restart"` (one host at a time, after a quorum check).
    #[serde(default)]
    disturbs: CommandDisruption,
    /// Parsed `timeout`; set by [`ResourceKind::bind`].
    #[serde(skip)]
    limit: Duration,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CommandDisruption {
    #[default]
    Nothing,
    Reload,
    ServiceRestart,
    EngineRestart,
}

/// Observed conditions of the command.
#[derive(Debug)]
pub struct RunConditions {
    /// True if the path of `creates` exists.
    created: Option<bool>,
    /// Exit status of `unless`.
    status: Option<i32>,
}

/// Runs a program with its arguments. The shell finds the program, because `env --` would take
/// `NAME=value` for a variable.
const EXECUTE: &str = r#"command -v -- "$1" >/dev/null || {
  printf 'there is no program %s on this host\n' "$1" >&2
  exit 127
}
"$@"
"#;

/// Fails if the path `$1` does not exist.
const VERIFY: &str = r#"[ -e "$1" ] || [ -L "$1" ] || {
  printf 'the command succeeded, but %s does not exist\n' "$1" >&2
  exit 1
}
"#;

impl ResourceKind for CommandResource {
    const NAME: &'static str = "command";
    type Observed = RunConditions;

    fn name(&self) -> String {
        let name = self.name.clone().unwrap_or_else(|| self.text());
        // Quotes stay as written: only characters that would break the line are escaped.
        let shown = |one: char| {
            if one.is_control() {
                one.escape_default().to_string()
            } else {
                one.to_string()
            }
        };
        name.trim().chars().take(NAME_LENGTH).map(shown).collect()
    }

    fn bind(&mut self, _context: &HostContext<'_>) -> Result<(), InvalidField> {
        let empty = self.run.as_ref().is_some_and(|run| run.trim().is_empty())
            || self
                .argv
                .as_ref()
                .is_some_and(|argv| argv.first().is_none_or(String::is_empty));
        if self.run.is_some() == self.argv.is_some() || empty {
            return Err(InvalidField::new(
                "run",
                "either `run` or `argv` must be given, and not empty",
            )
            .hint("write run = \"make install\" or argv = [\"make\", \"install\"]"));
        }
        let texts = self
            .argv
            .iter()
            .flatten()
            .chain(&self.run)
            .chain(&self.unless);
        if texts.into_iter().any(|text| text.contains('\0')) {
            return Err(InvalidField::new(
                "run",
                "a command cannot contain the character NUL",
            ));
        }
        // The input is sent as an argument, which cannot contain NUL, so that the command never
        // reads only a part of the input.
        if self.stdin.contains('\0') {
            return Err(InvalidField::new(
                "stdin",
                "the input of a command cannot contain the character NUL",
            ));
        }
        if self
            .argv
            .as_ref()
            .is_some_and(|argv| argv[0].starts_with('-'))
        {
            return Err(InvalidField::new(
                "argv",
                "the name of a program does not begin with \"-\"",
            ));
        }
        let conditional = self.creates.is_some() || self.unless.is_some();
        if conditional == self.always {
            return Err(InvalidField::new(
                "always",
                "a command has either a condition (`creates` or `unless`) or always = true",
            )
            .hint("give `creates` or `unless`, or set always = true (a change at every run)"));
        }
        if self
            .unless
            .as_ref()
            .is_some_and(|unless| unless.trim().is_empty())
        {
            return Err(InvalidField::new("unless", "the condition is empty")
                .hint("write unless = \"test -e /path\""));
        }
        self.limit = match &self.timeout {
            None => STEP_TIMEOUT,
            Some(text) => humantime::parse_duration(text)
                .ok()
                .filter(|limit| !limit.is_zero())
                .ok_or_else(|| {
                    InvalidField::new("timeout", format!("{text:?} is not a time"))
                        .hint("write \"90s\" or \"10m\"")
                })?,
        };
        Ok(())
    }

    fn queries(&self) -> Vec<Query> {
        let path = self.creates.iter().map(|path| Query::path(path.as_str()));
        path.chain(self.unless.iter().map(|script| {
            Query::Shell(ShellQuery::Test {
                script: script.clone(),
            })
        }))
        .collect()
    }

    fn observe(&self, answers: &HostAnswers) -> Result<Observation<Self::Observed>, ProbeError> {
        let created = self
            .creates
            .as_ref()
            .map(|path| answers.path(path.as_str()).map(|state| state.is_some()));
        let status = self
            .unless
            .as_ref()
            .map(|script| answers.test(script).copied());
        Ok(Observation::Known(RunConditions {
            created: created.transpose()?,
            status: status.transpose()?,
        }))
    }

    fn plan(&self, observed: &Self::Observed) -> Result<Option<Change>, Refusal> {
        if observed.created == Some(true) || observed.status == Some(0) {
            return Ok(None);
        }
        let mut change = Change::new(Action::Run).field(
            "run",
            DisplayValue::Absent,
            DisplayValue::content(self.text().as_bytes()),
        );
        if let Some(path) = &self.creates {
            change = change.field(
                "creates",
                DisplayValue::Absent,
                DisplayValue::text(path.to_string()),
            );
        }
        if let (Some(script), Some(status)) = (&self.unless, observed.status) {
            let before = format!("status {status} of {}", script.escape_debug());
            change = change.field(
                "unless",
                DisplayValue::text(before),
                DisplayValue::text("status 0"),
            );
        }
        if let Some(user) = &self.user {
            change = change.field(
                "user",
                DisplayValue::Absent,
                DisplayValue::text(user.to_string()),
            );
        }
        change = change.step(self.step()).disturbing(self.disturbs.into());
        if let Some(path) = &self.creates {
            change = change.step(Step::script(
                format!("check that {path} exists"),
                VERIFY,
                [path.as_str()],
            ));
        }
        change.repeats = self.always;
        Ok(Some(change))
    }
}

impl CommandResource {
    /// Creates a command of skep itself that runs as root unless the condition ends with status 0.
    /// Both arguments are shell text; neither is empty.
    #[must_use]
    pub fn with_condition(run: &str, unless: &str) -> Self {
        Self {
            name: None,
            run: Some(run.to_owned()),
            argv: None,
            creates: None,
            unless: Some(unless.to_owned()),
            always: false,
            user: None,
            stdin: String::new(),
            timeout: None,
            disturbs: CommandDisruption::Nothing,
            limit: STEP_TIMEOUT,
        }
    }

    /// Returns the command as a person would read it.
    fn text(&self) -> String {
        match (&self.run, &self.argv) {
            (Some(run), _) => run.clone(),
            (None, argv) => argv
                .iter()
                .flatten()
                .map(|word| quoted(word))
                .collect::<Vec<_>>()
                .join(" "),
        }
    }

    fn step(&self) -> Step {
        let summary = format!("run {}", ResourceKind::name(self));
        let step = match (&self.run, &self.argv) {
            (Some(run), _) => Step::script(summary, RUN_SHELL_TEXT_STRICT, [run]),
            (None, argv) => Step::script(summary, EXECUTE, argv.iter().flatten()),
        };
        let mut step = step
            .with_stdin(self.stdin.as_bytes())
            .with_timeout(self.limit);
        if let (Operation::Script(script), Some(user)) = (&mut step.act, &self.user) {
            script.user = Some(user.to_string());
        }
        step
    }
}

impl From<CommandDisruption> for Disruption {
    fn from(disturbs: CommandDisruption) -> Self {
        match disturbs {
            CommandDisruption::Nothing => Self::Nothing,
            CommandDisruption::Reload => Self::Reload,
            CommandDisruption::ServiceRestart => Self::ServiceRestart,
            CommandDisruption::EngineRestart => Self::EngineRestart,
        }
    }
}

/// Quotes a word that a reader could take for several words; for display only.
fn quoted(word: &str) -> String {
    let plain = |one: char| one.is_alphanumeric() || "-_./=:,@%+".contains(one);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        sh_quote(word)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::trial::{self, HOSTILE_NAMES, ScratchFolder};
    use super::*;
    use crate::model::{HostAnswers, PathType, QueryAnswer};

    #[test]
    fn runs_only_if_its_conditions_require_it() {
        let created: CommandResource = trial::kind("run = 'make'\ncreates = '/x'");
        let absent = HostAnswers::default().with(Query::path("/x"), QueryAnswer::Path(None));
        let change = trial::plan(&created, &absent).unwrap();
        assert_eq!(
            (change.action, trial::fields(&change)),
            (
                Action::Run,
                vec!["run: - => make".into(), "creates: - => /x".into()]
            )
        );
        assert_eq!((change.steps.len(), change.repeats), (2, false));
        assert!(
            trial::plan(
                &created,
                &HostAnswers::default()
                    .with(Query::path("/x"), trial::path_answer(PathType::File, 0))
            )
            .is_none()
        );

        let unless: CommandResource = trial::kind(
            "run = 'make'\nunless = 'test -e /y'\nuser = 'ann'\ndisturbs = 'engine_restart'",
        );
        let status = |status| {
            HostAnswers::default().with(
                Query::Shell(ShellQuery::Test {
                    script: "test -e /y".into(),
                }),
                QueryAnswer::Test(status),
            )
        };
        assert!(trial::plan(&unless, &status(0)).is_none());
        for failed in [1, 127] {
            let change = trial::plan(&unless, &status(failed)).unwrap();
            assert_eq!(
                trial::fields(&change)[1],
                format!("unless: status {failed} of test -e /y => status 0")
            );
            assert_eq!(change.disturbs, Disruption::EngineRestart);
            let Operation::Script(script) = &change.steps[0].act else {
                panic!()
            };
            assert_eq!(script.user.as_deref(), Some("ann"));
        }
        let always: CommandResource =
            trial::kind("argv = ['echo', 'a b', '']\nalways = true\ntimeout = '10m'");
        let change = trial::plan(&always, &HostAnswers::default()).unwrap();
        assert_eq!(
            (trial::fields(&change), change.repeats),
            (vec!["run: - => echo 'a b' ''".into()], true)
        );
        let Operation::Script(script) = &change.steps[0].act else {
            panic!()
        };
        assert_eq!(script.timeout, Duration::from_secs(600));
    }

    #[test]
    fn name_is_short_and_escaped() {
        let command: CommandResource = trial::kind(
            "run = \"\\u001b[2Jecho\\n1234567890123456789012345678901234567890123456789012345678901234\"\nalways = true",
        );
        assert!(
            ResourceKind::name(&command).starts_with("\\u{1b}[2Jecho\\n123")
                && ResourceKind::name(&command).len() < 75
        );
        let command: CommandResource = trial::kind("name = 'build'\nrun = 'make'\nalways = true");
        assert_eq!(ResourceKind::name(&command), "build");
    }

    #[test]
    fn steps_succeed_with_hostile_arguments() {
        let scratch = ScratchFolder::new();
        for name in HOSTILE_NAMES {
            let path = trial::quoted(&scratch.path(name));
            trial::settle(
                &trial::kind::<CommandResource>(&format!(
                    "argv = ['touch', '--', {path}]\ncreates = {path}"
                )),
                &scratch.path(name),
            );
        }
        assert_eq!(
            scratch.entries().len(),
            HOSTILE_NAMES.len(),
            "nothing else was made"
        );
        let path = scratch.path("piped");
        let table =
            format!("run = '''set -- a\ncat >\"{path}\"'''\nstdin = '$(id)'\ncreates = '{path}'");
        trial::settle(&trial::kind::<CommandResource>(&table), &path);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "$(id)");
    }

    #[test]
    fn fails_on_a_bad_status_or_a_missing_created_path() {
        let change = |table: &str| {
            trial::plan(
                &trial::kind::<CommandResource>(table),
                &HostAnswers::default().with(Query::path("/nowhere/x"), QueryAnswer::Path(None)),
            )
            .unwrap()
        };
        let lie = change("run = 'true'\ncreates = '/nowhere/x'");
        assert!(
            trial::perform(&lie)
                .unwrap_err()
                .contains("/nowhere/x does not exist")
        );
        assert!(
            trial::perform(&change("run = '''false\ntrue'''\nalways = true")).is_err(),
            "an early failure counts"
        );
        assert!(
            trial::perform(&change("argv = ['no-such-program']\nalways = true"))
                .unwrap_err()
                .contains("no program")
        );
    }

    #[test]
    fn bad_input_is_refused() {
        for (table, word) in [
            ("run = 'make'", "always"),
            ("run = 'make'\nalways = true\ncreates = '/x'", "always"),
            ("always = true", "either"),
            ("run = 'a'\nargv = ['a']\nalways = true", "either"),
            ("argv = []\nalways = true", "either"),
            ("argv = ['-c']\nalways = true", "begin"),
            ("run = \"a\\u0000b\"\nalways = true", "NUL"),
            ("run = 'a'\nalways = true\nstdin = \"a\\u0000b\"", "NUL"),
            ("run = 'a'\nunless = ' '", "empty"),
            ("run = 'a'\nalways = true\ntimeout = 'soon'", "time"),
            ("run = 'a'\nalways = true\nuser = '-x'", "name of a user"),
            (
                "run = 'a'\nalways = true\ndisturbs = 'manager_loss'",
                "unknown variant",
            ),
            ("run = 'a'\ncreates = 'x'", "absolute"),
        ] {
            let error = trial::invalid::<CommandResource>(table);
            assert!(error.contains(word), "{table}: {error}");
        }
    }
}
