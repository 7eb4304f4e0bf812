//! Turns Ansible's connection variables into settings of a host. A variable that affects the
//! connection and has no setting in skep becomes a remark; none is dropped silently.
//!
//! The names and their precedence are those of Ansible's `ssh` connection plugin and `sudo` become
//! plugin: of two names for one setting, the later one in its list is stronger.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::templates;
use crate::inventory::external::remarks::{ConversionRemarks, is_secret_variable};
use crate::inventory::external::truth::truth_of;
use crate::inventory::external::{GeneratedHost, key_path};

/// Connection plugins that use SSH.
const SSH_PLUGINS: &[&str] = &["ssh", "smart", "paramiko", "paramiko_ssh", "libssh"];
/// Variables for Ansible itself: how it runs Python, copies files and retries. They do not change
/// how a host is reached.
const WITHOUT_EFFECT: &[&str] = &[
    "ansible_async_dir",
    "ansible_check_mode",
    "ansible_common_remote_group",
    "ansible_control_path",
    "ansible_control_path_dir",
    "ansible_diff_mode",
    "ansible_group_priority",
    "ansible_pipelining",
    "ansible_playbook_python",
    "ansible_python_interpreter",
    "ansible_remote_tmp",
    "ansible_scp_extra_args",
    "ansible_scp_if_ssh",
    "ansible_sftp_batch_mode",
    "ansible_sftp_extra_args",
    "ansible_shell_executable",
    "ansible_shell_type",
    "ansible_ssh_control_path",
    "ansible_ssh_control_path_dir",
    "ansible_ssh_pipelining",
    "ansible_ssh_retries",
    "ansible_ssh_transfer_method",
    "ansible_system_tmpdirs",
    "ansible_ssh_use_tty",
    "ansible_system_warnings",
];

/// Result of the conversion.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ConnectionKind {
    Ssh,
    /// Another connection plugin: the host is not reached over SSH.
    Other(String),
}

/// The host whose variables are converted.
pub(super) struct HostConnection<'a> {
    pub(super) host: &'a str,
    /// Variables of the host, those of its groups and of ansible.cfg included.
    pub(super) vars: &'a Map<String, Value>,
    /// File of the inventory.
    pub(super) path: &'a Path,
    /// Folder of the inventory.
    pub(super) folder: &'a Path,
    /// Name that the user wrote for a variable, if it comes from ansible.cfg.
    pub(super) name_of: &'a dyn Fn(&str) -> Option<&'static str>,
    pub(super) remarks: &'a mut ConversionRemarks,
}

impl HostConnection<'_> {
    /// Sets the settings of the host.
    pub(super) fn convert(&mut self, machine: &mut GeneratedHost) -> ConnectionKind {
        if let Some(plugin) = self.text(&["ansible_connection"]) {
            let short = plugin.rsplit('.').next().unwrap_or(&plugin);
            if !SSH_PLUGINS.contains(&short) {
                return ConnectionKind::Other(plugin);
            }
        }
        if let Some(shell) = self.text(&["ansible_shell_type"])
            && ["powershell", "cmd"].contains(&shell.as_str())
        {
            return ConnectionKind::Other(format!("ssh with the shell {shell}"));
        }
        // `ssh` takes the first value of an option, and Ansible's command line has this order:
        // ssh_args, the variables, ssh_common_args, ssh_extra_args.
        self.arguments(machine, "ansible_ssh_args");
        self.address(machine);
        self.port(machine);
        let user = self.text(&["ansible_user", "ansible_ssh_user"]);
        self.set_text(machine, "user", user);
        let key = self.text(&["ansible_private_key_file", "ansible_ssh_private_key_file"]);
        let key = key.map(|key| self.local_path(&key));
        self.set_text(machine, "identity_file", key);
        self.timeout(machine);
        self.host_keys(machine);
        self.arguments(machine, "ansible_ssh_common_args");
        self.arguments(machine, "ansible_ssh_extra_args");
        self.become_settings(machine);
        self.report_others();
        ConnectionKind::Ssh
    }

    /// Returns the text of the strongest of some variables, rendered if it is a template.
    pub(super) fn text(&mut self, names: &[&str]) -> Option<String> {
        let (name, value) = self.value(names)?;
        match value {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(boolean) => Some(boolean.to_string()),
            _ => {
                self.refuse(&name, "is a list or a table, not a text", None);
                None
            }
        }
    }

    /// Returns the strongest of some variables and its name. Empty texts and null do not count.
    fn value(&mut self, names: &[&str]) -> Option<(String, Value)> {
        let (name, value) = names
            .iter()
            .rev()
            .filter_map(|name| self.vars.get_key_value(*name))
            .find(|(_, value)| !value.is_null() && value.as_str() != Some(""))?;
        let (name, value) = (name.clone(), plain(value).clone());
        match value.as_str().filter(|_| templates::is_template(&value)) {
            None => Some((name, value)),
            Some(text) => {
                match templates::render(text, self.host, self.vars, self.path, self.folder) {
                    Ok(text) => Some((name, text.into())),
                    Err(why) => {
                        let message =
                            format!("is a template that only Ansible can evaluate here ({why})");
                        self.refuse(
                            &name,
                            &message,
                            Some("write the value, or a template of variables of the inventory"),
                        );
                        None
                    }
                }
            }
        }
    }

    /// Returns the boolean of the strongest of some variables.
    fn truth(&mut self, names: &[&str]) -> Option<bool> {
        let (name, value) = self.value(names)?;
        let truth = truth_of(&value);
        if truth.is_none() {
            self.refuse(
                &name,
                "is neither true nor false",
                Some("write true or false"),
            );
        }
        truth
    }

    pub(super) fn refuse(&mut self, variable: &str, message: &str, hint: Option<&str>) {
        let name = (self.name_of)(variable).unwrap_or(variable);
        let message = format!("{name} {message}");
        self.remarks.refuse(self.host, name, message, hint);
    }

    pub(super) fn warn(&mut self, variable: &str, message: &str, hint: Option<&str>) {
        let name = (self.name_of)(variable).unwrap_or(variable);
        let message = format!("{name} {message}");
        self.remarks.warn(self.host, name, message, hint);
    }

    fn set_text(&self, machine: &mut GeneratedHost, setting: &'static str, text: Option<String>) {
        if let Some(text) = text {
            machine.set_if_absent(setting, text);
        }
    }

    pub(super) fn local_path(&self, path: &str) -> String {
        let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        key_path(path, &[&here, self.folder])
    }

    /// An inventory name such as `ann@10.0.0.7` is a login and an address, as for `ssh`.
    fn address(&mut self, machine: &mut GeneratedHost) {
        let given = self.text(&["ansible_host", "ansible_ssh_host"]);
        let address = given.unwrap_or_else(|| self.host.to_owned());
        match address.rsplit_once('@') {
            Some((user, address)) => {
                machine.set_if_absent("address", address);
                if !self.vars.contains_key("ansible_user") {
                    machine.set_if_absent("user", user);
                }
            }
            None => machine.set_if_absent("address", address),
        }
    }

    fn port(&mut self, machine: &mut GeneratedHost) {
        let names = ["ansible_port", "ansible_ssh_port"];
        let Some(text) = self.text(&names) else {
            return;
        };
        match text.trim().parse::<u16>() {
            Ok(port) if port > 0 => machine.set_if_absent("port", port),
            _ => self.refuse(
                "ansible_port",
                &format!("is `{text}`, which is not a port"),
                Some("a port is a number from 1 to 65535"),
            ),
        }
    }

    fn timeout(&mut self, machine: &mut GeneratedHost) {
        let names = ["ansible_timeout", "ansible_ssh_timeout"];
        let Some(text) = self.text(&names) else {
            return;
        };
        match text.trim().parse::<u32>() {
            Ok(seconds) if seconds > 0 => {
                machine.set_if_absent("connect_timeout", format!("{seconds}s"));
            }
            _ => self.refuse(
                "ansible_timeout",
                &format!("is `{text}`, not a number of seconds"),
                None,
            ),
        }
    }

    fn host_keys(&mut self, machine: &mut GeneratedHost) {
        let names = ["ansible_host_key_checking", "ansible_ssh_host_key_checking"];
        if self.truth(&names) == Some(false) {
            let name = names
                .iter()
                .rev()
                .find(|name| self.vars.contains_key(**name));
            self.accept_new_keys(machine, name.copied().unwrap_or(names[0]));
        }
    }

    pub(super) fn accept_new_keys(&mut self, machine: &mut GeneratedHost, variable: &str) {
        machine.set_if_absent("host_keys", "accept-new");
        self.warn(
            variable,
            "switches host key checking off: skep accepts new host keys, and still refuses a changed one",
            None,
        );
    }

    fn become_settings(&mut self, machine: &mut GeneratedHost) {
        let become_root = self.truth(&["ansible_become"]);
        if let Some(become_root) = become_root {
            machine.set_if_absent("become", become_root);
        }
        let user = self.text(&["ansible_become_user", "ansible_sudo_user"]);
        self.set_text(machine, "become_user", user);
        if become_root != Some(true) {
            return;
        }
        if let Some(method) = self.text(&["ansible_become_method"])
            && method.rsplit('.').next() != Some("sudo")
        {
            self.refuse(
                "ansible_become_method",
                &format!("is `{method}`: skep becomes root with sudo only"),
                Some("let the login use sudo, or log in as root"),
            );
        }
        if let Some(program) = self.text(&["ansible_become_exe", "ansible_sudo_exe"])
            && Path::new(&program).file_name() != Some("sudo".as_ref())
        {
            self.refuse(
                "ansible_become_exe",
                &format!("is `{program}`: skep becomes root with sudo only"),
                None,
            );
        }
        // The default flags of Ansible, in any order.
        if let Some(flags) = self.text(&["ansible_become_flags", "ansible_sudo_flags"])
            && flags
                .split_whitespace()
                .any(|flag| !["-H", "-S", "-n"].contains(&flag))
        {
            self.warn(
                "ansible_become_flags",
                "is not followed: skep runs `sudo` with its own flags",
                None,
            );
        }
    }

    /// Names the variables about the connection that have no setting.
    fn report_others(&mut self) {
        const READ: &[&str] = &[
            "ansible_become",
            "ansible_become_exe",
            "ansible_become_flags",
            "ansible_become_method",
            "ansible_become_user",
            "ansible_connection",
            "ansible_host",
            "ansible_host_key_checking",
            "ansible_port",
            "ansible_private_key_file",
            "ansible_ssh_args",
            "ansible_ssh_common_args",
            "ansible_ssh_extra_args",
            "ansible_ssh_host",
            "ansible_ssh_host_key_checking",
            "ansible_ssh_port",
            "ansible_ssh_private_key_file",
            "ansible_ssh_timeout",
            "ansible_ssh_user",
            "ansible_sudo_exe",
            "ansible_sudo_flags",
            "ansible_sudo_user",
            "ansible_timeout",
            "ansible_user",
        ];
        let names: Vec<String> = self
            .vars
            .keys()
            .filter(|name| name.starts_with("ansible_"))
            .filter(|name| !READ.contains(&name.as_str()))
            .filter(|name| !WITHOUT_EFFECT.contains(&name.as_str()))
            .filter(|name| !(name.ends_with("_interpreter") || name.starts_with("ansible_scp_")))
            .cloned()
            .collect();
        for name in names {
            match name.as_str() {
                "ansible_ask_pass" | "ansible_become_ask_pass" => {
                    if self.truth(&[&name]) == Some(true) {
                        let option = if name == "ansible_ask_pass" { "--ask-pass" } else { "--ask-become-pass" };
                        self.warn(&name, "is not followed: skep asks for no password by itself", Some(&format!("use `{option}`")));
                    }
                }
                "ansible_become_password" | "ansible_become_pass" | "ansible_sudo_pass" => self.warn(
                    &name,
                    "is left out: an inventory holds no passwords",
                    Some("use `become_password_command`, `--ask-become-pass` or SKEP_BECOME_PASSWORD"),
                ),
                "ansible_ssh_executable" => {
                    if self.text(&[&name]).is_some_and(|program| !program.ends_with("ssh")) {
                        self.warn(&name, "is not followed: skep connects by itself", None);
                    }
                }
                secret if is_secret_variable(secret) => self.warn(
                    &name,
                    "is left out: an inventory holds no secrets",
                    Some("use `password_command`, `--ask-pass` or SKEP_SSH_PASSWORD"),
                ),
                _ => self.warn(
                    &name,
                    "is left out: skep has no setting like it",
                    None,
                ),
            }
        }
    }
}

/// Returns the text of a value that Ansible marks as unsafe, which means that it is no template.
pub(super) fn plain(value: &Value) -> &Value {
    value.get("__ansible_unsafe").unwrap_or(value)
}
