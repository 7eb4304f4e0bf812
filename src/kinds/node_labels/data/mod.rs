//! `data` of `node_labels`: data volumes that a label declares for the services bound to it. A
//! volume's directory is marked, and the swarm records which node has it. A label that would bring
//! services to an empty disk is refused.

use std::collections::{BTreeMap, BTreeSet};

use super::super::cluster::check_object_name;
use super::super::data_volume::{LONGEST_NAME, MARKER, cluster_of, marker, owner};
use super::super::{AbsolutePath, DataVolume};
use crate::model::{
    Change, DirectoryUsage, DisplayValue, ForeignData, HostAnswers, InvalidField, Observation,
    Operation, PathState, PathType, ProbeError, Query, Refusal, ShellQuery, Step, WriteFile,
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
                promised.directories = paths.into_iter().map(text).collect::<Result<_, _>>()?
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

/// A volume that a label declares on a host.
struct DeclaredVolume<'a> {
    labels: &'a str,
    host: &'a HostName,
    name: &'a str,
    place: &'a VolumeLocation,
    anew: bool,
    inherits: bool,
}

impl DeclaredVolume<'_> {
    fn plan(
        &self,
        seen: &VolumeState,
        wanted: &DataVolume,
        swarm: &LiveSwarm,
        change: &mut Change,
    ) -> Result<Option<Step>, Refusal> {
        let path = self.place.path.as_str();
        if let Some(other) = seen
            .directory
            .as_ref()
            .filter(|state| state.kind != PathType::Directory)
        {
            return Err(Refusal {
                why: format!(
                    "{path} of {} is {}, not the directory of the volume {}",
                    self.host,
                    other.kind.with_article(),
                    self.name
                ),
                hint: "name the directory itself; a link to it can be given as `link`".into(),
            });
        }
        let marked = seen.marker.as_ref() == Some(&wanted.marker);
        let inherited = seen
            .marker
            .as_deref()
            .filter(|found| !marked && self.may_inherit(found, seen));
        if let Some(found) = seen
            .marker
            .as_ref()
            .filter(|_| !marked && inherited.is_none())
        {
            return Err(Refusal {
                why: format!(
                    "{path} of {} holds {}, not {}",
                    self.host,
                    owner(found),
                    owner(&wanted.marker)
                ),
                hint: format!(
                    "mount the right disk; if this data is meant to be the volume from now on, remove {path}/{MARKER}"
                ),
            });
        }
        let files = seen.holds.map_or(0, |holds| holds.files);
        if let Some(noted) = seen.noted.as_ref().filter(|_| !marked && !self.anew) {
            let elsewhere = noted.host != self.host.as_str();
            if elsewhere || files == 0 {
                return Err(self.left_behind(noted, wanted, files, &seen.there));
            }
        }
        let same = seen.noted.as_ref() == Some(wanted);
        if !marked || !same {
            let other_labels = seen
                .noted
                .as_ref()
                .is_some_and(|noted| noted.labels != wanted.labels);
            let place = |volume: &DataVolume| match other_labels {
                true => format!(
                    "{} on {}, by {}",
                    volume.path,
                    volume.host,
                    volume.labels.join(", ")
                ),
                false => format!("{} on {}", volume.path, volume.host),
            };
            let before = seen.noted.as_ref().map_or(DisplayValue::Absent, |noted| {
                DisplayValue::text(place(noted))
            });
            let whole = std::mem::replace(change, Change::new(change.action));
            *change = whole.field(
                format!("volume {}", self.name),
                before,
                DisplayValue::text(place(wanted)),
            );
        }
        if let Some(missing) = self.missing(seen) {
            return Ok(Some(missing));
        }
        if !marked {
            change.steps.push(self.mark(wanted));
            if let Some(found) = inherited {
                change.notes.push(format!(
                    "{path} of {} was {}, and becomes {}",
                    self.host,
                    owner(found),
                    owner(&wanted.marker)
                ));
            }
            if let Some(holds) = seen.holds.filter(|holds| holds.files > 0) {
                change.notes.push(format!(
                    "the present content of {path} of {} becomes the volume {}: {}",
                    self.host,
                    self.name,
                    holds.words()
                ));
            }
        }
        if !same {
            change.steps.push(wanted.remember(&swarm.managers));
            if let Some(noted) = seen
                .noted
                .as_ref()
                .filter(|noted| noted.node != wanted.node && noted.host != wanted.host)
            {
                change.notes.push(format!(
                    "the data that {} still has in {} is no longer the volume {}",
                    noted.host, noted.path, self.name
                ));
            }
        }
        Ok(None)
    }

    /// Returns true if the marker is that of the same volume in a former cluster and this cluster
    /// has no volume of the name.
    fn may_inherit(&self, found: &str, seen: &VolumeState) -> bool {
        let cluster = cluster_of(found);
        self.inherits
            && seen.noted.is_none()
            && cluster.is_some_and(|cluster| found == marker(cluster, self.name))
    }

    /// Returns the step that reports a missing prerequisite, which other resources of the playbook
    /// may create.
    fn missing(&self, seen: &VolumeState) -> Option<Step> {
        let path = self.place.path.as_str();
        let linked = |link: &AbsolutePath| {
            let leads = seen
                .link
                .as_ref()
                .is_some_and(|state| state.target.as_deref() == Some(path));
            (!leads).then(|| format!("{link} is not a link to {path}"))
        };
        let what = match &seen.directory {
            None => format!("the directory {path} does not exist"),
            Some(_) => self.place.link.as_ref().and_then(linked)?,
        };
        let why = format!(
            "the label {} declares the volume {}, but {what} on {}",
            self.labels, self.name, self.host
        );
        let hint = "create it with a `directory` or `symlink` before the label".into();
        Some(Step {
            summary: format!("label the node of {}", self.host),
            act: Operation::Blocked { why, hint },
        })
    }

    fn mark(&self, wanted: &DataVolume) -> Step {
        let root = || "root".to_owned();
        let file = WriteFile {
            path: self.place.marker(),
            content: wanted.marker.clone().into_bytes(),
            owner: root(),
            group: root(),
            mode: 0o644,
        };
        Step {
            summary: format!("mark {} as the volume {}", self.place.path, self.name),
            act: Operation::WriteFile(file),
        }
    }

    /// Returns the refusal of a label on an empty disk or on foreign data while the volume is
    /// elsewhere; names the data that would be lost.
    fn left_behind(
        &self,
        noted: &DataVolume,
        wanted: &DataVolume,
        files: u64,
        there: &str,
    ) -> Refusal {
        let (path, name, host) = (self.place.path.as_str(), self.name, self.host);
        let here = if files == 0 {
            "is empty"
        } else {
            "is not marked as the volume"
        };
        let why = if noted.node == wanted.node {
            format!("the volume {name} of {host} is gone: {path} {here}")
        } else if noted.host == host.as_str() {
            format!(
                "the volume {name} was on the machine that was {host} before (node {}): {path} of the new one {here}",
                noted.node
            )
        } else {
            let there = if there.is_empty() {
                String::new()
            } else {
                format!(" ({there})")
            };
            format!(
                "the label {} would bring services to {host}, whose {path} {here}: the volume {name} is on {}, in {}{there}, and would be left behind",
                self.labels, noted.host, noted.path
            )
        };
        let hint = format!(
            "mount its disk, or copy the data there first, with its marker {MARKER}; to begin without the data: `docker config rm {}` on a manager",
            DataVolume::config_name(name)
        );
        Refusal { why, hint }
    }
}

#[cfg(test)]
mod tests;
