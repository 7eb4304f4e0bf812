//! A project folder as a user would have it, removed after the test.

use std::path::PathBuf;

use skep::diagnostic::Diagnostics;
use skep::inventory::InventoryRequest;
use skep::playbook::{PreparedRun, ResolveOptions, RunRequest, prepare};

pub struct TestProject {
    folder: tempfile::TempDir,
    pub options: ResolveOptions,
    pub extra_vars: Vec<String>,
}

/// Three hosts for every test of a playbook.
pub const INVENTORY: &str = r#"
[defaults]
user = "vagrant"

[hosts.docker01]
address = "192.168.56.11"
groups = ["managers"]

[hosts.docker02]
address = "192.168.56.12"
groups = ["workers", "db"]

[hosts.docker03]
address = "192.168.56.13"
groups = ["workers"]
"#;

/// A valid playbook.
pub const PLAYBOOK: &str = r#"
[[plays]]
hosts = "all"
resources = [{ symlink = { path = "/a", target = "/b" } }]
"#;

impl TestProject {
    /// Makes a project of these files; `inventory.toml` and `playbooks/site.toml` are valid by
    /// default.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let project = Self {
            folder: tempfile::tempdir().unwrap(),
            options: ResolveOptions::default(),
            extra_vars: Vec::new(),
        };
        project.write("inventory.toml", INVENTORY);
        project.write("playbooks/site.toml", PLAYBOOK);
        files
            .iter()
            .for_each(|(name, content)| project.write(name, content));
        project
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn prepare(&self) -> Result<PreparedRun, Diagnostics> {
        self.prepare_files(&["inventory.toml"], &["playbooks/site.toml"])
    }

    pub fn prepare_files(
        &self,
        inventories: &[&str],
        playbooks: &[&str],
    ) -> Result<PreparedRun, Diagnostics> {
        let paths = |names: &[&str]| names.iter().map(|name| self.path(name)).collect();
        prepare(&RunRequest {
            inventory: InventoryRequest {
                paths: paths(inventories),
                extra_vars: self.extra_vars.clone(),
            },
            playbooks: paths(playbooks),
            options: self.options.clone(),
        })
    }

    /// Returns the errors as the user sees them, with paths from the project's folder.
    pub fn errors(&self) -> String {
        self.shown(&self.prepare().expect_err("the project should be refused"))
    }

    pub fn shown(&self, diagnostics: &Diagnostics) -> String {
        diagnostics
            .render(false)
            .replace(&format!("{}/", self.folder.path().display()), "")
    }

    /// Returns each error or warning as `file:line:column: message; hint`.
    pub fn lines(&self, diagnostics: &Diagnostics) -> Vec<String> {
        let line = |diagnostic: &skep::diagnostic::Diagnostic| {
            let place = diagnostic
                .place
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default();
            let hint = diagnostic
                .hint
                .as_ref()
                .map(|hint| format!("; {hint}"))
                .unwrap_or_default();
            format!("{place}: {}{hint}", diagnostic.message)
                .replace(&format!("{}/", self.folder.path().display()), "")
        };
        diagnostics.iter().map(line).collect()
    }

    pub fn error_lines(&self) -> Vec<String> {
        self.lines(&self.prepare().expect_err("the project should be refused"))
    }
}

/// Returns a playbook for all hosts with these resources.
pub fn playbook(resources: &str) -> String {
    format!("[[plays]]\nhosts = \"all\"\nresources = [\n{resources}\n]\n")
}
