//! Connection settings of ansible.cfg and of the `ANSIBLE_*` environment variables. They are weaker
//! than every variable of an inventory (docs.ansible.com, "Ansible Configuration Settings").

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use crate::inventory::external::ExternalInventoryError;

/// Settings: section and key in ansible.cfg, environment variable, and the connection variable of
/// an inventory that means the same.
const SETTINGS: &[(&str, &str, &str, &str)] = &[
    (
        "defaults",
        "remote_user",
        "ANSIBLE_REMOTE_USER",
        "ansible_user",
    ),
    (
        "defaults",
        "remote_port",
        "ANSIBLE_REMOTE_PORT",
        "ansible_port",
    ),
    (
        "defaults",
        "private_key_file",
        "ANSIBLE_PRIVATE_KEY_FILE",
        "ansible_private_key_file",
    ),
    (
        "defaults",
        "transport",
        "ANSIBLE_TRANSPORT",
        "ansible_connection",
    ),
    ("defaults", "timeout", "ANSIBLE_TIMEOUT", "ansible_timeout"),
    (
        "defaults",
        "host_key_checking",
        "ANSIBLE_HOST_KEY_CHECKING",
        "ansible_host_key_checking",
    ),
    (
        "defaults",
        "ask_pass",
        "ANSIBLE_ASK_PASS",
        "ansible_ask_pass",
    ),
    (
        "privilege_escalation",
        "become_ask_pass",
        "ANSIBLE_BECOME_ASK_PASS",
        "ansible_become_ask_pass",
    ),
    (
        "ssh_connection",
        "host_key_checking",
        "ANSIBLE_SSH_HOST_KEY_CHECKING",
        "ansible_ssh_host_key_checking",
    ),
    (
        "ssh_connection",
        "ssh_args",
        "ANSIBLE_SSH_ARGS",
        "ansible_ssh_args",
    ),
    (
        "ssh_connection",
        "ssh_common_args",
        "ANSIBLE_SSH_COMMON_ARGS",
        "ansible_ssh_common_args",
    ),
    (
        "ssh_connection",
        "ssh_extra_args",
        "ANSIBLE_SSH_EXTRA_ARGS",
        "ansible_ssh_extra_args",
    ),
    (
        "ssh_connection",
        "ssh_executable",
        "ANSIBLE_SSH_EXECUTABLE",
        "ansible_ssh_executable",
    ),
    (
        "ssh_connection",
        "timeout",
        "ANSIBLE_SSH_TIMEOUT",
        "ansible_ssh_timeout",
    ),
    (
        "privilege_escalation",
        "become",
        "ANSIBLE_BECOME",
        "ansible_become",
    ),
    (
        "privilege_escalation",
        "become_user",
        "ANSIBLE_BECOME_USER",
        "ansible_become_user",
    ),
    (
        "privilege_escalation",
        "become_method",
        "ANSIBLE_BECOME_METHOD",
        "ansible_become_method",
    ),
    (
        "privilege_escalation",
        "become_exe",
        "ANSIBLE_BECOME_EXE",
        "ansible_become_exe",
    ),
    (
        "privilege_escalation",
        "become_flags",
        "ANSIBLE_BECOME_FLAGS",
        "ansible_become_flags",
    ),
];

/// A connection setting that holds for all hosts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ConfigSetting {
    pub(super) value: String,
    /// Name that a message uses, which is also the word to find in the file: the key or the
    /// environment variable.
    pub(super) name: &'static str,
}

/// The settings, by the connection variable that means the same.
#[derive(Debug, Default)]
pub(super) struct AnsibleConfig {
    path: Option<PathBuf>,
    settings: IndexMap<&'static str, ConfigSetting>,
}

impl AnsibleConfig {
    /// Reads the file that Ansible would use: `ANSIBLE_CONFIG`, `./ansible.cfg`, `~/.ansible.cfg`,
    /// `/etc/ansible/ansible.cfg`. Like Ansible, skips `./ansible.cfg` in a folder that everybody
    /// can write.
    pub(super) fn load() -> Result<Self, ExternalInventoryError> {
        let path = find(std::env::var_os("ANSIBLE_CONFIG").map(PathBuf::from));
        let text = match &path {
            Some(path) => std::fs::read_to_string(path).map_err(|error| {
                ExternalInventoryError::new(format!("cannot read {}: {error}", path.display()))
            })?,
            None => String::new(),
        };
        let folder = path
            .as_deref()
            .and_then(Path::parent)
            .unwrap_or(Path::new("/"));
        let settings = read(&text, folder, |name| std::env::var(name).ok());
        Ok(Self { path, settings })
    }

    /// Returns the configuration file.
    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Returns the settings, by the connection variable that means the same.
    pub(super) fn settings(&self) -> impl Iterator<Item = (&'static str, &ConfigSetting)> {
        self.settings
            .iter()
            .map(|(variable, setting)| (*variable, setting))
    }

    /// Returns the name that the user wrote for a connection variable.
    pub(super) fn name_of(&self, variable: &str) -> Option<&'static str> {
        self.settings.get(variable).map(|setting| setting.name)
    }
}

fn find(of_environment: Option<PathBuf>) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let here = std::env::current_dir().ok().filter(|folder| {
        std::fs::metadata(folder).is_ok_and(|data| data.permissions().mode() & 0o002 == 0)
    });
    let home = std::env::var_os("HOME").map(PathBuf::from);
    // ANSIBLE_CONFIG may name the folder of the file.
    let of_environment = of_environment.map(|path| match path.is_dir() {
        true => path.join("ansible.cfg"),
        false => path,
    });
    [
        of_environment,
        here.map(|folder| folder.join("ansible.cfg")),
        home.map(|folder| folder.join(".ansible.cfg")),
        Some("/etc/ansible/ansible.cfg".into()),
    ]
    .into_iter()
    .flatten()
    .find(|path| path.is_file())
}

/// Reads the settings from the text of a file, in the form of Python's `configparser`, and from
/// environment variables, which are stronger.
fn read(
    text: &str,
    folder: &Path,
    environment: impl Fn(&str) -> Option<String>,
) -> IndexMap<&'static str, ConfigSetting> {
    let mut in_file: IndexMap<(String, String), String> = IndexMap::new();
    let (mut section, mut last) = (String::new(), None);
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(header) = trimmed.strip_prefix('[') {
            header
                .split(']')
                .next()
                .unwrap_or_default()
                .clone_into(&mut section);
            last = None;
        } else if line.starts_with([' ', '\t']) && last.is_some() {
            // An indented line continues the value of the line before.
            if let Some(value) = last.as_ref().and_then(|key| in_file.get_mut(key)) {
                value.push(' ');
                value.push_str(trimmed);
            }
        } else if let Some((key, value)) = trimmed.split_once(['=', ':']) {
            // Ansible's configuration has comments behind a value that begin with ` ;`.
            let value = value.split(" ;").next().unwrap_or_default().trim();
            let key = (section.clone(), key.trim().to_lowercase());
            in_file.insert(key.clone(), value.to_owned());
            last = Some(key);
        }
    }
    let mut settings = IndexMap::new();
    for (section, key, variable_of_environment, variable) in SETTINGS {
        let of_environment = environment(variable_of_environment)
            .filter(|value| !value.is_empty())
            .map(|value| ConfigSetting {
                value,
                name: variable_of_environment,
            });
        let of_file = || {
            let value = in_file.get(&((*section).to_owned(), (*key).to_owned()))?;
            // A path starts at the folder of the file.
            let value = match *key {
                "private_key_file" if !value.starts_with('~') => {
                    folder.join(value).to_string_lossy().into_owned()
                }
                _ => value.clone(),
            };
            (!value.is_empty()).then_some(ConfigSetting { value, name: key })
        };
        if let Some(setting) = of_environment.or_else(of_file) {
            settings.insert(*variable, setting);
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_and_the_environment_are_read() {
        let text = "[defaults]\nremote_user = ann ; login\nhost_key_checking: False\nprivate_key_file = keys/id\n\
            inventory = x\n[ssh_connection]\n# note\nssh_args = -o A=b\n    -o C=d\n";
        let read = read(text, Path::new("/a"), |name| {
            (name == "ANSIBLE_BECOME").then(|| "yes".to_owned())
        });
        let found: Vec<(&str, &str, &str)> = read
            .iter()
            .map(|(variable, setting)| (*variable, setting.value.as_str(), setting.name))
            .collect();
        assert_eq!(
            found,
            [
                ("ansible_user", "ann", "remote_user"),
                ("ansible_private_key_file", "/a/keys/id", "private_key_file"),
                ("ansible_host_key_checking", "False", "host_key_checking"),
                ("ansible_ssh_args", "-o A=b -o C=d", "ssh_args"),
                ("ansible_become", "yes", "ANSIBLE_BECOME"),
            ]
        );
    }
}
