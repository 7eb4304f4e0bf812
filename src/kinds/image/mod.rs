//! `image`: an image that this host builds from a folder beside the playbook, or loads from an
//! archive, and pushes to its registry. The same content is built and pushed once, because the
//! image carries the digest of its sources.

mod content;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::model::{
    Action, Change, DisplayValue, DockerCall, DockerError, DockerQuery, GeneratedValue,
    HostAnswers, HostContext, ImageCall, InvalidField, Observation, Operation, ProbeError, Query,
    Refusal, RegistryCredentials, ResourceKind, STEP_TIMEOUT, Step, query_value,
};

/// Label with the digest of the sources of an image.
const LABEL: &str = "skep.content";
/// Time limit of a build or push: builds install packages, and pushes go over slow lines.
const PATIENCE: Duration = Duration::from_secs(1800);

/// An image, built or loaded on this host.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageResource {
    /// Name with its registry and an exact tag: `docker01:5000/web:1`.
    name: String,
    /// Folder beside the playbook with all files that the build needs.
    context: Option<String>,
    /// Path of the Dockerfile in the context. Default `Dockerfile`.
    dockerfile: Option<String>,
    /// Build arguments; they become part of the image's history and must not contain secrets.
    #[serde(default)]
    args: BTreeMap<String, String>,
    /// Archive of `docker save` beside the playbook, instead of a context.
    archive: Option<String>,
    /// Push the image to its registry. Default `true`.
    #[serde(default = "yes")]
    push: bool,
    /// Account for the push, if the registry has users.
    username: Option<String>,
    /// Password of the account.
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

/// Source of the image.
#[derive(Default)]
struct ImageSource {
    tar: Arc<[u8]>,
    /// Digest of context and arguments, or the ID of the image in the archive.
    digest: String,
    /// Name of the image in the archive.
    saved: Option<String>,
}

// Written by hand, because debug output should not contain the tar.
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

/// Observed state of the image.
#[derive(Debug)]
pub struct ImageState {
    /// Image on this host: ID, content label and digests in registries.
    local: Option<LocalImage>,
    /// Digest in the registry, or the reason why the registry could not be queried.
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
        super::image_name::check_image("name", &self.name)?;
        if self.name.contains('@') {
            return Err(InvalidField::new(
                "name",
                "an image is created under a tag; its digest is only known afterwards",
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
                    .hint("give its path: dockerfile = \"...\""));
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
                        "an archive is loaded, not built: remove dockerfile and args",
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
                    "an image needs either a context or an archive",
                ));
            }
        };
        Ok(())
    }

    fn queries(&self) -> Vec<Query> {
        let mut queries = vec![Query::docker(self.inspect())];
        if self.push {
            queries.push(Query::Docker(DockerQuery::Distribution {
                image: self.name.clone(),
                credentials: self.credentials(),
            }));
        }
        queries
    }

    fn observe(&self, answers: &HostAnswers) -> Result<Observation<ImageState>, ProbeError> {
        let local = match answers.engine(&self.inspect())?.json() {
            Ok(body) => Some(LocalImage::read(body)),
            // A host on which this run is to install the Engine has no image yet.
            Err(DockerError::Absent) => None,
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(unreadable(&error.to_string())),
        };
        let remote = if self.push {
            match answers
                .distribution(&self.name, self.credentials().as_ref())?
                .json()
            {
                Ok(body) => Ok(body
                    .pointer("/Descriptor/digest")
                    .and_then(Value::as_str)
                    .map(str::to_owned)),
                Err(DockerError::Absent) => Ok(None),
                Err(error) if is_missing(&error) => Ok(None),
                Err(error) => Err(error.to_string()),
            }
        } else {
            Ok(None)
        };
        // An image that must be created needs no registry yet, because the same run may create the
        // registry. For an existing image, an unreadable registry is an error.
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
                change = change.note(format!("the registry cannot be queried yet: {why}"));
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

    /// Returns the name without its tag, and the tag. Every bound name has a tag.
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

    /// Returns the value that identifies an image: its ID, or its content label for a built image.
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
                query_value(&self.name),
                query_value(self.dockerfile()),
                query_value(&labels),
                query_value(&args)
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
            query_value(repository),
            query_value(tag)
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
        let path = format!("/images/{repository}/push?tag={}", query_value(tag));
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

/// Returns true if the registry does not have this image. Engines answer with 404, with 500 before
/// Engine 25, or with 403 for registries that do not disclose missing images.
fn is_missing(error: &DockerError) -> bool {
    let words = error.to_string();
    error.is_not_found()
        || ["manifest unknown", "name unknown", "not found"]
            .iter()
            .any(|known| words.contains(known))
}

/// Shortens a digest to the form that people compare.
fn short(digest: &str) -> String {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    format!("sha256:{}", hex.chars().take(12).collect::<String>())
}
