//! `registry`: a private registry of images. On its own host it is a service of the swarm with a
//! persistent directory; on every host it sets the name in /etc/hosts and the trust in its
//! authority. The kind `certificate` must create the certificate before it.

mod absent;
mod htpasswd;
mod service;
mod state;
#[cfg(test)]
mod tests;

pub use self::service::{LABEL, LABEL_DIRECTORY};

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;

use self::htpasswd::UserPassword;
use super::cluster::default_managers;
use super::hosts_entry::{HostsEntryResource, is_host_name};
use super::image_name::check_image;
use super::{AbsolutePath, DesiredState};
use crate::base::path_script;
use crate::kinds::registry::state::{RegistryServerState, RegistryState};
use crate::model::{
    Action, Change, DisplayValue, HostAnswers, HostContext, InvalidField, Observation, Operation,
    PathState, PathType, ProbeError, Query, Refusal, ResourceKind, Step, WriteFile,
};
use crate::names::HostName;
use crate::swarm::{ManagerAddresses, host_part};

/// A private registry; every host that uses it has the same table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryResource {
    /// Host name in the names of images: `registry.dream` in `registry.dream:5001/web:1`.
    name: String,
    /// Port on its host. Default 5000.
    #[serde(default = "default_port")]
    port: u16,
    /// Host of the inventory that stores the images.
    host: String,
    /// Image of the registry itself, with an exact tag or digest. Required unless `state =
    /// "absent"`.
    #[serde(default)]
    image: String,
    /// Program and arguments in the image. Default: the image's own.
    #[serde(default)]
    command: Vec<String>,
    /// Directory of the images on the registry's host. Default `/srv/registry`.
    #[serde(default = "default_directory")]
    directory: AbsolutePath,
    /// Directory of a `certificate` on the registry's host; without it, the registry uses plain
    /// HTTP.
    certificate: Option<AbsolutePath>,
    /// Users that may push and pull, with their passwords. Default: everybody.
    #[serde(default)]
    users: BTreeMap<String, UserPassword>,
    /// Label `key=value` of the node on which the service runs. Default: the service is bound to
    /// the node's ID.
    label: Option<String>,
    /// Name of the service. Default `registry`.
    #[serde(default = "default_service")]
    service: String,
    /// Group of the managers. Default `managers`.
    #[serde(default = "default_managers")]
    managers: String,
    /// `"present"` (default) or `"absent"`: service, users, name and trust are removed; the
    /// directory with the images stays.
    #[serde(default)]
    state: DesiredState,
    #[serde(skip)]
    bound: RegistryContext,
}

/// Values from the inventory.
#[derive(Debug, Default)]
struct RegistryContext {
    me: Option<HostName>,
    /// True if this host stores the images.
    server: bool,
    managers: Vec<HostName>,
    hosts_entry: Option<HostsEntryResource>,
}

fn default_port() -> u16 {
    5000
}
fn default_directory() -> AbsolutePath {
    AbsolutePath::constant("/srv/registry")
}
fn default_service() -> String {
    "registry".into()
}
impl ResourceKind for RegistryResource {
    const NAME: &'static str = "registry";
    type Observed = RegistryState;

    fn name(&self) -> String {
        format!("{}:{}", self.name, self.port)
    }

    fn bind(&mut self, context: &HostContext<'_>) -> Result<(), InvalidField> {
        if !is_host_name(&self.name) || self.name != self.name.to_lowercase() {
            return Err(InvalidField::new(
                "name",
                format!("{:?} is not a lower-case host name", self.name),
            )
            .hint("name = \"registry.dream\""));
        }
        if !self.name.contains('.') && self.port == 443 {
            return Err(InvalidField::new(
                "name",
                "Docker looks for images at Docker Hub if the name has neither a dot nor a port",
            ));
        }
        if self.state == DesiredState::Present {
            check_image("image", &self.image)?;
        }
        if let Some(label) = &self.label
            && !label.split_once('=').is_some_and(|(key, _)| {
                !key.trim().is_empty() && !key.contains(char::is_whitespace)
            })
        {
            return Err(
                InvalidField::new("label", format!("{label:?} is not key=value"))
                    .hint("label = \"registry=true\""),
            );
        }
        if let Some(user) = self
            .users
            .keys()
            .find(|user| user.is_empty() || user.contains([':', '\n', '\r']))
        {
            return Err(InvalidField::new(
                "users",
                format!("{user:?} is not a user's name: no colon, no line break"),
            ));
        }
        if let Some((user, _)) = self
            .users
            .iter()
            .find(|(_, password)| !password.is_usable())
        {
            return Err(InvalidField::new(
                "users",
                format!("the password of {user} is empty, has a NUL, or over 72 bytes"),
            )
            .hint("bcrypt accepts 1 to 72 bytes"));
        }
        if !self.users.is_empty() && self.certificate.is_none() {
            return Err(InvalidField::new(
                "users",
                "passwords would travel in the clear without TLS",
            )
            .hint("add a `certificate` before the registry, and name its directory in the field `certificate`"));
        }
        let host = HostName::new(&self.host);
        let Some(entry) = context.roster.hosts.get(&host) else {
            return Err(InvalidField::new(
                "host",
                format!("the inventory has no host {}", self.host),
            ));
        };
        let address = entry
            .swarm_address
            .clone()
            .unwrap_or_else(|| entry.address.clone());
        let Ok(address) = host_part(&address).parse::<IpAddr>() else {
            return Err(InvalidField::new(
                "host",
                format!(
                    "the address of {} is {address}, not an IP address",
                    self.host
                ),
            )
            .hint("give it the variable swarm_address"));
        };
        self.bound = RegistryContext {
            server: *context.host == host,
            me: Some(context.host.clone()),
            managers: ManagerAddresses::of_group(context.roster, &self.managers).names(),
            // A registry may have the name of its host; that name then stays in /etc/hosts.
            hosts_entry: match self.state {
                DesiredState::Present => Some(HostsEntryResource::of(address, &self.name)),
                DesiredState::Absent
                    if context
                        .roster
                        .hosts
                        .contains_key(&HostName::new(&self.name)) =>
                {
                    None
                }
                DesiredState::Absent => Some(HostsEntryResource::without(address, &self.name)),
            },
        };
        if self.bound.managers.is_empty() {
            return Err(InvalidField::new(
                "managers",
                format!("no host is in the group `{}`", self.managers),
            ));
        }
        Ok(())
    }

    fn queries(&self) -> Vec<Query> {
        self.questions()
    }

    fn observe(&self, answers: &HostAnswers) -> Result<Observation<RegistryState>, ProbeError> {
        self.look(answers)
    }

    fn plan(&self, seen: &RegistryState) -> Result<Option<Change>, Refusal> {
        if self.state == DesiredState::Absent {
            return self.plan_absence(seen);
        }
        let mut change = Change::new(Action::Update);
        if let Some(server) = &seen.server {
            change = self.plan_server(server, change)?;
        }
        if let Some(entry) = &self.bound.hosts_entry
            && let Some(more) = entry.plan(&seen.hosts)?
        {
            change.fields.extend(more.fields);
            change.steps.extend(more.steps);
        }
        if self.certificate.is_some() {
            change = self.plan_trust(seen, change)?;
        }
        Ok((!change.fields.is_empty()).then_some(change))
    }

    fn inventory_inputs(&self) -> String {
        format!("{:?}", self.bound.hosts_entry)
    }
}

impl RegistryResource {
    /// Returns the path at which the Engine expects the authority of this registry.
    fn trust_path(&self) -> String {
        format!("/etc/docker/certs.d/{}:{}/ca.crt", self.name, self.port)
    }

    fn plan_trust(&self, seen: &RegistryState, change: Change) -> Result<Change, Refusal> {
        let path = self.trust_path();
        let before = seen.trust.as_ref();
        if before.is_some_and(|file| file.kind != PathType::File) {
            return Err(Refusal {
                why: format!("{path} is not a file"),
                hint: "move it away".into(),
            });
        }
        let have = before.and_then(|file| file.content.as_deref());
        let shown = |content: &[u8]| DisplayValue::text(fingerprint(content));
        let before = have.map_or(DisplayValue::Absent, shown);
        let Some(authority) = &seen.authority else {
            let later = Step::known_after_apply(format!(
                "write {path}, once {} has its certificate",
                self.host
            ));
            // The registry's host could not be read; an existing file stays.
            return Ok(if have.is_some() {
                change
            } else {
                change
                    .field(path, before, DisplayValue::KnownAfterApply)
                    .step(later)
            });
        };
        if have == Some(authority.as_slice()) {
            return Ok(change);
        }
        let folder = format!("/etc/docker/certs.d/{}:{}", self.name, self.port);
        let script = path_script("ensure_directory \"$1\" 0:0 0755\n");
        let make = Step::script(format!("create {folder}"), script, [folder]);
        let write = write(&path, authority.clone(), 0o644);
        Ok(change
            .field(path, before, shown(authority))
            .step(make)
            .step(write))
    }
}

fn write(path: &str, content: Vec<u8>, mode: u32) -> Step {
    let root = || "root".to_owned();
    let file = WriteFile {
        path: path.into(),
        content,
        owner: root(),
        group: root(),
        mode,
    };
    Step {
        summary: format!("write {path}"),
        act: Operation::WriteFile(file),
    }
}

/// Returns a short digest of a certificate, shown in place of its text.
fn fingerprint(content: &[u8]) -> String {
    format!(
        "sha256:{}",
        crate::model::sha256(content)
            .chars()
            .take(12)
            .collect::<String>()
    )
}
