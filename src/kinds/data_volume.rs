//! A data volume: a directory of one node that services are bound to by a label. A marker in the
//! directory names its volume and cluster, and a config of the swarm names the node that has the
//! volume, so that an empty disk is never taken for the volume.

use base64ct::{Base64, Encoding as _};
use serde_json::{Value, json};

use super::cluster::request;
use crate::model::{HostAnswers, Observation, ProbeError, Step, docker_filters};
use crate::names::HostName;
use crate::swarm::{LiveSwarm, read_from};

/// Name of the marker file in the volume's directory.
pub(super) const MARKER: &str = ".skep-volume";
/// Prefix of the names of the swarm's configs.
const CONFIG: &str = "skep-volume-";
/// Longest name of a volume, in characters: the Engine allows 64 for a config.
pub(super) const LONGEST_NAME: usize = 64 - CONFIG.len();
/// Labels of the config of a volume.
const LABEL_NAME: &str = "skep.volume";
const LABEL_PATH: &str = "skep.volume.path";
const LABEL_LINK: &str = "skep.volume.link";
const LABEL_NODE: &str = "skep.volume.node";
const LABEL_HOST: &str = "skep.volume.host";
const LABEL_LABELS: &str = "skep.volume.labels";

/// A volume as recorded in the swarm.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DataVolume {
    /// Name of the volume.
    pub name: String,
    /// Directory of the volume.
    pub path: String,
    /// Link to the directory; empty if no link is wanted.
    pub link: String,
    /// ID of the node that has the volume.
    pub node: String,
    /// Inventory host of that node when the volume was last observed.
    pub host: String,
    /// Exact content of the marker.
    pub marker: String,
    /// Labels of the node that declare the volume, each as `key=value`.
    pub labels: Vec<String>,
    /// ID and version of the config; empty before the config is created.
    pub(super) config: (String, u64),
}

/// Returns the content of the marker of a volume.
pub(super) fn marker(cluster: &str, name: &str) -> String {
    format!(
        "# Data of a swarm, marked by skep. What needs it runs only where this file is: keep it with the data.\n\
         cluster = \"{cluster}\"\nvolume = \"{name}\"\n"
    )
}

/// Returns the ID of the cluster that a marker names.
pub(super) fn cluster_of(marker: &str) -> Option<&str> {
    value_in(marker, "cluster")
}

/// Describes the volume and cluster of a marker for messages.
pub(super) fn owner(marker: &str) -> String {
    let value = |key| value_in(marker, key).unwrap_or("?");
    format!(
        "the volume {} of the cluster {}",
        value("volume"),
        value("cluster")
    )
}

fn value_in<'a>(marker: &'a str, key: &str) -> Option<&'a str> {
    let value = marker
        .lines()
        .find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix('='))?;
    Some(value.trim().trim_matches('"'))
}

impl DataVolume {
    /// Returns the path that lists the configs of this volume; of all volumes with `None`.
    pub(super) fn list_path(name: Option<&str>) -> String {
        let label = match name {
            Some(name) => format!("{LABEL_NAME}={name}"),
            None => LABEL_NAME.to_owned(),
        };
        format!(
            "/configs?filters={}",
            docker_filters(&[("label", &[&label])])
        )
    }

    /// Returns all volumes that the swarm records, as listed by one of its managers, or the queries
    /// that must be answered first.
    ///
    /// # Errors
    /// [`ProbeError`] when the volumes cannot be read.
    pub(super) fn noted(
        host: &HostName,
        swarm: &LiveSwarm,
        answers: &HostAnswers,
    ) -> Result<Observation<Vec<Self>>, ProbeError> {
        Ok(
            match read_from(
                &mut swarm.managers.clone(),
                host,
                &[Self::list_path(None)],
                answers,
            )? {
                Observation::Known(bodies) => {
                    Observation::Known(Self::list(bodies.first().unwrap_or(&Value::Null)))
                }
                Observation::Needs(queries) => Observation::Needs(queries),
            },
        )
    }

    /// Returns the volumes in a list of configs; other configs are skipped.
    pub(super) fn list(body: &Value) -> Vec<Self> {
        body.as_array()
            .into_iter()
            .flatten()
            .filter_map(Self::read)
            .collect()
    }

    fn read(config: &Value) -> Option<Self> {
        let labels = config.pointer("/Spec/Labels")?;
        let label = |key: &str| {
            labels
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let data = config
            .pointer("/Spec/Data")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let name = Some(label(LABEL_NAME)).filter(|name| !name.is_empty())?;
        (config.pointer("/Spec/Name")?.as_str()? == format!("{CONFIG}{name}")).then_some(())?;
        Some(Self {
            name,
            path: label(LABEL_PATH),
            link: label(LABEL_LINK),
            node: label(LABEL_NODE),
            host: label(LABEL_HOST),
            marker: String::from_utf8(Base64::decode_vec(data).ok()?).ok()?,
            labels: label(LABEL_LABELS).lines().map(str::to_owned).collect(),
            config: (
                config
                    .get("ID")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned(),
                config.pointer("/Version/Index").and_then(Value::as_u64)?,
            ),
        })
    }

    /// Returns true if a path that a service mounts is in the volume, by its directory or by its
    /// link.
    pub(super) fn covers(&self, source: &str) -> bool {
        let below = |folder: &str| {
            !folder.is_empty()
                && source
                    .strip_prefix(folder)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        below(&self.path) || below(&self.link)
    }

    /// Returns the name of the swarm's config for a volume.
    pub(super) fn config_name(name: &str) -> String {
        format!("{CONFIG}{name}")
    }

    /// Returns the step that records the volume in the swarm: a new config, or new labels of the
    /// existing config.
    pub(super) fn remember(&self, managers: &[HostName]) -> Step {
        let mut labels = json!({
            LABEL_NAME: self.name, LABEL_PATH: self.path, LABEL_NODE: self.node, LABEL_HOST: self.host,
            LABEL_LABELS: self.labels.join("\n"),
        });
        if !self.link.is_empty() {
            labels[LABEL_LINK] = self.link.as_str().into();
        }
        let data = Base64::encode_string(self.marker.as_bytes());
        let body = json!({ "Name": Self::config_name(&self.name), "Labels": labels, "Data": data });
        let (id, version) = &self.config;
        let path = if id.is_empty() {
            "/configs/create".into()
        } else {
            format!("/configs/{id}/update?version={version}")
        };
        let summary = format!(
            "record in the swarm that {} has the volume {}",
            self.host, self.name
        );
        request(summary, managers, "POST", path, Some(body))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::DirectoryUsage;
    use crate::model::{DockerCall, Operation};

    fn volume() -> DataVolume {
        DataVolume {
            name: "survey".into(),
            path: "/srv/survey".into(),
            link: "/home/a/survey".into(),
            node: "n2".into(),
            host: "docker02".into(),
            marker: marker("c1", "survey"),
            labels: vec!["db=true".into(), "size=big".into()],
            config: (String::new(), 0),
        }
    }

    #[test]
    fn recorded_volume_is_read_back() {
        let step = volume().remember(&[HostName::new("docker01")]);
        let Operation::DockerApi(DockerCall {
            path,
            body: Some(body),
            ..
        }) = step.act
        else {
            panic!()
        };
        assert_eq!(path, "/configs/create");
        let config = json!({"ID": "k1", "Version": {"Index": 9}, "Spec": body});
        let read = DataVolume::list(
            &json!([config, {"ID": "x", "Spec": {"Name": "other", "Labels": {"skep.volume": "y"}}}]),
        );
        assert_eq!(
            read,
            [DataVolume {
                config: ("k1".into(), 9),
                ..volume()
            }]
        );
        let Operation::DockerApi(call) = read[0].remember(&[]).act else {
            panic!()
        };
        assert_eq!(call.path, "/configs/k1/update?version=9");
    }

    #[test]
    fn covers_the_directory_and_all_below() {
        for (source, expected) in [
            ("/srv/survey", true),
            ("/srv/survey/data", true),
            ("/home/a/survey/data", true),
            ("/srv/surveys", false),
            ("/srv", false),
        ] {
            assert_eq!(volume().covers(source), expected, "{source}");
        }
        assert!(
            !DataVolume {
                link: String::new(),
                ..volume()
            }
            .covers("/etc")
        );
    }

    #[test]
    fn describes_owner_and_usage() {
        assert_eq!(
            owner(&marker("c1", "survey")),
            "the volume survey of the cluster c1"
        );
        assert_eq!(owner("garbage"), "the volume ? of the cluster ?");
        for (files, bytes, words) in [
            (0, 0, "0 files, 0 bytes"),
            (1, 2048, "1 file, 2 KiB"),
            (7, 3 << 30, "7 files, 3 GiB"),
        ] {
            assert_eq!(DirectoryUsage { files, bytes }.words(), words);
        }
    }
}
