//! Functions of `sh` for scripts that work on paths as root, of which root never follows a name
//! that another account controls. `path_walk.sh` explains the rules.

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

/// The functions that walk to a directory, for scripts that only read.
static WALK: LazyLock<String> =
    LazyLock::new(|| script_without_comments(include_str!("path_walk.sh")));

/// The functions that change paths.
static STEPS: LazyLock<String> =
    LazyLock::new(|| script_without_comments(include_str!("path_steps.sh")));

/// Returns the functions that walk to a directory, as the start of a script that only reads.
#[must_use]
pub fn path_walk() -> &'static str {
    &WALK
}

/// Returns a script that begins with all functions for paths.
#[must_use]
pub fn path_script(body: &str) -> String {
    format!("{}{}{body}", *WALK, *STEPS)
}

/// Removes the lines that are only a comment or empty: scripts travel to every host.
#[must_use]
pub fn script_without_comments(script: &str) -> String {
    let kept = |line: &&str| {
        let line = line.trim_start();
        !line.is_empty() && !line.starts_with('#')
    };
    script
        .split_inclusive('\n')
        .filter(kept)
        .collect::<String>()
}
