//! Runs a command with its results on a terminal of a given width, as `script` of bsdutils makes
//! it, and breaks long lines as that terminal would.

use std::path::Path;
use std::process::{Command, Stdio};

/// Exit code and output of a command.
pub struct Printed {
    /// Exit code.
    pub code: i32,
    /// Text on the terminal.
    pub stdout: String,
    /// Text on stderr, which is a file: on a terminal, progress bars would be drawn over each
    /// other.
    pub stderr: String,
}

/// Runs `skep` in a folder, with a home, a state folder and nothing else of the environment.
pub fn run(folder: &Path, width: usize, arguments: &[&str]) -> Printed {
    let quote = |word: &str| format!("'{}'", word.replace('\'', r"'\''"));
    let words: Vec<String> = arguments.iter().map(|word| quote(word)).collect();
    let errors = tempfile::NamedTempFile::new().unwrap();
    let line = format!(
        "stty cols {width} rows 50; exec {} {} 2>{}",
        quote(env!("CARGO_BIN_EXE_skep")),
        words.join(" "),
        errors.path().display()
    );
    let mut child = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .current_dir(folder)
        .env_clear()
        .env(
            "PATH",
            format!(
                "{}:/usr/sbin:/usr/bin:/sbin:/bin",
                folder.join("bin").display()
            ),
        )
        .env("HOME", folder)
        .env("XDG_STATE_HOME", folder.join("state"))
        .env("SKEP_STATE_DIR", folder.join("lab"))
        .env("SHELL", "/bin/sh")
        .env("USER", "ann")
        .env("LANG", "C.UTF-8")
        .env("TERM", "xterm")
        .env("COLUMNS", width.to_string())
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script is installed");
    // An open pipe: at the end of its input, `script` would type an end of file.
    let keyboard = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(keyboard);
    Printed {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout)
            .unwrap()
            .replace("\r\n", "\n"),
        stderr: std::fs::read_to_string(errors.path()).unwrap(),
    }
}

/// Breaks each line that is longer than the terminal; `↩` marks the end of a row that continues in
/// the next row.
pub fn fold(text: &str, width: usize) -> String {
    let mut folded = String::new();
    for line in text.lines() {
        let letters: Vec<char> = line.chars().collect();
        let rows: Vec<String> = letters
            .chunks(width)
            .map(|row| row.iter().collect())
            .collect();
        folded += &rows.join("↩\n");
        folded.push('\n');
    }
    folded
}
