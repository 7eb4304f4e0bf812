//! The swarm's own objects (networks, secrets, configs), read for a cluster resource through whichever manager answers.
//! The host that carries the resource is asked first, in its first exchange; the others only when it does not manage.

use super::{ManagerAddresses, MembershipStatus, SwarmReading, SwarmView, try_resolve};
use crate::model::{DockerAnswer, HostAnswers, ProbeError, Query, Refusal};
use crate::names::HostName;

/// What is known of the swarm that a cluster resource belongs to.
#[derive(Debug, Clone, PartialEq)]
pub enum SwarmObjects {
    /// There is no swarm yet: what the resource needs will be made once there is one.
    NoSwarm,
    /// Acting would hurt: a foreign swarm, managers in different ones.
    Refused(Refusal),
    /// The answers to the paths that were asked, in their order, and managers to act through.
    Read {
        /// Working managers; the one that answered comes first.
        managers: Vec<HostName>,
        /// One body a path.
        bodies: Vec<serde_json::Value>,
    },
}

/// A round of reading.
pub enum ObjectsReading {
    /// These must be answered first.
    Needs(Vec<Query>),
    /// Everything is read.
    Done(SwarmObjects),
}

impl SwarmObjects {
    /// What the first round asks: who manages, and the objects themselves where the host is meant to be a manager.
    #[must_use]
    pub fn queries(host: &HostName, ours: &ManagerAddresses, paths: &[String]) -> Vec<Query> {
        let names = ours.names();
        let mut queries = SwarmView::queries(host, &names);
        if names.contains(host) {
            queries.extend(paths.iter().map(Query::engine));
        }
        queries
    }

    /// Reads with the answers at hand.
    ///
    /// # Errors
    /// [`ProbeError`] when it is unknown what the swarm is, or no manager gives the objects.
    pub fn read(
        host: &HostName,
        ours: &ManagerAddresses,
        paths: &[String],
        answers: &HostAnswers,
    ) -> Result<ObjectsReading, ProbeError> {
        let view = match SwarmView::read(host, &ours.names(), answers)? {
            SwarmReading::Needs(queries) => return Ok(ObjectsReading::Needs(queries)),
            SwarmReading::Done(view) => view,
        };
        let swarm = match try_resolve(&view, ours)? {
            Err(refusal) => return Ok(ObjectsReading::Done(Self::Refused(refusal))),
            Ok(MembershipStatus { swarm: None, .. }) => {
                return Ok(ObjectsReading::Done(Self::NoSwarm));
            }
            Ok(MembershipStatus {
                swarm: Some(swarm), ..
            }) => swarm,
        };
        // The looking host stands last there; here it costs no exchange of its own.
        let mut managers = swarm.managers;
        let looks_last = managers.last() == Some(host);
        managers.rotate_right(usize::from(looks_last));
        Ok(match read_from(&mut managers, host, paths, answers)? {
            Err(missing) => ObjectsReading::Needs(missing),
            Ok(bodies) => ObjectsReading::Done(Self::Read { managers, bodies }),
        })
    }
}

/// One body a path from the first of these managers that gives them all, which is then moved to the front; or what must be answered
/// first.
///
/// # Errors
/// [`ProbeError`] when no manager gives them.
pub fn read_from(
    managers: &mut [HostName],
    host: &HostName,
    paths: &[String],
    answers: &HostAnswers,
) -> Result<Result<Vec<serde_json::Value>, Vec<Query>>, ProbeError> {
    let mut why = String::from("no manager answers");
    for position in 0..managers.len() {
        let queries: Vec<Query> = paths
            .iter()
            .map(|path| query(&managers[position], host, path))
            .collect();
        let missing: Vec<Query> = queries
            .iter()
            .filter(|one| !answers.contains(one))
            .cloned()
            .collect();
        if !missing.is_empty() {
            return Ok(Err(missing));
        }
        match bodies(&queries, answers)? {
            Ok(bodies) => {
                managers.swap(0, position);
                return Ok(Ok(bodies));
            }
            Err(said) => why = format!("{}: {said}", managers[position]),
        }
    }
    Err(ProbeError::Elsewhere(format!(
        "no manager of the swarm lists its objects: {why}"
    )))
}

fn query(manager: &HostName, host: &HostName, path: &str) -> Query {
    if manager == host {
        Query::engine(path)
    } else {
        Query::docker_of(manager.clone(), path)
    }
}

fn bodies(
    queries: &[Query],
    answers: &HostAnswers,
) -> Result<Result<Vec<serde_json::Value>, String>, ProbeError> {
    let mut bodies = Vec::new();
    for query in queries {
        let answer = match query {
            Query::DockerApi {
                host: Some(host),
                path,
            } => answers.docker_of(host, path)?,
            Query::DockerApi { host: None, path } => answers.engine(path)?,
            _ => continue,
        };
        bodies.push(match answer {
            DockerAnswer::Response {
                status: 200..=299,
                body,
            } => body.clone(),
            DockerAnswer::Response { status, body } => {
                return Ok(Err(crate::swarm::view::error_text(*status, body)));
            }
            DockerAnswer::Absent => return Ok(Err("there is no Engine".into())),
            DockerAnswer::Down(why) | DockerAnswer::Unreachable(why) => {
                return Ok(Err(why.clone()));
            }
        });
    }
    Ok(Ok(bodies))
}
