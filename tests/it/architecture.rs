//! Checks the invariants of docs/architecture.md on the source. Each rule names the code that would
//! break it.

use std::path::{Path, PathBuf};

/// Returns every Rust file below a folder of the repository.
pub fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        if folder
            .extension()
            .is_some_and(|extension| extension == "rs")
        {
            files.push((folder.clone(), std::fs::read_to_string(&folder).unwrap()));
            continue;
        }
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                files.push((path, text));
            }
        }
    }
    assert!(!files.is_empty(), "{folder} has no source");
    files
}

/// Returns the file without tests and comments, because the invariants are about the rest. Files of
/// tests are left out.
pub fn code(path: &Path, text: &str) -> String {
    let name = path.file_name().unwrap().to_str().unwrap();
    if ["tests.rs", "trial.rs", "samples.rs"].contains(&name)
        || path.components().any(|part| part.as_os_str() == "tests")
    {
        return String::new();
    }
    let text = match text.find("#[cfg(test)]\nmod ") {
        Some(position) if text[position..].contains('{') => &text[..position],
        _ => text,
    };
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[track_caller]
fn nowhere(folder: &str, except: &[&str], forbidden: &[&str]) {
    let mut found = Vec::new();
    for (path, text) in sources(folder) {
        if except
            .iter()
            .any(|part| path.to_str().unwrap().contains(part))
        {
            continue;
        }
        let code = code(&path, &text);
        for word in forbidden.iter().filter(|word| code.contains(**word)) {
            found.push(format!("{}: {word}", path.display()));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn kinds_do_no_io() {
    for folder in ["src/kinds", "src/model"] {
        nowhere(
            folder,
            &[],
            &[
                "std::fs",
                "std::process",
                "std::net::Tcp",
                "std::net::Udp",
                "ToSocketAddrs",
                "std::env",
                "tokio",
                "crate::transport",
                "crate::docker",
                "crate::runner",
                "async ",
            ],
        );
    }
}

#[test]
fn no_socket_before_connect() {
    for folder in [
        "src/inventory",
        "src/playbook",
        "src/document",
        "src/diagnostic",
    ] {
        nowhere(
            folder,
            &[],
            &[
                "std::net::Tcp",
                "std::net::Udp",
                "tokio",
                "UnixStream",
                "crate::transport",
                "crate::docker",
                "crate::runner",
            ],
        );
    }
}

/// `report/notify.rs` runs the operator's own command of `--notify`.
/// `inventory/external/program.rs` runs the programs that hold an inventory (`vagrant`,
/// `terraform`, `ansible-inventory`, an executable of the operator's), which only read.
/// `machine/vagrant.rs` starts, stops, destroys and makes machines of Vagrant for `drill` and `node
/// rebuild`.
#[test]
fn only_listed_modules_start_processes() {
    nowhere(
        "src",
        &[
            "src/base/child_process.rs",
            "src/transport",
            "src/docker/command.rs",
            "src/lab",
            "src/schedule/systemd.rs",
            "src/schedule/tests.rs",
            "src/report/notify.rs",
            "src/inventory/external/program.rs",
            "src/machine/vagrant.rs",
        ],
        &["process::Command", "child_command("],
    );
}

/// `child_command` removes the variables that hold the operator's passwords. A program that is
/// started in another way would receive them.
#[test]
fn child_command_is_the_only_constructor_of_processes() {
    let mut found = Vec::new();
    for (path, text) in sources("src") {
        if path.ends_with("src/base/child_process.rs") {
            continue;
        }
        let code = code(&path, &text);
        found.extend(process_constructors(&code).map(|line| format!("{}: {line}", path.display())));
    }
    assert!(
        found.is_empty(),
        "call base::child_command instead: {found:#?}"
    );
    for bypass in [
        "let child = Command::new(\"sh\");",
        "std::process::Command::new(program)",
        "tokio::process::Command::new(\n    program)",
        "use tokio::process::Command as Program;",
        "use std::process as system;",
        "use std::process::*;",
    ] {
        assert_eq!(process_constructors(bypass).count(), 1, "{bypass}");
    }
    for allowed in [
        "LocalCommand::new(\"docker\")",
        "Command::from(child_command(\"sh\"))",
        "use tokio::process::{Child, Command};",
    ] {
        assert_eq!(process_constructors(allowed).count(), 0, "{allowed}");
    }
}

/// Returns the lines that make a process without `child_command`, or rename the type.
fn process_constructors(code: &str) -> impl Iterator<Item = &str> {
    code.lines().filter(|line| {
        let made = line.match_indices("Command::new").any(|(position, _)| {
            !line[..position].ends_with(|letter: char| letter.is_alphanumeric() || letter == '_')
        });
        let renamed = ["Command as ", "process as ", "process::*"]
            .iter()
            .any(|words| line.contains(words));
        made || renamed && line.contains("process")
    })
}

#[test]
fn only_report_and_cli_print() {
    nowhere(
        "src",
        &["src/report", "src/cli", "src/main.rs"],
        &["println!", "eprintln!", "print!(", "stdout()", "stderr()"],
    );
}

#[test]
fn runner_uses_no_kind_cli_or_report() {
    let mut forbidden = vec![
        "crate::cli".to_owned(),
        "crate::report".to_owned(),
        "crate::swarm".to_owned(),
        "clap".to_owned(),
    ];
    forbidden.extend(
        skep::kinds::KINDS
            .iter()
            .map(|kind| format!("kinds::{kind}")),
    );
    let forbidden: Vec<&str> = forbidden.iter().map(String::as_str).collect();
    nowhere("src/runner", &[], &forbidden);
}

/// `plan` and `check` end in the forecast. Every function that changes a host needs a `Permit`, and
/// the compiler lets only `runner::apply` make one. This test checks that no code bypasses it.
#[test]
fn read_only_code_cannot_change_hosts() {
    nowhere("src", &["runner/apply/permit.rs"], &["Permit(()"]);
    // The lease of a swarm is also for operations that stop or destroy machines. The maintenance of
    // a node changes its specification, and restarts its machine.
    nowhere(
        "src",
        &[
            "runner/apply/run.rs",
            "runner/apply/swarm_lease.rs",
            "runner/apply/swarm_update.rs",
            "runner/apply/machine_restart.rs",
            "runner/apply/locked_host.rs",
        ],
        &["Permit::grant"],
    );
    nowhere(
        "src/runner",
        &["src/runner/apply", "runner/host.rs", "runner/mod.rs"],
        &["apply::", "Permit", "Applier"],
    );
    // The only way without a permit takes gather's script, and a `GET`.
    nowhere(
        "src",
        &["runner/gather/mod.rs", "src/lab"],
        &[".run_gather_script("],
    );
    nowhere(
        "src/runner",
        &["runner/host.rs", "src/runner/apply"],
        &["Connection::exec", "connection.exec", "Exec::"],
    );
    nowhere(
        "src/runner",
        &["src/runner/apply"],
        &[
            "\"POST\"",
            "\"DELETE\"",
            "\"PUT\"",
            "Method::POST",
            "Method::PUT",
        ],
    );
    // No verb but `apply` reaches the acting half of the runner, nor a connection past the runner.
    nowhere(
        "src/cli",
        &["cli/apply.rs"],
        &["runner::apply", "RunOptions", "SwarmGuard", "Approve"],
    );
    nowhere(
        "src",
        &["src/runner", "src/transport", "src/docker", "src/cli"],
        &["dyn Connection", "HostLock", "Exec::"],
    );
    nowhere(
        "src/cli",
        &["cli/connect.rs"],
        &["dyn Connection", "HostLock", "Exec::"],
    );
    // The searched words must exist in these files: a rule about a name that is gone would check
    // nothing.
    let host =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/runner/host.rs"))
            .unwrap();
    // Without white space, so that a reformatted signature is still found.
    let host: String = host.split_whitespace().collect();
    for signature in [
        "asyncfnrun_step(&self,_permit:&Permit",
        "fnconnection(&self,_permit:&Permit",
        "_permit:&Permit,method:&str",
    ] {
        assert!(host.contains(signature), "src/runner/host.rs: {signature}");
    }
    assert!(!host.contains("pubasyncfnexec"));
}

#[test]
fn anyhow_is_only_used_in_cli() {
    nowhere("src", &["src/cli"], &["anyhow"]);
}

#[test]
fn no_unwrap_or_todo_outside_tests() {
    nowhere(
        "src",
        &[],
        &[
            ".unwrap()",
            ".expect(",
            "todo!(",
            "unimplemented!(",
            "dbg!(",
        ],
    );
}

#[test]
fn files_are_short_and_have_module_comments() {
    let mut found = Vec::new();
    for (path, text) in sources("src") {
        let lines = code(&path, &text)
            .lines()
            .filter(|line| !line.trim().is_empty())
            .count();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        if lines > 400 || ["util", "utils", "common", "helper", "helpers", "imp"].contains(&stem) {
            found.push(format!("{} ({lines} lines)", path.display()));
        }
        if !text.starts_with("//!") {
            found.push(format!("{}: has no module comment", path.display()));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn lock_file_stays_small() {
    let lock =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).unwrap();
    let packages = lock.matches("[[package]]").count();
    assert!(
        packages <= 300,
        "{packages} packages are locked; is the new one worth it?"
    );
}

#[test]
fn every_test_file_is_listed() {
    for binary in ["tests/it", "tests/lab", "tests/chaos"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(binary);
        let main = std::fs::read_to_string(folder.join("main.rs")).unwrap();
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let listed = stem == "main" || main.contains(&format!("mod {stem};"));
            assert!(
                listed,
                "{} is not listed in {binary}/main.rs",
                path.display()
            );
        }
    }
}

#[test]
fn nextest_filters_name_existing_modules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join(".config/nextest.toml")).unwrap();
    let settings: toml::Table = text.parse().unwrap();
    let mut checked = 0;
    for profile in ["default", "lab"] {
        for entry in settings["profile"][profile]["overrides"]
            .as_array()
            .unwrap()
        {
            let filter = entry["filter"].as_str().unwrap();
            let (binary, rest) = filter
                .strip_prefix("binary(")
                .and_then(|rest| rest.split_once(')'))
                .unwrap();
            let Some((_, modules)) = rest.split_once("test(/^(") else {
                continue;
            };
            for module in modules.split(')').next().unwrap().split('|') {
                let place = root.join("tests").join(binary).join(module);
                assert!(
                    place.is_dir() || place.with_extension("rs").is_file(),
                    "no module {module} in tests/{binary}: {filter}"
                );
                checked += 1;
            }
        }
    }
    assert!(checked > 10, "only {checked} modules were found");
}
