//! Loads inventories. Several files are read as one inventory, a folder means all `*.toml` files in
//! it, and inventories of other programs are first converted to TOML.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::external::ExternalInventory;
use super::groups;
use super::host::{HostTable, check_group_name};
use super::settings::{ConnectionSettings, KEYS, hint_for};
use super::{Group, Host, SshTarget, VariableMap, extra_vars, one_machine};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::diagnostic::{SourceFile, SourceSpan};
use crate::document::{FieldReader, TomlDocument, TomlEntry, did_you_mean};
use crate::inventory::{Roster, RosterEntry};
use crate::names::HostName;

/// File beside an inventory, not part of it, with the rules for ignored drift
/// (`drift::IgnoreRules`).
pub const IGNORE_FILE: &str = "ignore.toml";

/// Sources that an inventory is loaded from.
#[derive(Debug, Clone, Default)]
pub struct InventoryRequest {
    /// Files, folders, `vagrant:DIR`, `terraform:DIR`, `ansible:FILE` and programs. A setting or
    /// variable of a later source overrides that of an earlier one.
    pub paths: Vec<PathBuf>,
    /// `-e` arguments, see [`extra_vars`].
    pub extra_vars: Vec<String>,
}

/// The loaded inventory: hosts with their connection settings, groups and variables.
#[derive(Debug, Default)]
pub struct Inventory {
    pub(super) hosts: IndexMap<HostName, Host>,
    pub(super) groups: IndexMap<String, Group>,
    pub(super) forks: Option<usize>,
    /// Files and folders that resources may read beside those of the playbook; canonical.
    pub(super) allowed_paths: Vec<PathBuf>,
    /// Variables of the command line, which override a playbook's variables too.
    pub(super) extra: VariableMap,
    /// True if hosts are missing because of an error; errors that follow from that are not
    /// reported.
    pub(super) broken: bool,
    /// Warnings and notes of an inventory that [`Inventory::load`] returned.
    warnings: Diagnostics,
}

#[derive(Default)]
struct InventoryLoader {
    diagnostics: Diagnostics,
    defaults: ConnectionSettings,
    forks: Option<usize>,
    allowed_paths: Vec<PathBuf>,
    vars: VariableMap,
    groups: IndexMap<String, Group>,
    hosts: IndexMap<HostName, HostTable>,
    /// Hosts of the current document that another program's inventory also has, by that inventory.
    twins: IndexMap<PathBuf, Vec<HostName>>,
    broken: bool,
}

impl Inventory {
    /// Loads an inventory.
    ///
    /// # Errors
    /// All errors of all files.
    pub fn load(paths: &[PathBuf], extra: &[String]) -> Result<Self, Diagnostics> {
        let request = InventoryRequest {
            paths: paths.to_vec(),
            extra_vars: extra.to_vec(),
        };
        let (mut inventory, diagnostics) = Self::load_what_can_be(&request);
        inventory.warnings = diagnostics.into_result()?;
        Ok(inventory)
    }

    /// Returns the warnings and notes of [`Inventory::load`].
    #[must_use]
    pub fn warnings(&self) -> &Diagnostics {
        &self.warnings
    }

    /// Loads as much as possible, so that later checks can report their errors together with the
    /// returned ones.
    #[must_use]
    pub fn load_what_can_be(request: &InventoryRequest) -> (Self, Diagnostics) {
        let mut loader = InventoryLoader::default();
        for path in &request.paths {
            if let Some(external) = ExternalInventory::of(path) {
                loader.take_external(&external, path);
                continue;
            }
            match files(path) {
                Ok(files) => files
                    .iter()
                    .for_each(|file| loader.take(TomlDocument::read(file))),
                Err(errors) => loader.refuse(errors),
            }
        }
        let extra = extra_vars(&request.extra_vars).unwrap_or_else(|errors| {
            loader.refuse(errors);
            VariableMap::default()
        });
        loader.finish(request, extra)
    }

    /// Returns all hosts, in the order of the files.
    pub fn hosts(&self) -> impl ExactSizeIterator<Item = (&HostName, &Host)> {
        self.hosts.iter()
    }

    /// Returns a host by its name.
    #[must_use]
    pub fn host(&self, name: &HostName) -> Option<&Host> {
        self.hosts.get(name)
    }

    /// Returns the connection settings of a host.
    #[must_use]
    pub fn target(&self, name: &HostName) -> Option<&SshTarget> {
        self.hosts.get(name).map(|host| &host.target)
    }

    /// Returns the merged variables of a host, without those of playbooks.
    #[must_use]
    pub fn vars(&self, name: &HostName) -> Option<&VariableMap> {
        self.hosts.get(name).map(|host| &host.vars)
    }

    /// Returns all groups, with and without hosts.
    #[must_use]
    pub fn groups(&self) -> &IndexMap<String, Group> {
        &self.groups
    }

    /// Returns `forks` of `[defaults]`: the number of hosts processed at once.
    #[must_use]
    pub fn forks(&self) -> Option<usize> {
        self.forks
    }

    /// Returns `allowed_paths` of all files: files and folders of this machine that resources may
    /// read beside those of the playbook. The paths are canonical.
    #[must_use]
    pub fn allowed_paths(&self) -> &[PathBuf] {
        &self.allowed_paths
    }

    /// Returns the variables of the command line.
    #[must_use]
    pub fn extra(&self) -> &VariableMap {
        &self.extra
    }

    /// Returns true if hosts are missing because of an error.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Returns all hosts in the form that kinds use. A `swarm_address` that is a template is left
    /// out: the playbook renders it.
    #[must_use]
    pub fn roster(&self) -> Roster {
        let entry = |host: &Host| RosterEntry {
            address: host.target.address.clone(),
            swarm_address: host
                .vars
                .get("swarm_address")
                .filter(|var| !var.node.has_template())
                .and_then(|var| var.node.as_str().map(str::to_owned)),
            groups: host.groups.clone(),
        };
        Roster {
            hosts: self
                .hosts
                .iter()
                .map(|(name, host)| (name.clone(), entry(host)))
                .collect(),
        }
    }
}

impl InventoryLoader {
    fn refuse(&mut self, errors: Diagnostics) {
        self.broken = true;
        self.diagnostics.extend(errors);
    }

    fn take_external(&mut self, external: &ExternalInventory, argument: &Path) {
        let mut loaded = external.load(argument);
        let remarks = std::mem::take(&mut loaded.remarks);
        self.broken |= remarks.has_errors();
        self.diagnostics.extend(remarks);
        let document = std::mem::replace(&mut loaded.document, Err(Diagnostics::default()));
        let before = self.diagnostics.len();
        self.take(document);
        for diagnostic in self.diagnostics.iter_mut().skip(before) {
            loaded.relocate(argument, diagnostic);
        }
    }

    fn take(&mut self, document: Result<TomlDocument, Diagnostics>) {
        let document = match document {
            Ok(document) => document,
            Err(errors) => return self.refuse(errors),
        };
        let before = self.hosts.len();
        let mut disposable = false;
        let mut diagnostics = std::mem::take(&mut self.diagnostics);
        let mut reader = FieldReader {
            source: &document.source,
            diagnostics: &mut diagnostics,
        };
        let sections = [
            "defaults",
            "vars",
            "groups",
            "hosts",
            "disposable",
            "allowed_paths",
        ];
        for entry in document.root.as_table().unwrap_or_default() {
            if !sections.contains(&entry.key.as_str()) {
                reader.unknown_key(entry, "an inventory", &sections);
                continue;
            }
            if entry.key == "disposable" {
                disposable = reader.boolean(&entry.node, "disposable").unwrap_or(false);
                continue;
            }
            if entry.key == "allowed_paths" {
                self.allowed_paths
                    .extend(super::allowed_paths::read(&mut reader, entry));
                continue;
            }
            let Some(entries) = reader.table(&entry.node, &entry.key) else {
                continue;
            };
            match entry.key.as_str() {
                "defaults" => entries
                    .iter()
                    .for_each(|entry| self.setting(&mut reader, entry)),
                "vars" => self.vars.merge(&VariableMap::read(&mut reader, entries)),
                "groups" => entries.iter().for_each(|entry| {
                    check_group_name(&mut reader, &entry.key, &entry.key_span);
                    self.groups
                        .entry(entry.key.clone())
                        .or_default()
                        .read(&mut reader, entry);
                }),
                _ => entries
                    .iter()
                    .for_each(|entry| self.host(&mut reader, entry)),
            }
        }
        self.diagnostics = diagnostics;
        for (first, names) in std::mem::take(&mut self.twins) {
            self.diagnostics
                .push(twins(&first, &document.source, &names));
        }
        // `disposable` covers only the hosts of its own file, never the machines of another file.
        self.hosts
            .values_mut()
            .skip(before)
            .for_each(|host| host.disposable = disposable);
    }

    fn setting(&mut self, reader: &mut FieldReader<'_>, entry: &TomlEntry) {
        if entry.key == "forks" {
            let forks = reader
                .integer(&entry.node, "forks", 1..=1000)
                .and_then(|forks| usize::try_from(forks).ok());
            self.forks = forks.or(self.forks);
        } else if !self.defaults.take(reader, entry) {
            let known = KEYS.iter().copied().chain(["forks"]);
            let hint = hint_for(&entry.key)
                .map(str::to_owned)
                .or_else(|| did_you_mean(&entry.key, known));
            reader.error(
                &entry.key_span,
                format!("unknown key `{}` in [defaults]", entry.key),
                hint,
            );
        }
    }

    fn host(&mut self, reader: &mut FieldReader<'_>, entry: &TomlEntry) {
        let Some((name, host)) = HostTable::read(reader, entry) else {
            self.broken = true;
            return;
        };
        if let Some(first) = self.hosts.get(&name) {
            self.broken = true;
            let sources = [&first.place, &host.place].map(|place| place.source.path());
            // Both texts are generated, so line numbers in them would not help the user.
            if sources
                .iter()
                .all(|path| ExternalInventory::of(path).is_some())
            {
                self.twins
                    .entry(sources[0].to_path_buf())
                    .or_default()
                    .push(name);
                return;
            }
            let error =
                Diagnostic::error(format!("the host `{name}` is defined twice")).at(host.place);
            let error = error.related(first.place.clone(), "first defined here");
            reader
                .diagnostics
                .push(error.hint("give one of them another name, or remove it"));
        } else {
            self.hosts.insert(name, host);
        }
    }

    fn finish(
        mut self,
        request: &InventoryRequest,
        extra: VariableMap,
    ) -> (Inventory, Diagnostics) {
        for host in self.hosts.values() {
            for group in host.groups.keys() {
                self.groups.entry(group.clone()).or_default();
            }
        }
        groups::check(&self.groups, &mut self.diagnostics);
        self.check_names();
        if self.hosts.is_empty() && !self.broken {
            self.diagnostics.push(no_hosts(&request.paths));
        }
        let mut hosts = IndexMap::new();
        for (name, table) in self.hosts {
            let direct: Vec<String> = table.groups.into_keys().collect();
            let groups: Vec<String> = groups::closure(&self.groups, &direct).into_iter().collect();
            let mut vars = self.vars.clone();
            groups
                .iter()
                .filter_map(|group| self.groups.get(group))
                .for_each(|group| vars.merge(&group.vars));
            vars.merge(&table.vars);
            vars.merge(&extra);
            let address = table.address.unwrap_or_else(|| name.as_str().to_owned());
            let mut target = self
                .defaults
                .overlay(&table.settings)
                .target(name.clone(), address);
            target.not_running = table.not_running;
            let (place, unmanaged, disposable) = (table.place, table.unmanaged, table.disposable);
            hosts.insert(
                name,
                Host {
                    place,
                    target,
                    groups,
                    unmanaged,
                    disposable,
                    vars,
                },
            );
        }
        self.diagnostics.extend(one_machine::warnings(&hosts));
        let inventory = Inventory {
            hosts,
            groups: self.groups,
            forks: self.forks,
            allowed_paths: self.allowed_paths,
            extra,
            broken: self.broken,
            warnings: Diagnostics::default(),
        };
        (inventory, self.diagnostics)
    }

    // In a pattern, a host and a group of the same name would be ambiguous.
    fn check_names(&mut self) {
        for (name, host) in &self.hosts {
            if name.as_str() == "all" || self.groups.contains_key(name.as_str()) {
                let error =
                    Diagnostic::error(format!("`{name}` is the name of a group and of a host"));
                self.diagnostics.push(
                    error
                        .at(host.place.clone())
                        .hint("give the host another name"),
                );
            }
        }
    }
}

/// Returns the error for two external inventories that have hosts with the same names.
fn twins(first: &Path, second: &SourceFile, names: &[HostName]) -> Diagnostic {
    let names = names
        .iter()
        .map(HostName::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    let (one, other) = (first.display(), second.path().display());
    let at = SourceSpan::new(&SourceFile::new(second.path(), ""), 0..0);
    if first == second.path() {
        return Diagnostic::error(format!("{one} is given twice"))
            .at(at)
            .hint("leave one of them out");
    }
    Diagnostic::error(format!("{one} and {other} have hosts of the same names: {names}"))
        .at(at)
        .hint("rename the machines of one environment at their source, or work on one environment at a time")
}

fn no_hosts(paths: &[PathBuf]) -> Diagnostic {
    let files: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let error = Diagnostic::error("the inventory has no hosts");
    let file = paths
        .first()
        .map_or(Path::new("inventory"), PathBuf::as_path);
    let error = error.at(SourceSpan::new(&SourceFile::new(file, ""), 0..0));
    let hint = "add a host: [hosts.docker01] with `address = \"192.168.56.11\"` and `groups = [\"managers\"]`";
    if files.len() > 1 {
        error.hint(format!("{} contain no host; {hint}", files.join(", ")))
    } else {
        error.hint(hint)
    }
}

fn files(path: &Path) -> Result<Vec<PathBuf>, Diagnostics> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let at = SourceSpan::new(&SourceFile::new(path, ""), 0..0);
    let entries = std::fs::read_dir(path).map_err(|error| {
        Diagnostic::error(format!("cannot read {}: {error}", path.display())).at(at.clone())
    })?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
                && path.is_file()
        })
        // The file with ignore rules lies beside the inventory and is not part of it.
        .filter(|path| path.file_name().is_some_and(|name| name != IGNORE_FILE))
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(
            Diagnostic::error(format!("there is no *.toml in {}", path.display()))
                .at(at)
                .into(),
        );
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::time::Duration;

    use super::*;
    use crate::inventory::HostKeyPolicy;

    fn loaded(files: &[(&str, &str)]) -> (tempfile::TempDir, Inventory) {
        let folder = tempfile::tempdir().unwrap();
        let write = |(name, text): &(&str, &str)| {
            std::fs::write(folder.path().join(name), text).unwrap();
            folder.path().join(name)
        };
        let paths: Vec<PathBuf> = files.iter().map(write).collect();
        let inventory = Inventory::load(&paths, &[]).unwrap();
        (folder, inventory)
    }

    #[test]
    fn a_target_has_the_documented_defaults() {
        let (_, inventory) = loaded(&[("i.toml", "[hosts.a]\n")]);
        let target = inventory.target(&HostName::new("a")).unwrap();
        assert_eq!(
            (target.address.as_str(), target.port, target.agent),
            ("a", 22, true)
        );
        assert!(!target.become_root && target.identity_files.is_empty());
        assert_eq!(
            target.host_key_policy,
            HostKeyPolicy::AcceptNewWithoutPasswords
        );
        assert_eq!(
            (target.connect_timeout, target.connect_wait),
            (Duration::from_secs(10), Duration::ZERO)
        );
        assert!(
            target.known_hosts[0].is_absolute()
                && target.known_hosts[0].ends_with(".ssh/known_hosts")
        );
    }

    #[test]
    fn hosts_override_defaults_and_paths_start_at_their_file() {
        let (folder, inventory) = loaded(&[
            (
                "a.toml",
                "[defaults]\nuser='ann'\nbecome=true\nport=2200\nidentity_file=['keys/a','~/b','/c']\nforks=7\n[hosts.x]\n",
            ),
            (
                "b.toml",
                "[defaults]\nport=2201\n[hosts.y]\nuser='root'\nport=22\nhost_keys='strict'\nconnect_wait='2min'\nidentity_file='k'\n",
            ),
        ]);
        let x = inventory.target(&HostName::new("x")).unwrap();
        assert_eq!(
            (x.user.as_str(), x.port, x.become_root),
            ("ann", 2201, true)
        );
        let home = PathBuf::from(std::env::var_os("HOME").unwrap());
        assert_eq!(
            x.identity_files,
            [
                folder.path().join("keys/a"),
                home.join("b"),
                PathBuf::from("/c")
            ]
        );
        let y = inventory.target(&HostName::new("y")).unwrap();
        assert_eq!(
            (y.user.as_str(), y.port, y.become_root),
            ("root", 22, false)
        );
        assert_eq!(
            (y.host_key_policy, y.connect_wait),
            (HostKeyPolicy::Strict, Duration::from_secs(120))
        );
        assert_eq!(y.identity_files, [folder.path().join("k")]);
        assert_eq!(inventory.forks(), Some(7));
    }

    #[test]
    fn groups_come_parents_first_and_reach_the_roster() {
        let (_, inventory) = loaded(&[(
            "i.toml",
            "[hosts.a]\ngroups=['db','east']\nvars={swarm_address='10.0.0.1'}\n[hosts.b]\ngroups=['east']\n\
             vars={swarm_address='{{ host.address }}'}\n[groups.site]\nchildren=['region']\n[groups.region]\nchildren=['east']\n",
        )]);
        assert_eq!(
            inventory.host(&HostName::new("a")).unwrap().groups,
            ["db", "site", "region", "east"]
        );
        let roster = inventory.roster();
        assert_eq!(
            roster
                .group("region")
                .map(HostName::as_str)
                .collect::<Vec<_>>(),
            ["a", "b"]
        );
        assert_eq!(roster.hosts[0].swarm_address.as_deref(), Some("10.0.0.1"));
        assert_eq!(roster.hosts[1].swarm_address, None);
    }
}
