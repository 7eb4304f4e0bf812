//! `volume`: a named volume of this host's Engine, local or on an NFS server. An Engine cannot
//! change a volume: a different volume is removed and created anew only if the playbook allows it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;
use serde_json::{Value, json};

use super::cluster::request;
use super::hosts_entry::is_host_name;
use super::{AbsolutePath, DesiredState};
use crate::model::{
    Action, Change, DisplayValue, DockerError, HostAnswers, HostContext, InvalidField, Observation,
    ProbeError, Query, Refusal, ResourceKind, Step,
};

/// A named volume.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeResource {
    /// Name of the volume.
    name: String,
    /// Driver of the volume. Default `local`.
    #[serde(default = "local")]
    driver: String,
    /// Options of the driver.
    #[serde(default)]
    options: BTreeMap<String, String>,
    /// Export of an NFS server, instead of options.
    nfs: Option<NfsExport>,
    /// Remove and create anew a volume with another driver or other options. Default `false`.
    #[serde(default)]
    replace: bool,
    /// `"present"` (default) or `"absent"`.
    #[serde(default)]
    state: DesiredState,
}

/// An export of an NFS server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NfsExport {
    /// Address or name of the server.
    server: String,
    /// Exported path of the server.
    path: AbsolutePath,
    /// Mount options, see nfs(5). Default `rw,nfsvers=4`.
    #[serde(default = "mount_options")]
    options: String,
}

fn local() -> String {
    "local".into()
}
fn mount_options() -> String {
    "rw,nfsvers=4".into()
}

/// A volume as the Engine reports it.
#[derive(Debug)]
pub struct LiveVolume {
    driver: String,
    options: BTreeMap<String, String>,
}

impl ResourceKind for VolumeResource {
    const NAME: &'static str = "volume";
    type Observed = Option<LiveVolume>;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn bind(&mut self, _context: &HostContext<'_>) -> Result<(), InvalidField> {
        let plain =
            |character: char| character.is_ascii_alphanumeric() || "_.-".contains(character);
        if self.name.len() < 2
            || !self
                .name
                .starts_with(|first: char| first.is_ascii_alphanumeric())
            || !self.name.chars().all(plain)
        {
            return Err(InvalidField::new("name", format!("{:?} is not the name of a volume", self.name))
                .hint("two or more letters, digits, \"_\", \".\" and \"-\"; the first is a letter or digit"));
        }
        if let Some(nfs) = &self.nfs {
            if !self.options.is_empty() || self.driver != "local" {
                return Err(InvalidField::new(
                    "nfs",
                    "an NFS volume has the driver local and its own options",
                )
                .hint("give either nfs, or driver and options"));
            }
            if nfs.server.parse::<IpAddr>().is_err() && !is_host_name(&nfs.server) {
                return Err(InvalidField::new(
                    "nfs",
                    format!("{:?} is neither an address nor a host name", nfs.server),
                ));
            }
            self.options = [
                ("type", "nfs".to_owned()),
                ("o", format!("addr={},{}", nfs.server, nfs.options)),
                ("device", format!(":{}", nfs.path)),
            ]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        }
        Ok(())
    }

    fn queries(&self) -> Vec<Query> {
        vec![Query::docker(self.path())]
    }

    fn observe(&self, answers: &HostAnswers) -> Result<Observation<Self::Observed>, ProbeError> {
        let failed = |why: String| {
            Err(ProbeError::Failed {
                what: format!("the volume {}", self.name),
                why,
            })
        };
        match answers.engine(&self.path())?.json() {
            Ok(body) => Ok(Observation::Known(Some(LiveVolume::read(body)))),
            // A host without an Engine has no volume; this run may install the Engine.
            Err(DockerError::Absent) => Ok(Observation::Known(None)),
            Err(error) if error.is_not_found() => Ok(Observation::Known(None)),
            Err(error) => failed(error.to_string()),
        }
    }

    fn plan(&self, observed: &Self::Observed) -> Result<Option<Change>, Refusal> {
        let Some(live) = observed else {
            if self.state == DesiredState::Absent {
                return Ok(None);
            }
            let change = Change::new(Action::Create).field(
                "driver",
                DisplayValue::Absent,
                DisplayValue::text(&self.driver),
            );
            let options = self.options.iter();
            let change = options.fold(change, |change, (key, value)| {
                change.field(
                    format!("option {key}"),
                    DisplayValue::Absent,
                    DisplayValue::text(value),
                )
            });
            return Ok(Some(change.step(self.create())));
        };
        if self.state == DesiredState::Absent {
            let change = Change::new(Action::Delete).field(
                "driver",
                DisplayValue::text(&live.driver),
                DisplayValue::Absent,
            );
            return Ok(Some(change.step(self.remove()).note(live.loss())));
        }
        let mut change = Change::new(Action::Update);
        if live.driver != self.driver {
            change = change.field(
                "driver",
                DisplayValue::text(&live.driver),
                DisplayValue::text(&self.driver),
            );
        }
        let keys: std::collections::BTreeSet<&String> =
            live.options.keys().chain(self.options.keys()).collect();
        for key in keys {
            let (before, after) = (live.options.get(key), self.options.get(key));
            if before != after {
                let shown =
                    |value: Option<&String>| value.map_or(DisplayValue::Absent, DisplayValue::text);
                change = change.field(format!("option {key}"), shown(before), shown(after));
            }
        }
        if change.fields.is_empty() {
            return Ok(None);
        }
        if !self.replace {
            let what: Vec<&str> = change
                .fields
                .iter()
                .map(|field| field.field.as_str())
                .collect();
            return Err(Refusal {
                why: format!(
                    "the volume {} exists with another {}, which no Engine can change",
                    self.name,
                    what.join(", ")
                ),
                hint: format!("save its data, then set replace = true: {}", live.loss()),
            });
        }
        Ok(Some(
            change
                .note(live.loss())
                .step(self.remove())
                .step(self.create()),
        ))
    }
}

impl LiveVolume {
    fn read(body: &Value) -> Self {
        let options = body.get("Options").and_then(Value::as_object);
        let options = options
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        let driver = body
            .get("Driver")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        Self {
            driver,
            options: options.collect(),
        }
    }

    /// Describes the effect of a removal on the data.
    fn loss(&self) -> String {
        match self.options.get("device") {
            Some(device) => format!("its data stays at {device}"),
            None => "all data in it is lost".into(),
        }
    }
}

/// Returns a request to the Engine of the host itself: without managers, a request goes there.
fn host_request(summary: String, method: &'static str, path: String, body: Option<Value>) -> Step {
    request(summary, &[], method, path, body)
}

impl VolumeResource {
    fn path(&self) -> String {
        format!("/volumes/{}", self.name)
    }

    fn create(&self) -> Step {
        let body = json!({"Name": self.name, "Driver": self.driver, "DriverOpts": self.options});
        host_request(
            format!("create the volume {}", self.name),
            "POST",
            "/volumes/create".into(),
            Some(body),
        )
    }

    fn remove(&self) -> Step {
        host_request(
            format!("remove the volume {}", self.name),
            "DELETE",
            self.path(),
            None,
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::trial;
    use super::*;
    use crate::model::QueryAnswer;
    use crate::model::{DockerAnswer, Operation};
    use crate::swarm::samples::acts;

    fn kind(table: &str) -> VolumeResource {
        trial::kind(table)
    }

    fn live(body: Value) -> HostAnswers {
        HostAnswers::default().with(
            Query::docker("/volumes/data"),
            QueryAnswer::Engine(DockerAnswer::Response { status: 200, body }),
        )
    }

    fn absent() -> HostAnswers {
        let body = json!({"message": "no such volume"});
        HostAnswers::default().with(
            Query::docker("/volumes/data"),
            QueryAnswer::Engine(DockerAnswer::Response { status: 404, body }),
        )
    }

    const NFS: &str = "name = 'data'\nnfs = { server = '10.0.0.1', path = '/srv/export' }";

    #[test]
    fn volume_is_created_and_then_in_sync() {
        let change = trial::plan(&kind(NFS), &absent()).unwrap();
        assert_eq!(
            trial::fields(&change),
            [
                "driver: - => local",
                "option device: - => :/srv/export",
                "option o: - => addr=10.0.0.1,rw,nfsvers=4",
                "option type: - => nfs"
            ]
        );
        let Operation::DockerApi(call) = &change.steps[0].act else {
            panic!()
        };
        let body = call.body.clone().unwrap();
        let shown =
            json!({"Name": "data", "Driver": body["Driver"], "Options": body["DriverOpts"]});
        assert!(trial::plan(&kind(NFS), &live(shown)).is_none());
        // An Engine reports null if there are no options.
        assert!(
            trial::plan(
                &kind("name = 'data'"),
                &live(json!({"Driver": "local", "Options": null}))
            )
            .is_none()
        );
    }

    #[test]
    fn different_volume_is_replaced_only_with_replace() {
        let other = || live(json!({"Driver": "local", "Options": {"type": "tmpfs"}}));
        let refusal = trial::refusal(&kind(NFS), &other());
        assert!(
            refusal
                .why
                .contains("another option device, option o, option type")
                && refusal.hint.contains("is lost"),
            "{refusal:?}"
        );
        let change = trial::plan(&kind(&format!("{NFS}\nreplace = true")), &other()).unwrap();
        assert_eq!(
            acts(&change),
            ["own DELETE /volumes/data", "own POST /volumes/create"]
        );
        let kept = live(json!({"Driver": "local", "Options": {"device": ":/old"}}));
        assert_eq!(
            trial::plan(&kind(&format!("{NFS}\nreplace = true")), &kept)
                .unwrap()
                .notes,
            ["its data stays at :/old"]
        );
    }

    #[test]
    fn absence_and_a_silent_engine() {
        let gone = kind("name = 'data'\nstate = 'absent'");
        assert!(trial::plan(&gone, &absent()).is_none());
        assert_eq!(
            acts(&trial::plan(&gone, &live(json!({"Driver": "local"}))).unwrap()),
            ["own DELETE /volumes/data"]
        );
        let down = HostAnswers::default().with(
            Query::docker("/volumes/data"),
            QueryAnswer::Engine(DockerAnswer::Down("stopped".into())),
        );
        assert!(gone.observe(&down).is_err());
    }

    #[test]
    fn invalid_tables_are_refused() {
        for (table, why) in [
            ("name = 'a'", "not the name of a volume"),
            ("name = '../etc'", "not the name of a volume"),
            (
                "name = 'data'\nnfs = { server = 'a b', path = '/x' }",
                "neither an address",
            ),
            (
                "name = 'data'\noptions = { type = 'x' }\nnfs = { server = 'a', path = '/x' }",
                "either nfs",
            ),
        ] {
            assert!(
                trial::invalid::<VolumeResource>(table).contains(why),
                "{table}"
            );
        }
    }
}
