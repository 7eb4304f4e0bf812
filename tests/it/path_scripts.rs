//! Scripts change paths by the functions of `src/base/safe_paths/path_steps.sh` alone, which never
//! follow a name that another account controls.

use std::path::Path;

use crate::architecture::code;

/// Commands that change a name, as they stand in a script.
const COMMANDS: &[&str] = &[
    "chown -",
    "chown \"",
    "chown $",
    "chmod -",
    "chmod 0",
    "chmod \"",
    "chmod $",
    "mkdir ",
    "mktemp",
    "rmdir ",
    "rm -",
    "rm \"",
    "ln -",
    "mv -",
    "mv \"",
    "cp -",
    "cp \"",
    "tee ",
    "touch ",
    "install -",
    "truncate ",
    "dd of=",
    ">\"$",
    ">>\"$",
    "cat >",
];

/// Scripts that may use the commands, with the reason.
const EXCEPTIONS: &[(&str, &[&str], &str)] = &[
    (
        "src/kinds/daemon_json/swap.sh",
        &[
            "chown -", "chmod -", "chmod 0", "mkdir ", "mktemp", "rm -", "mv -", "cp -", ">\"$",
            "cat >",
        ],
        "`only_root` at its start ends it unless only root can replace these names",
    ),
    (
        "src/kinds/daemon_json/validate.sh",
        &["mktemp", "rm -", ">\"$", "cat >"],
        "a file that mktemp has just made in /run or /tmp, where only its owner can replace its name",
    ),
    (
        "src/kinds/certificate/issue.sh",
        &["chmod 0", "mv -", "cp -"],
        "`only_root` at its start, and its files are in the private folder of `stage`",
    ),
    (
        "src/kinds/apt_repository/install.sh",
        &[
            "chmod 0", "mkdir ", "mktemp", "rm -", "mv -", ">\"$", ">>\"$", "cat >",
        ],
        "`only_root` at its start ends it unless only root can replace these names",
    ),
    (
        "src/kinds/apt.rs",
        &["rm -", "mktemp", ">\"$"],
        "a message that gives a command to the operator, and a file that mktemp has just made in /run or /tmp, where only its \
         owner can replace its name",
    ),
    (
        "src/runner/apply/raft_archive.rs",
        &["mktemp", "rm -", "mv \"", ">\"$", "cat >"],
        "`only_root` at its start, and files in a folder that mktemp has just made in /run",
    ),
    (
        "src/kinds/package/script.rs",
        &["mktemp", "rm -", "mv -", ">\"$", ">>\"$"],
        "`only_root` before them ends the script unless only root can replace these names",
    ),
    (
        "src/transport/ssh/bootstrap/step_lock.rs",
        &["rm -", ">\"$", ">>\"$"],
        "a folder in /run, where only root can replace names",
    ),
    ("src/kinds/sysctl.rs", &[">\"$"], "a parameter in /proc/sys"),
    (
        "src/transport/host_lock.rs",
        &["mkdir ", "rm -", "mv -", ">\"$", ">>\"$", "cat >"],
        "a folder in /run, where only root can replace names",
    ),
];

/// Returns every script and Rust file below a folder, with its path in the repository.
fn files(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".sh") {
                files.push((name, std::fs::read_to_string(&path).unwrap()));
            } else if name.ends_with(".rs") {
                let text = code(&path, &std::fs::read_to_string(&path).unwrap());
                files.push((name, text));
            }
        }
    }
    files
}

/// Returns the commands of a line, of which comments have none.
fn commands(line: &str) -> Vec<&'static str> {
    let line = line.trim_start();
    if line.starts_with('#') {
        return Vec::new();
    }
    let begins = |at: usize| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|before| !before.is_alphanumeric() && !"-_./".contains(before))
    };
    let found = |command: &&&str| {
        line.match_indices(**command)
            .any(|(at, _)| command.starts_with('>') || begins(at))
    };
    COMMANDS.iter().filter(found).copied().collect()
}

#[test]
fn scripts_change_paths_by_the_safe_functions() {
    let mut wrong = Vec::new();
    let mut used = vec![false; EXCEPTIONS.len()];
    for folder in [
        "src/kinds",
        "src/model",
        "src/swarm",
        "src/transport",
        "src/runner",
        "src/safety",
        "src/rebuild",
    ] {
        for (name, text) in files(folder) {
            let exception = EXCEPTIONS.iter().position(|(file, ..)| *file == name);
            if let Some(exception) = exception {
                used[exception] = true;
                if EXCEPTIONS[exception].2.contains("only_root") {
                    assert!(text.contains("only_root "), "{name} lost its check");
                }
            }
            for (number, line) in text.lines().enumerate() {
                for command in commands(line) {
                    if !exception.is_some_and(|one| EXCEPTIONS[one].1.contains(&command)) {
                        wrong.push(format!(
                            "{name}:{}: `{command}` in `{}`",
                            number + 1,
                            line.trim()
                        ));
                    }
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "use a function of src/base/safe_paths/path_steps.sh, or add an exception with its reason: {wrong:#?}"
    );
    assert!(
        used.iter().all(|used| *used),
        "an exception names a file that does not exist"
    );
}

#[test]
fn commands_are_found_in_lines() {
    for (line, expected) in [
        ("chown -- \"$2\" \"$t\"", &["chown -"][..]),
        ("  t=$(mktemp -- \"$d/x\")", &["mktemp"]),
        ("cat >\"$t\"", &[">\"$", "cat >"]),
        ("\"mkdir -p -- \\\"$1\\\"\\n\"", &["mkdir "]),
        ("[ ! -L x ] || rm -f -- x", &["rm -"]),
        ("# rm -f x", &[]),
        ("the hint: docker config rm {}", &[]),
        ("swarm -f", &[]),
    ] {
        assert_eq!(commands(line), expected, "{line}");
    }
}
