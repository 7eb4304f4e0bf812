//! State of a registry: its files on this host, and its service as a manager reports it.

use serde_json::Value;

use super::{
    DesiredState, HostAnswers, HostName, Observation, PathState, ProbeError, Query,
    RegistryResource,
};
use crate::model::{DockerAnswer, ResourceKind};
use crate::swarm::SwarmView;

/// State of a registry on one host.
#[derive(Debug)]
pub struct RegistryState {
    pub(super) hosts: Option<PathState>,
    pub(super) trust: Option<PathState>,
    /// The authority's certificate, from the host that has it or from the label of the service.
    pub(super) authority: Option<Vec<u8>>,
    /// State of the registry's own host; `None` on other hosts.
    pub(super) server: Option<RegistryServerState>,
}

/// State of the registry's own host.
#[derive(Debug)]
pub(super) struct RegistryServerState {
    pub(super) directory: Option<PathState>,
    pub(super) certificate: Option<Vec<u8>>,
    pub(super) authority: Option<Vec<u8>>,
    pub(super) htpasswd: Option<PathState>,
    /// Managers that can make changes; empty while there is no swarm.
    pub(super) managers: Vec<HostName>,
    /// Node of the host, if it is in the swarm.
    pub(super) node: Option<RegistryNode>,
    /// The service as `GET /services/NAME` returns it.
    pub(super) service: Option<Value>,
}

/// The node on which the service should run.
#[derive(Debug)]
pub(super) struct RegistryNode {
    pub(super) id: String,
    pub(super) labels: Vec<String>,
}

impl RegistryResource {
    pub(super) fn questions(&self) -> Vec<Query> {
        let mut queries = self
            .bound
            .hosts_entry
            .iter()
            .flat_map(ResourceKind::queries)
            .collect::<Vec<_>>();
        if self.may_be_trusted() {
            queries.push(Query::content(self.trust_path()));
        }
        if let Some(directory) = self.certificate.as_ref().filter(|_| self.bound.server) {
            queries.push(Query::content(format!("{directory}/ca.crt")));
            queries.push(Query::content(format!("{directory}/server.crt")));
        }
        if self.bound.server {
            queries.push(Query::path(self.directory.as_str()));
            queries.push(Query::content(self.htpasswd_path()));
        }
        if let Some(me) = &self.bound.me {
            queries.extend(SwarmView::queries(me, &self.bound.managers));
        }
        queries
    }

    pub(super) fn look(
        &self,
        answers: &HostAnswers,
    ) -> Result<Observation<RegistryState>, ProbeError> {
        let Some(me) = &self.bound.me else {
            return Err(ProbeError::NotAsked("the host".into()));
        };
        let view = match SwarmView::read(me, &self.bound.managers, answers)? {
            Observation::Needs(queries) => return Ok(Observation::Needs(queries)),
            Observation::Known(view) => view,
        };
        let managers: Vec<HostName> = view.managers().map(|(name, _)| name.clone()).collect();
        let mut service = None;
        if let Some(manager) = managers.first() {
            let path = format!("/services/{}", self.service);
            let query = if manager == me {
                Query::docker(&path)
            } else {
                Query::docker_of(manager.clone(), &path)
            };
            if !answers.contains(&query) {
                return Ok(Observation::Needs(vec![query]));
            }
            let answer = if manager == me {
                answers.engine(&path)?
            } else {
                answers.docker_of(manager, &path)?
            };
            service = read_service(manager, answer)?;
        } else if let Some(why) = view.others.iter().find_map(|(_, view)| view.unknown()) {
            return Err(ProbeError::Elsewhere(format!(
                "no manager of the swarm answers: {why}"
            )));
        }
        let content = |path: String| -> Result<Option<Vec<u8>>, ProbeError> {
            Ok(answers.path(&path)?.and_then(|file| file.content.clone()))
        };
        let published = || {
            let label = service
                .as_ref()
                .and_then(|service: &Value| service.pointer("/Spec/Labels"));
            label
                .and_then(|labels| labels.get(super::service::LABEL_AUTHORITY))
                .and_then(Value::as_str)
        };
        let authority = match &self.certificate {
            Some(directory) if self.bound.server => content(format!("{directory}/ca.crt"))?,
            Some(_) => published().map(|text| text.as_bytes().to_vec()),
            None => None,
        };
        let server = if self.bound.server {
            let own = view.own.info().filter(|info| info.state == "active");
            let node = own.map(|info| {
                let nodes = view.nodes.as_ref().and_then(|nodes| nodes.as_ref().ok());
                let found =
                    nodes.and_then(|nodes| nodes.iter().find(|node| node.id == info.node_id));
                let labels = found.map(|node| {
                    node.labels
                        .iter()
                        .map(|(key, value)| format!("{key}={value}"))
                        .collect()
                });
                RegistryNode {
                    id: info.node_id.clone(),
                    labels: labels.unwrap_or_default(),
                }
            });
            let certificate = match &self.certificate {
                Some(directory) => content(format!("{directory}/server.crt"))?,
                None => None,
            };
            Some(RegistryServerState {
                directory: answers.path(self.directory.as_str())?.cloned(),
                certificate,
                authority: authority.clone(),
                htpasswd: answers.path(&self.htpasswd_path())?.cloned(),
                managers,
                node,
                service,
            })
        } else {
            None
        };
        let trust = if self.may_be_trusted() {
            answers.path(&self.trust_path())?.cloned()
        } else {
            None
        };
        let hosts = if self.bound.hosts_entry.is_some() {
            answers.path("/etc/hosts")?.cloned()
        } else {
            None
        };
        Ok(Observation::Known(RegistryState {
            hosts,
            trust,
            authority,
            server,
        }))
    }

    /// Returns true if a trust file may exist. A table with `state = "absent"` need not name the
    /// `certificate` of the registry.
    fn may_be_trusted(&self) -> bool {
        self.certificate.is_some() || self.state == DesiredState::Absent
    }
}

fn read_service(manager: &HostName, answer: &DockerAnswer) -> Result<Option<Value>, ProbeError> {
    let failed = |why: String| {
        Err(ProbeError::Elsewhere(format!(
            "{manager} does not return the service: {why}"
        )))
    };
    match answer.json() {
        Ok(body) => Ok(Some(body.clone())),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => failed(error.to_string()),
    }
}
