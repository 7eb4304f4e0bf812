//! Turns the options for `ssh` in `ansible_ssh_common_args` and its siblings into settings of a
//! host.

use serde_json::Value;

use super::connection::HostConnection;
use super::ssh_arguments::{self, SshArgument};
use crate::inventory::external::GeneratedHost;

const USE_FILE: &str = "write the option into an SSH configuration and name it with `ssh_config`; skep reads ~/.ssh/config too";

impl HostConnection<'_> {
    /// Follows the arguments for `ssh` in a variable, or says that it does not.
    pub(super) fn arguments(&mut self, machine: &mut GeneratedHost, variable: &'static str) {
        let Some(line) = self.text(&[variable]) else {
            return;
        };
        let arguments = match ssh_arguments::read(&line) {
            Ok(arguments) => arguments,
            Err(why) => return self.refuse(variable, &format!("cannot be read: {why}"), None),
        };
        for argument in arguments {
            match argument {
                SshArgument::ConfigFile(file) if file == "none" => {
                    machine.set_if_absent("ssh_config", false);
                }
                SshArgument::ConfigFile(file) => {
                    let path = self.local_path(&file);
                    if std::path::Path::new(&path).is_file() {
                        machine.set_if_absent("ssh_config", path);
                    } else {
                        self.warn(
                            variable,
                            &format!("names the SSH configuration {file}, which is not there: only known host keys are accepted"),
                            None,
                        );
                        machine.set_if_absent("host_keys", "strict");
                    }
                }
                SshArgument::Option(keyword, value) => {
                    self.option(machine, variable, &keyword, &value);
                }
                SshArgument::Other(text) => {
                    self.warn(
                        variable,
                        &format!("contains `{text}`, which is not followed"),
                        None,
                    );
                }
            }
        }
    }

    fn option(
        &mut self,
        machine: &mut GeneratedHost,
        variable: &'static str,
        keyword: &str,
        value: &str,
    ) {
        let as_path = |connection: &Self, value: &str| match value {
            "none" => "/dev/null".to_owned(),
            value => connection.local_path(value.trim_matches('"')),
        };
        match keyword {
            "proxycommand" | "proxyjump" => {
                // Either of the two wins if it comes first, as in ssh_config(5).
                if machine.setting("proxy_command").is_none()
                    && machine.setting("proxy_jump").is_none()
                {
                    let setting = if keyword == "proxyjump" {
                        "proxy_jump"
                    } else {
                        "proxy_command"
                    };
                    machine.set_if_absent(setting, value);
                }
            }
            "hostname" if !value.contains('%') => machine.set_if_absent("address", value),
            "user" => machine.set_if_absent("user", value),
            "hostkeyalias" => machine.set_if_absent("host_key_alias", value),
            "identityfile" if !value.contains('%') => {
                let path = as_path(self, value);
                machine.set_if_absent("identity_file", path);
            }
            "userknownhostsfile" if !value.contains('%') => {
                let paths: Vec<Value> = value
                    .split_whitespace()
                    .map(|path| as_path(self, path).into())
                    .collect();
                machine.set_if_absent("known_hosts", paths);
            }
            "port" => match value.parse::<u16>() {
                Ok(port) if port > 0 => machine.set_if_absent("port", port),
                _ => self.refuse(
                    variable,
                    &format!("has the port `{value}`, which is not a port"),
                    None,
                ),
            },
            "connecttimeout" => match value.parse::<u32>() {
                Ok(seconds) if seconds > 0 => {
                    machine.set_if_absent("connect_timeout", format!("{seconds}s"));
                }
                _ => self.refuse(variable, &format!("has the ConnectTimeout `{value}`"), None),
            },
            "stricthostkeychecking" => match value.to_ascii_lowercase().as_str() {
                "yes" => machine.set_if_absent("host_keys", "strict"),
                "ask" => machine.set_if_absent("host_keys", "ask"),
                "accept-new" => machine.set_if_absent("host_keys", "accept-new"),
                "no" | "off" => self.accept_new_keys(machine, variable),
                _ => self.refuse(
                    variable,
                    &format!("has StrictHostKeyChecking `{value}`, which ssh does not know"),
                    None,
                ),
            },
            // Settings that make a connection safer end it if they cannot be followed.
            "revokedhostkeys" | "knownhostscommand" | "globalknownhostsfile" => self.refuse(
                variable,
                &format!("has the option {keyword}, which no setting of the inventory can express"),
                Some(USE_FILE),
            ),
            _ => self.warn(
                variable,
                &format!("has the option {keyword}, which is not followed"),
                Some(USE_FILE),
            ),
        }
    }
}
