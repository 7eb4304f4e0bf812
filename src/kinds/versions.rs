//! Versions of a secret or config. The Engine cannot change such an object; each content gets an
//! object of its own, `NAME-1`, `NAME-2`, ..., recognized by its labels. The highest number is the
//! current version. Old versions stay until no service uses them and there are more than `keep`.

use base64ct::{Base64, Encoding as _};
use serde_json::{Value, json};

use super::cluster::request;
use crate::model::{
    GeneratedValue, KeyedDigest, Operation, Refusal, SecretBytes, Step, docker_filters,
};
use crate::names::HostName;

/// Label with the name in the playbook.
const LABEL_NAME: &str = "skep.name";
/// Label with the keyed digest of a secret's content.
pub(super) const LABEL_DIGEST: &str = "skep.digest";
/// Config with the key of all digests. Any account that may read it may also start containers that
/// read every secret.
const KEY: &str = "skep-digest-key";

/// Default of the field `keep` of both kinds.
pub(super) fn default_keep() -> usize {
    1
}

/// Type of an object: secret or config.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObjectKind {
    Secret,
    Config,
}

impl ObjectKind {
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Config => "config",
        }
    }

    fn collection(self) -> &'static str {
        match self {
            Self::Secret => "/secrets",
            Self::Config => "/configs",
        }
    }

    /// Returns the pointer to the list of used objects in a container's specification, and the key
    /// of an object's ID.
    fn used_at(self) -> (&'static str, &'static str) {
        match self {
            Self::Secret => ("/Spec/TaskTemplate/ContainerSpec/Secrets", "SecretID"),
            Self::Config => ("/Spec/TaskTemplate/ContainerSpec/Configs", "ConfigID"),
        }
    }

    /// Returns the paths to read: the versions, the services that may use them, and for secrets the
    /// key.
    pub(super) fn paths(self, name: &str) -> Vec<String> {
        let label = format!("{LABEL_NAME}={name}");
        let filters = docker_filters(&[("label", &[&label])]);
        let mut paths = vec![
            format!("{}?filters={filters}", self.collection()),
            "/services".to_owned(),
        ];
        if self == Self::Secret {
            paths.push(super::cluster::named("/configs", KEY));
        }
        paths
    }
}

/// A version of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ObjectVersion {
    id: String,
    pub(super) number: u64,
    pub(super) name: String,
    pub(super) digest: String,
    /// Content of a config; secrets cannot be read.
    pub(super) content: Option<Vec<u8>>,
    /// Names of services that use the version.
    users: Vec<String>,
}

/// Versions of one name, the current version last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObjectVersions {
    list: Vec<ObjectVersion>,
    /// Key of the digests, if it was created.
    pub(super) key: Option<SecretBytes>,
}

impl ObjectVersions {
    /// Reads the bodies of [`ObjectKind::paths`].
    pub(super) fn read(sort: ObjectKind, name: &str, bodies: &[Value]) -> Self {
        let objects = bodies
            .first()
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let services = bodies
            .get(1)
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let mut list: Vec<ObjectVersion> = objects
            .iter()
            .filter_map(|object| version(sort, name, object, services))
            .collect();
        list.sort_by_key(|version| version.number);
        let keys = bodies
            .get(2)
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let key = keys.iter().find(|config| text(config, "/Spec/Name") == KEY);
        let key = key
            .and_then(|config| Base64::decode_vec(&text(config, "/Spec/Data")).ok())
            .map(SecretBytes::new);
        Self { list, key }
    }

    pub(super) fn current(&self) -> Option<&ObjectVersion> {
        self.list.last()
    }

    /// Returns the number of the next version.
    pub(super) fn next(&self) -> u64 {
        self.current().map_or(1, |version| version.number + 1)
    }

    /// Returns the old versions that no service uses and that exceed `keep`, the oldest first.
    /// `coming` is the number of versions that will be added.
    pub(super) fn surplus(&self, keep: usize, coming: usize) -> Vec<&ObjectVersion> {
        let current = usize::from(coming == 0 && !self.list.is_empty());
        let old = &self.list[..self.list.len() - current];
        let unused: Vec<&ObjectVersion> = old
            .iter()
            .filter(|version| version.users.is_empty())
            .collect();
        let more = old.len().saturating_sub(keep);
        unused.into_iter().take(more).collect()
    }

    /// Returns all versions, for their removal.
    ///
    /// # Errors
    /// [`Refusal`] when a service uses a version.
    pub(super) fn all_unused(
        &self,
        sort: ObjectKind,
        name: &str,
    ) -> Result<Vec<&ObjectVersion>, Refusal> {
        let mut users: Vec<&str> = self
            .list
            .iter()
            .flat_map(|version| &version.users)
            .map(String::as_str)
            .collect();
        users.sort_unstable();
        users.dedup();
        if users.is_empty() {
            return Ok(self.list.iter().collect());
        }
        let noun = sort.noun();
        Err(Refusal {
            why: format!(
                "the {noun} {name} is used by the service {}",
                users.join(", ")
            ),
            hint: format!("remove the {noun} from that service first"),
        })
    }
}

fn version(
    sort: ObjectKind,
    name: &str,
    object: &Value,
    services: &[Value],
) -> Option<ObjectVersion> {
    // An API endpoint may ignore filters; therefore the label decides.
    let labels = object.pointer("/Spec/Labels")?;
    if labels.get(LABEL_NAME)?.as_str()? != name {
        return None;
    }
    let full = text(object, "/Spec/Name");
    let number = full.strip_prefix(name)?.strip_prefix('-')?.parse().ok()?;
    let id = text(object, "/ID");
    let (list, key) = sort.used_at();
    let uses = |service: &&Value| {
        let used = service.pointer(list).and_then(Value::as_array);
        used.is_some_and(|used| {
            used.iter()
                .any(|one| one.get(key).and_then(Value::as_str) == Some(&id))
        })
    };
    let users = services
        .iter()
        .filter(uses)
        .map(|service| text(service, "/Spec/Name"))
        .collect();
    let content = match sort {
        ObjectKind::Config => Base64::decode_vec(&text(object, "/Spec/Data")).ok(),
        ObjectKind::Secret => None,
    };
    let digest = labels
        .get(LABEL_DIGEST)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    Some(ObjectVersion {
        id,
        number,
        name: full,
        digest,
        content,
        users,
    })
}

fn text(value: &Value, pointer: &str) -> String {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// Returns the step that creates a version.
pub(super) fn create(
    sort: ObjectKind,
    name: &str,
    number: u64,
    content: &SecretBytes,
    managers: &[HostName],
) -> Step {
    let full = format!("{name}-{number}");
    let body = json!({
        "Name": full, "Labels": { LABEL_NAME: name }, "Data": Base64::encode_string(content.expose()),
    });
    let path = format!("{}/create", sort.collection());
    let mut step = request(
        format!("create {} {full}", sort.noun()),
        managers,
        "POST",
        path,
        Some(body),
    );
    if let (ObjectKind::Secret, Operation::DockerApi(call)) = (sort, &mut step.act) {
        call.made = GeneratedValue::KeyedDigest(KeyedDigest {
            managers: managers.to_vec(),
            path: format!("/configs/{KEY}"),
            pointer: "/Spec/Data".into(),
            name: name.to_owned(),
            content: content.clone(),
            into: format!("/Labels/{LABEL_DIGEST}"),
        });
    }
    step
}

/// Returns the step that creates the key of digests: 32 random bytes that only managers of the
/// swarm can read.
pub(super) fn create_key(managers: &[HostName]) -> Step {
    let body = json!({ "Name": KEY, "Labels": { LABEL_NAME: KEY }, "Data": "" });
    let summary = format!("create config {KEY}, the key of the secrets' digests");
    let mut step = request(
        summary,
        managers,
        "POST",
        "/configs/create".into(),
        Some(body),
    );
    if let Operation::DockerApi(call) = &mut step.act {
        call.made = GeneratedValue::RandomKey {
            into: "/Data".into(),
        };
    }
    step
}

/// Returns the step that removes a version.
pub(super) fn remove(sort: ObjectKind, version: &ObjectVersion, managers: &[HostName]) -> Step {
    let path = format!("{}/{}", sort.collection(), version.id);
    request(
        format!("remove {} {}", sort.noun(), version.name),
        managers,
        "DELETE",
        path,
        None,
    )
}
