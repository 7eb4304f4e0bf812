//! One volume that a label declares on a host: its changes, and the refusal of a label that would
//! bring services to an empty disk or to foreign data.

use super::{VolumeLocation, VolumeState};
use crate::kinds::data_volume::{MARKER, cluster_of, marker, owner};
use crate::kinds::{AbsolutePath, DataVolume};
use crate::model::{Change, DisplayValue, Operation, PathType, Refusal, Step, WriteFile};
use crate::names::HostName;
use crate::swarm::LiveSwarm;

/// A volume that a label declares on a host.
pub(super) struct DeclaredVolume<'a> {
    pub(super) labels: &'a str,
    pub(super) host: &'a HostName,
    pub(super) name: &'a str,
    pub(super) place: &'a VolumeLocation,
    pub(super) anew: bool,
    pub(super) inherits: bool,
}

impl DeclaredVolume<'_> {
    /// Adds the changes for the volume. Returns the step that reports a missing prerequisite, if
    /// any.
    pub(super) fn plan(
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
