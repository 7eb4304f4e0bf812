//! Text of a batch: one shell of root runs several steps in order, then a reading. Each step is a
//! shell of its own behind its own `timeout`, and gets its text and its input from the standard
//! input of the batch, so neither is in a process list.

use super::step_lock;
use super::{
    Bootstrap, KILL_AFTER, Privilege, READ_GROUP, environment, header, limit_seconds, quote,
    set_arguments,
};
use crate::transport::ssh::elevate;
use crate::transport::{Exec, StepBatch, TransportError};

/// Runs one step: $1 is its index, $2 the number of bytes of its text and input together, $3 that
/// of its text, $4 its time limit in seconds, $5 the words that run it as another account, $6 its
/// summary.
///
/// A file in the folder of the host's lock tells that the run was interrupted; it is looked for
/// before each change. The step gets neither the lock's descriptor nor the channel's standard
/// output; its shell prints its process group and its end on descriptor 3. Bytes that it does not
/// read are read all the same, so the next step finds its own text. A step of root without input
/// reads its text itself, which saves processes; it then continues with an empty input. Another
/// account never gets the input of the batch, which carries the texts of later steps. The uptime
/// shows whether the time limit was exceeded, because a script may also end with the status of
/// `timeout`.
const RUN_STEP: &str = r#"
skep_go_on() {
[ -e "$skep_lock_path/stop" ] || return 0
printf '%s%s interrupted\n' "$skep_mark" "$1"; return 1
}
skep_run() {
printf '%s%s start\n' "$skep_mark" "$1"; printf '%s%s start\n' "$skep_mark" "$1" >&2
read -r skep_from skep_x </proc/uptime
if ! skep_lock "$6"; then
  skep_refused; skep_status=REFUSED
elif [ "$2" = "$3" ] && [ -z "$5" ]; then
  timeout -k KILL_AFTER "$4" sh -c "eval \"\$(dd bs=$3 count=1 iflag=fullblock 2>/dev/null)\"" 3>&1 >/dev/null 9>&-
  skep_status=$?
else
  dd bs="$2" count=1 iflag=fullblock 2>/dev/null 9>&- |
    timeout -k KILL_AFTER "$4" $5 sh -c "eval \"\$(dd bs=$3 count=1 iflag=fullblock 2>/dev/null)\"" 3>&1 >/dev/null 9>&-
  skep_status=$?
fi
read -r skep_to skep_x </proc/uptime
printf '%s%s end %s %s %s\n' "$skep_mark" "$1" "$skep_status" "$skep_from" "$skep_to"
return "$skep_status"
}
"#;

/// Returns the beginning of each line of the batch, on both outputs.
pub(in crate::transport::ssh) fn line_mark(mark: u128) -> String {
    format!("skep-{mark:032x}-step ")
}

/// Returns the line after which the output of the reading begins, on both outputs.
pub(in crate::transport::ssh) fn reading_mark(mark: u128) -> String {
    format!("skep-{mark:032x}-reading\n")
}

/// Builds the text of a batch for a shell of root. `None` if the steps cannot travel together:
/// a step has no lock, or runs without root's privilege.
///
/// # Errors
/// [`TransportError::Unsendable`] for a value that cannot be passed to a shell.
pub(in crate::transport::ssh) fn build(
    batch: &StepBatch,
    mark: u128,
) -> Result<Option<Bootstrap>, TransportError> {
    let Some(lock) = batch.lock() else {
        return Ok(None);
    };
    let mut script = Vec::new();
    let mut input = Vec::new();
    script.extend_from_slice(b"skep_mark=");
    quote(&line_mark(mark), "the mark", &mut script)?;
    script.extend_from_slice(b"\nskep_lock_path=");
    quote(&lock.path, "the path of the lock", &mut script)?;
    script.push(b'\n');
    step_lock::function(lock, mark, &mut script)?;
    let run_step = RUN_STEP
        .replace("KILL_AFTER", &KILL_AFTER.to_string())
        .replace("REFUSED", &step_lock::REFUSED.to_string());
    script.extend_from_slice(run_step.as_bytes());
    let mut seconds = batch.reading.timeout;
    for (index, (is_first, step)) in batch.steps().enumerate() {
        let run_as = match (&step.lock, &step.privilege) {
            (Some(other), Privilege::Root) if other.is_of_the_same_run(lock) => String::new(),
            (Some(other), Privilege::User(name)) if other.is_of_the_same_run(lock) => {
                elevate::run_as(name)?
            }
            _ => return Ok(None),
        };
        let summary = step.lock.as_ref().map_or("", |lock| &lock.summary);
        let text = step_text(step, index, mark)?;
        let call = format!(
            "{}{}skep_run {index} {} {} {} '{run_as}' ",
            if index == 0 { "" } else { " && " },
            if is_first {
                format!("skep_go_on {index} && ")
            } else {
                String::new()
            },
            text.len() + step.stdin.len(),
            text.len(),
            limit_seconds(step.timeout),
        );
        script.extend_from_slice(call.as_bytes());
        quote(&step_lock::one_line(summary), super::SUMMARY, &mut script)?;
        input.extend_from_slice(&text);
        input.extend_from_slice(&step.stdin);
        seconds = seconds.saturating_add(step.timeout);
    }
    let reading_mark = reading_mark(mark);
    script.extend_from_slice(
        format!("\nexec </dev/null\nprintf %s '{reading_mark}'; printf %s '{reading_mark}' >&2\n")
            .as_bytes(),
    );
    set_arguments(&batch.reading.arguments, &mut script)?;
    script.extend_from_slice(b"(eval ");
    quote(&batch.reading.script, "the reading", &mut script)?;
    script.extend_from_slice(b")\n");

    let begin = format!("skep-{mark:032x}-begin ");
    let end = format!("skep-{mark:032x}-end\n");
    let mut text = super::opening(&Privilege::Root, &begin);
    text.extend_from_slice(&script);
    text.extend_from_slice(
        format!("set -- $?\nprintf %s '{end}'; printf %s '{end}' >&2; exit $1").as_bytes(),
    );
    let text = [header(text.len(), seconds, ""), text, input].concat();
    Ok(Some(Bootstrap {
        shell: Privilege::Root,
        text,
        begin: begin.into_bytes(),
        end: end.into_bytes(),
    }))
}

/// Returns the text of one step's shell. The script is a quoted word, so a text that was cut does
/// not run it, and then the line that tells the end is missing.
fn step_text(step: &Exec, index: usize, mark: u128) -> Result<Vec<u8>, TransportError> {
    let line = line_mark(mark);
    let mut text = format!(
        "{READ_GROUP}printf '{line}{index} group %s\\n' \"$skep_group\" >&3\n{}",
        environment(&step.privilege)
    )
    .into_bytes();
    set_arguments(&step.arguments, &mut text)?;
    let input = if step.stdin.is_empty() {
        " </dev/null"
    } else {
        ""
    };
    text.extend_from_slice(format!("(exec 3>&-{input}; eval ").as_bytes());
    quote(&step.script, "the script", &mut text)?;
    text.extend_from_slice(
        format!(")\nset -- $?\nprintf '{line}{index} done\\n' >&3; exit $1").as_bytes(),
    );
    Ok(text)
}
