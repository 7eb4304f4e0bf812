//! Runs shell text that the user wrote, such as `run` of a command, without showing it in the list
//! of processes, which every account of a host can read.

/// Expands to shell lines that replace the shell with a new one, which runs the text in `$1`.
///
/// The new shell reads the text from file descriptor 3, so its arguments are the same for every
/// text. Its standard input, `$0`, `$#` and exit status are those of `sh -c TEXT`. The last line of
/// the document shows that the whole text has arrived: a part of a text must not run.
macro_rules! shell_text {
    ($options:literal) => {
        concat!(
            "exec sh ",
            $options,
            "-c 'skep_text=$(cat <&3); case $skep_text in *\"\n#skep_end\") ;; \
             *) echo \"only a part of the text arrived\" >&2; exit 1 ;; esac; \
             eval \"unset skep_text; exec 3<&-; ${skep_text%?#skep_end}\"' sh 3<<skep_end\n\
             $1\n#skep_end\nskep_end\n"
        )
    };
}

/// Shell lines that run the shell text `$1`, which ends at the first command that fails.
pub const RUN_SHELL_TEXT_STRICT: &str = shell_text!("-e ");

/// Shell lines that run the shell text `$1`.
pub const RUN_SHELL_TEXT: &str = shell_text!("");

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write as _;
    use std::process::Stdio;

    use super::super::child_command;
    use super::*;

    /// Runs a text, and returns its status, stdout and stderr.
    fn run(script: &str, text: &str) -> (Option<i32>, String, String) {
        let mut child = child_command("/bin/sh")
            .args(["-c", &format!("set -eu\n{script}"), "outer", text])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A text may end without reading its input.
        let _ = child.stdin.take().unwrap().write_all(b"the input\n");
        let output = child.wait_with_output().unwrap();
        let word = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code(),
            word(&output.stdout),
            word(&output.stderr),
        )
    }

    #[test]
    fn a_text_runs_as_with_the_option_c() {
        let long = format!(": {}; echo long", "a".repeat(100_000));
        for text in [
            "cat; echo \"$0 $#\"",
            "echo 'a\\b' \"$HOME\" `echo hi` $(echo there)",
            "exit 7",
            "false; echo after",
            "echo one\nfalse\necho two",
            "false || echo survived; (exit 5)",
            "cat <<X\nhello $LANG\nX",
            "cat <<X\nno end",
            "trap 'echo bye' EXIT; exit 3",
            "# only a comment",
            "echo '#skep_end'\necho after",
            "skep_end=1\necho $skep_end\n",
            "set | grep -c skep_ || :; env | grep skep_ || :",
            "ls /proc/self/fd | wc -l",
            "[ ! -e /proc/$$/fd/3 ]; echo $?",
            "wait; echo waited",
            "unset X; echo ${X-unset}",
            long.as_str(),
        ] {
            for (script, plain) in [
                (RUN_SHELL_TEXT_STRICT, "exec sh -e -c \"$1\""),
                (RUN_SHELL_TEXT, "exec sh -c \"$1\""),
            ] {
                assert_eq!(run(script, text), run(plain, text), "{script} {text}");
            }
        }
        let (status, _, said) = run(RUN_SHELL_TEXT, "echo 1\nno-such-program");
        assert_eq!(status, Some(127));
        assert!(
            said.contains("2:") && said.contains("no-such-program"),
            "{said}"
        );
        assert_eq!(
            run(RUN_SHELL_TEXT, "if (").0,
            Some(2),
            "a syntax error is an error"
        );
    }

    #[test]
    fn a_text_is_in_no_argument_list() {
        let seen =
            "for file in /proc/[0-9]*/cmdline; do tr '\\000' ' ' 2>/dev/null <\"$file\" || :; done";
        let text = format!("# hunter2\nsleep 71 & sleep 0.2; {seen}; kill $!");
        let mut child = child_command("/bin/sh")
            .args([
                "-c",
                &format!("set -- \"$(cat)\"\n{RUN_SHELL_TEXT_STRICT}"),
                "outer",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let listed = String::from_utf8_lossy(&output.stdout);
        assert!(
            listed.contains("sleep 71"),
            "the list is complete: {listed}"
        );
        assert!(!listed.contains(concat!("hunter", "2\nsleep")), "{listed}");
    }

    /// The text comes from a child process of the shell. If that process dies, a part may arrive.
    #[test]
    fn a_part_of_a_text_does_not_run() {
        let torn = RUN_SHELL_TEXT.replace("#skep_end\nskep_end\n", "skep_end\n");
        assert_ne!(torn, RUN_SHELL_TEXT);
        let (status, printed, said) = run(&torn, "echo ran");
        assert_eq!((status, printed.as_str()), (Some(1), ""));
        assert!(said.contains("only a part"), "{said}");
    }
}
