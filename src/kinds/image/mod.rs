//! `image`: an image built on this host from a folder beside the playbook, or loaded from an archive, and pushed to its registry. The same
//! content is built and pushed once: the image carries the digest of what it was made of.

mod content;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::model::{
    Action, Change, DisplayValue, DockerAnswer, DockerCall, GeneratedValue, HostAnswers,
    HostContext, ImageCall, InvalidField, Observation, Operation, ProbeError, Query, Refusal,
    RegistryCredentials, ResourceKind, STEP_TIMEOUT, Step,
};

/// Label with the digest of what an image was built of.
const LABEL: &str = "skep.content";
/// Builds install packages, and pushes go over slow lines.
const PATIENCE: Duration = Duration::from_secs(1800);

/// An image, made on this host.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageResource {
    /// Name with its registry and an exact tag: `docker01:5000/web:1`.
    name: String,
    /// Folder beside the playbook with all that the build needs.
    context: Option<String>,
    /// The Dockerfile's path in the context. Default `Dockerfile`.
    dockerfile: Option<String>,
    /// Build arguments; they are part of the image's history, and no place for secrets.
    #[serde(default)]
    args: BTreeMap<String, String>,
    /// An archive of `docker save` beside the playbook, instead of a context.
    archive: Option<String>,
    /// Whether it goes to its registry. Default `true`.
    #[serde(default = "yes")]
    push: bool,
    /// Who pushes, where the registry knows its users.
    username: Option<String>,
    /// The password.
    password: Option<PushPassword>,
    #[serde(skip)]
    source: ImageSource,
}

fn yes() -> bool {
    true
}

/// A password; never shown.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
struct PushPassword(String);

impl std::fmt::Debug for PushPassword {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret")
    }
}

/// What the image is made of.
#[derive(Default)]
struct ImageSource {
    tar: Arc<[u8]>,
    /// Digest of context and arguments, or the ID of the image in the archive.
    digest: String,
    /// The image's name in the archive.
    saved: Option<String>,
}

// By hand: nobody reads a tar.
impl std::fmt::Debug for ImageSource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "Source({}, {} bytes)",
            self.digest,
            self.tar.len()
        )
    }
}

/// What is there.
#[derive(Debug)]
pub struct ImageState {
    /// ID, content label and digests in registries of the image on this host.
    local: Option<LocalImage>,
    /// The digest in the registry; a reason where it could not be asked.
    remote: Result<Option<String>, String>,
}

#[derive(Debug)]
struct LocalImage {
    id: String,
    content: String,
    digests: Vec<String>,
}

impl ResourceKind for ImageResource {
    const NAME: &'static str = "image";
    type Observed = ImageState;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn bind(&mut self, context: &HostContext<'_>) -> Result<(), InvalidField> {
        super::registry::check_image("name", &self.name)?;
        if self.name.contains('@') {
            return Err(InvalidField::new(
                "name",
                "an image is made under a tag; its digest is learnt then",
            ));
        }
        let has_registry = self
            .name
            .split_once('/')
            .is_some_and(|(first, _)| first.contains(['.', ':']) || first == "localhost");
        if self.push && !has_registry {
            return Err(InvalidField::new(
                "name",
                format!("{} names no registry to push to", self.name),
            )
            .hint("write it as docker01:5000/NAME:TAG, or set push = false"));
        }
        if self.username.is_some() != self.password.is_some() {
            return Err(InvalidField::new(
                "username",
                "username and password go together",
            ));
        }
        self.source = match (&self.context, &self.archive) {
            (Some(path), None) => {
                let entries = context.files.tree(path)?;
                let dockerfile = self.dockerfile();
                if !entries.iter().any(|entry| entry.path == dockerfile) {
                    return Err(InvalidField::new(
                        "context",
                        format!("there is no {dockerfile} in {path}"),
                    )
                    .hint("name it: dockerfile = \"...\""));
                }
                let tar = content::tar(&entries).map_err(|error| {
                    InvalidField::new(
                        "context",
                        format!("{path} does not fit into a tar: {error}"),
                    )
                })?;
                let arguments = self
                    .args
                    .iter()
                    .flat_map(|(key, value)| [key.as_str(), value.as_str()]);
                let digest = content::digest(&tar, std::iter::once(dockerfile).chain(arguments));
                ImageSource {
                    tar: tar.into(),
                    digest,
                    saved: None,
                }
            }
            (None, Some(path)) => {
                if self.dockerfile.is_some() || !self.args.is_empty() {
                    return Err(InvalidField::new(
                        "archive",
                        "an archive is loaded, not built: no dockerfile, no args",
                    ));
                }
                let archive = context.files.archive(path)?;
                let (saved, digest) = content::saved(&archive)?;
                ImageSource {
                    tar: archive.into(),
                    digest,
                    saved: Some(saved),
                }
            }
            _ => {
                return Err(InvalidField::new(
                    "context",
                    "an image is made of either a context or an archive",
                ));
            }
        };
        Ok(())
    }

    fn queries(&self) -> Vec<Query> {
        let mut queries = vec![Query::engine(self.inspect())];
        if self.push {
            queries.push(Query::Distribution {
                image: self.name.clone(),
                credentials: self.credentials(),
            });
        }
        queries
    }

    fn observe(&self, answers: &HostAnswers) -> Result<Observation<ImageState>, ProbeError> {
        let local = match answers.engine(&self.inspect())? {
            DockerAnswer::Response {
                status: 200..=299,
                body,
            } => Some(LocalImage::read(body)),
            // A host that is to get its Engine in this run has no image.
            DockerAnswer::Response { status: 404, .. } | DockerAnswer::Absent => None,
            DockerAnswer::Response { status, body } => {
                return Err(unreadable(&said(*status, body)));
            }
            DockerAnswer::Down(why) | DockerAnswer::Unreachable(why) => {
                return Err(unreadable(why));
            }
        };
        let remote = if self.push {
            match answers.distribution(&self.name, self.credentials().as_ref())? {
                DockerAnswer::Response {
                    status: 200..=299,
                    body,
                } => Ok(body
                    .pointer("/Descriptor/digest")
                    .and_then(Value::as_str)
                    .map(str::to_owned)),
                DockerAnswer::Response { status, body } if is_missing(*status, body) => Ok(None),
                DockerAnswer::Response { status, body } => Err(said(*status, body)),
                DockerAnswer::Absent => Ok(None),
                DockerAnswer::Down(why) | DockerAnswer::Unreachable(why) => Err(why.clone()),
            }
        } else {
            Ok(None)
        };
        // An image that is to be made anew needs no registry yet: that may come with the same run. One that is there does.
        if let (Some(why), true) = (
            remote.as_ref().err(),
            local.as_ref().is_some_and(|local| self.is_made(local)),
        ) {
            return Err(ProbeError::Failed {
                what: format!("{} in its registry", self.name),
                why: why.clone(),
            });
        }
        Ok(Observation::Known(ImageState { local, remote }))
    }

    fn plan(&self, seen: &ImageState) -> Result<Option<Change>, Refusal> {
        let made = seen.local.as_ref().is_some_and(|local| self.is_made(local));
        let remote = seen.remote.as_ref().ok().and_then(Option::as_deref);
        let pushed = !self.push
            || (made
                && remote.is_some_and(|digest| {
                    seen.local
                        .iter()
                        .any(|local| local.digests.iter().any(|own| own == digest))
                }));
        if made && pushed {
            return Ok(None);
        }
        let is_new = seen.local.is_none() && remote.is_none();
        let mut change = Change::new(if is_new {
            Action::Create
        } else {
            Action::Update
        });
        if !made {
            let before = seen.local.as_ref().map_or(DisplayValue::Absent, |local| {
                DisplayValue::text(short(self.mark(local)))
            });
            change = change.field(
                "content",
                before,
                DisplayValue::text(short(&self.source.digest)),
            );
            change.steps.extend(self.making());
        }
        if self.push {
            let before = remote.map_or(DisplayValue::Absent, |digest| {
                DisplayValue::text(short(digest))
            });
            change = change
                .field(
                    "digest in the registry",
                    before,
                    DisplayValue::KnownAfterApply,
                )
                .step(self.pushing());
            if let Err(why) = &seen.remote {
                change = change.note(format!("the registry cannot be asked yet: {why}"));
            }
        }
        Ok(Some(change))
    }
}

impl LocalImage {
    fn read(body: &Value) -> Self {
        let text = |pointer: &str| {
            body.pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let digests = body
            .get("RepoDigests")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let labels = body
            .pointer("/Config/Labels")
            .and_then(|labels| labels.get(LABEL));
        Self {
            id: text("/Id"),
            content: labels
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            digests: digests
                .iter()
                .filter_map(Value::as_str)
                .filter_map(|one| Some(one.split_once('@')?.1.to_owned()))
                .collect(),
        }
    }
}

impl ImageResource {
    fn dockerfile(&self) -> &str {
        self.dockerfile.as_deref().unwrap_or("Dockerfile")
    }

    fn inspect(&self) -> String {
        format!("/images/{}/json", self.name)
    }

    /// The name without its tag, and the tag. Bound names have one.
    fn parts(&self) -> (&str, &str) {
        self.name.rsplit_once(':').unwrap_or((&self.name, ""))
    }

    fn credentials(&self) -> Option<RegistryCredentials> {
        let (username, password) = (self.username.clone()?, self.password.clone()?.0);
        let registry = self.name.split('/').next().unwrap_or_default().to_owned();
        Some(RegistryCredentials {
            username,
            password,
            registry,
        })
    }

    /// What tells of an image whether it is this one.
    fn mark<'a>(&self, local: &'a LocalImage) -> &'a str {
        if self.source.saved.is_some() || local.content.is_empty() {
            &local.id
        } else {
            &local.content
        }
    }

    fn is_made(&self, local: &LocalImage) -> bool {
        if self.source.saved.is_some() {
            local.id == self.source.digest
        } else {
            local.content == self.source.digest
        }
    }

    fn making(&self) -> Vec<Step> {
        let (repository, tag) = self.parts();
        let Some(saved) = &self.source.saved else {
            let labels = serde_json::json!({LABEL: self.source.digest}).to_string();
            let args = serde_json::json!(self.args).to_string();
            let path = format!(
                "/build?version=1&rm=1&forcerm=1&t={}&dockerfile={}&labels={}&buildargs={}",
                percent(&self.name),
                percent(self.dockerfile()),
                percent(&labels),
                percent(&args)
            );
            return vec![self.image_step(
                format!("build {}", self.name),
                path,
                self.source.tar.clone(),
                None,
            )];
        };
        let load = self.image_step(
            format!("load {saved}"),
            "/images/load?quiet=1".into(),
            self.source.tar.clone(),
            None,
        );
        let path = format!(
            "/images/{}/tag?repo={}&tag={}",
            self.source.digest,
            percent(repository),
            percent(tag)
        );
        let (managers, late, body, timeout) = (Vec::new(), Vec::new(), None, STEP_TIMEOUT);
        let call = DockerCall {
            managers,
            method: "POST",
            path,
            body,
            late,
            made: GeneratedValue::Nothing,
            timeout,
        };
        vec![
            load,
            Step {
                summary: format!("tag it as {}", self.name),
                act: Operation::DockerApi(call),
            },
        ]
    }

    fn pushing(&self) -> Step {
        let (repository, tag) = self.parts();
        let path = format!("/images/{repository}/push?tag={}", percent(tag));
        self.image_step(
            format!("push {}", self.name),
            path,
            Arc::default(),
            self.credentials(),
        )
    }

    fn image_step(
        &self,
        summary: String,
        path: String,
        archive: Arc<[u8]>,
        credentials: Option<RegistryCredentials>,
    ) -> Step {
        Step {
            summary,
            act: Operation::Image(ImageCall {
                path,
                archive,
                credentials,
                timeout: PATIENCE,
            }),
        }
    }
}

fn unreadable(why: &str) -> ProbeError {
    ProbeError::Failed {
        what: "the Engine's images".into(),
        why: why.to_owned(),
    }
}

fn said(status: u16, body: &Value) -> String {
    body.get("message")
        .and_then(Value::as_str)
        .map_or_else(|| format!("status {status}"), |text| text.trim().to_owned())
}

/// A registry without this image, in the words of the Engines: 404, or 500 before Engine 25, or 403 by those that tell nobody what they lack.
fn is_missing(status: u16, body: &Value) -> bool {
    let said = said(status, body);
    status == 404
        || said.contains("manifest unknown")
        || said.contains("name unknown")
        || said.contains("not found")
}

/// A digest as people compare it.
fn short(digest: &str) -> String {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    format!("sha256:{}", hex.chars().take(12).collect::<String>())
}

/// A value in a query string (RFC 3986, 2.1).
#[must_use]
pub fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
