//! `data` of `node_labels`: data volumes that a label declares for the services bound to it. A
//! volume's directory is marked, and the swarm records which node has it. A label that would bring
//! services to an empty disk is refused.

mod declared_volume;

use std::collections::{BTreeMap, BTreeSet};

use self::declared_volume::DeclaredVolume;
use super::super::cluster::check_object_name;
use super::super::data_volume::{LONGEST_NAME, MARKER, marker};
use super::super::{AbsolutePath, DataVolume};
use crate::model::{
    Change, DirectoryUsage, DisplayValue, ForeignData, HostAnswers, InvalidField, Observation,
    PathState, ProbeError, Query, Refusal, ShellQuery, Step,
};
use crate::names::HostName;
use crate::swarm::{LiveSwarm, SwarmNode};

/// Directories without a name, which only `skep node rebuild` uses, and volumes by name.
#[derive(Debug, Clone, Default)]
pub(super) struct DeclaredVolumes {
    directories: Vec<AbsolutePath>,
    volumes: BTreeMap<String, VolumeLocation>,
    /// True if empty directories become volumes, whichever node had the volumes before.
    anew: bool,
    /// Labels that declare the volumes.
    labels: Vec<String>,
    /// True if volumes marked by a former cluster become volumes of this cluster.
    inherits: bool,
}

/// Path of a volume on its node.
#[derive(Debug, Clone)]
struct VolumeLocation {
    path: AbsolutePath,
    link: Option<AbsolutePath>,
}

/// State of one volume.
#[derive(Debug)]
pub(super) struct VolumeState {
    directory: Option<PathState>,
    marker: Option<String>,
    link: Option<PathState>,
    /// Record of the volume in the swarm.
    noted: Option<DataVolume>,
    /// Content of the directory; read only if its marker is missing.
    holds: Option<DirectoryUsage>,
    /// Text about the content on the node that is recorded.
    there: String,
}

impl DeclaredVolumes {
    /// Reads the field: a list of paths, or a table of names.
    pub(super) fn read(value: toml::Value) -> Result<Self, String> {
        let text = |value: toml::Value| match value {
            toml::Value::String(text) => AbsolutePath::try_from(text),
            other => Err(format!(
                "a path in `data` is of type {}, not text",
                other.type_str()
            )),
        };
        let mut promised = Self::default();
        match value {
            toml::Value::Array(paths) => {
                promised.directories = paths.into_iter().map(text).collect::<Result<_, _>>()?;
            }
            toml::Value::Table(volumes) => {
                for (name, value) in volumes {
                    let toml::Value::Table(mut place) = value else {
                        promised.volumes.insert(
                            name,
                            VolumeLocation {
                                path: text(value)?,
                                link: None,
                            },
                        );
                        continue;
                    };
                    let path = place
                        .remove("path")
                        .ok_or_else(|| format!("the volume `{name}` has no `path`"))?;
                    let link = place.remove("link").map(text).transpose()?;
                    if let Some(key) = place.keys().next() {
                        return Err(format!(
                            "unknown key `{key}` of the volume `{name}`: it has `path` and `link`"
                        ));
                    }
                    promised.volumes.insert(
                        name,
                        VolumeLocation {
                            path: text(path)?,
                            link,
                        },
                    );
                }
            }
            other => {
                return Err(format!(
                    "`data` is of type {}: a list of paths, or a table of volumes",
                    other.type_str()
                ));
            }
        }
        Ok(promised)
    }

    pub(super) fn promised_by(&mut self, labels: Vec<String>) {
        self.labels = labels;
    }

    pub(super) fn check(&self) -> Result<(), InvalidField> {
        self.volumes
            .keys()
            .try_for_each(|name| check_object_name("data", name, LONGEST_NAME))
    }

    pub(super) fn directories(&self) -> Vec<String> {
        let volumes = self.volumes.values().map(|place| &place.path);
        self.directories
            .iter()
            .chain(volumes)
            .map(ToString::to_string)
            .collect()
    }

    pub(super) fn accepting(&self, data: ForeignData) -> Self {
        let mut volumes = self.clone();
        match data {
            ForeignData::EmptyDirectories => volumes.anew = true,
            ForeignData::FormerCluster => volumes.inherits = true,
        }
        volumes
    }

    pub(super) fn queries(&self) -> Vec<Query> {
        let of = |place: &VolumeLocation| {
            let link = place.link.as_ref().map(|link| Query::path(link.as_str()));
            [
                Query::path(place.path.as_str()),
                Query::content(place.marker()),
            ]
            .into_iter()
            .chain(link)
        };
        self.volumes.values().flat_map(of).collect()
    }

    pub(super) fn forecast(&self, change: &mut Change) {
        for (name, place) in &self.volumes {
            let change_with = std::mem::replace(change, Change::new(change.action));
            *change = change_with.field(
                format!("volume {name}"),
                DisplayValue::Absent,
                DisplayValue::text(place.path.as_str()),
            );
        }
    }

    pub(super) fn observe(
        &self,
        host: &HostName,
        known: &BTreeSet<HostName>,
        swarm: &LiveSwarm,
        answers: &HostAnswers,
    ) -> Result<Observation<Vec<VolumeState>>, ProbeError> {
        if self.volumes.is_empty() {
            return Ok(Observation::Known(Vec::new()));
        }
        let noted = match DataVolume::noted(host, swarm, answers)? {
            Observation::Known(noted) => noted,
            Observation::Needs(queries) => return Ok(Observation::Needs(queries)),
        };
        let (mut seen, mut needs) = (Vec::new(), Vec::new());
        for (name, place) in &self.volumes {
            let mut volume = VolumeState {
                directory: answers.path(place.path.as_str())?.cloned(),
                marker: marker_text(answers.path(&place.marker())?),
                link: place
                    .link
                    .as_ref()
                    .map(|link| answers.path(link.as_str()))
                    .transpose()?
                    .flatten()
                    .cloned(),
                noted: noted.iter().find(|volume| volume.name == *name).cloned(),
                holds: None,
                there: String::new(),
            };
            // Counting files may take long, and is done only if the marker is missing.
            if volume.marker.is_none() && volume.directory.is_some() {
                let query = Query::Shell(ShellQuery::Holding {
                    directory: place.path.to_string(),
                });
                if answers.contains(&query) {
                    volume.holds = *answers.directory_usage(place.path.as_str())?;
                } else {
                    needs.push(query);
                }
            }
            if let Some(noted) = volume
                .noted
                .as_ref()
                .filter(|noted| volume.marker.is_none() && noted.host != host.as_str())
            {
                let there = HostName::new(&noted.host);
                let query = ShellQuery::Holding {
                    directory: noted.path.clone(),
                }
                .at(&there);
                if known.contains(&there) && !answers.contains(&query) {
                    needs.push(query);
                } else if known.contains(&there) {
                    volume.there = match answers.directory_usage_at(&there, &noted.path) {
                        Ok(Some(holding)) => holding.words(),
                        Ok(None) => "which no longer exists".into(),
                        Err(error) => format!("with unknown content, {error}"),
                    };
                }
            }
            seen.push(volume);
        }
        Ok(if needs.is_empty() {
            Observation::Known(seen)
        } else {
            Observation::Needs(needs)
        })
    }

    /// Adds the changes for the volumes. Returns the step that replaces all others if something is
    /// missing that an earlier resource of the playbook may create.
    pub(super) fn plan(
        &self,
        labels: &str,
        host: &HostName,
        (node, swarm): (&SwarmNode, &LiveSwarm),
        seen: &[VolumeState],
        change: &mut Change,
    ) -> Result<Option<Step>, Refusal> {
        let mut lacks = None;
        for ((name, place), seen) in self.volumes.iter().zip(seen) {
            let site = DeclaredVolume {
                labels,
                host,
                name,
                place,
                anew: self.anew,
                inherits: self.inherits,
            };
            let wanted = DataVolume {
                name: name.clone(),
                path: place.path.to_string(),
                link: place
                    .link
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
                node: node.id.clone(),
                host: host.to_string(),
                marker: marker(&swarm.cluster_id, name),
                labels: self.labels.clone(),
                config: seen
                    .noted
                    .as_ref()
                    .map(|noted| noted.config.clone())
                    .unwrap_or_default(),
            };
            if let Some(missing) = site.plan(seen, &wanted, swarm, change)? {
                lacks.get_or_insert(missing);
            }
        }
        Ok(lacks)
    }
}

fn marker_text(marker: Option<&PathState>) -> Option<String> {
    // A marker that is not a file, or is too large to be read, exists but is not ours.
    marker.map(|state| {
        String::from_utf8_lossy(state.content.as_deref().unwrap_or_default()).into_owned()
    })
}

impl VolumeLocation {
    fn marker(&self) -> String {
        format!("{}/{MARKER}", self.path)
    }
}

#[cfg(test)]
mod tests;
