//! The swarm's own objects (networks, secrets, configs), read for a cluster-scoped resource through
//! any manager that answers. The delegate is queried first, in its first round trip; other managers
//! are queried only if the delegate is not a manager.

use super::{ManagerAddresses, MembershipStatus, SwarmReading, SwarmView, try_resolve};
use crate::model::{DockerQuery, HostAnswers, ProbeError, Query, Refusal};
use crate::names::HostName;

/// State of the swarm that a cluster-scoped resource belongs to.
#[derive(Debug, Clone, PartialEq)]
pub enum SwarmObjects {
    /// There is no swarm yet; the objects can be created once there is a swarm.
    NoSwarm,
    /// Acting would do harm: a foreign swarm, or managers in different swarms.
    Refused(Refusal),
    /// The answers to the queried paths, in their order, and managers to act through.
    Read {
        /// Working managers; the manager that answered comes first.
        managers: Vec<HostName>,
        /// Response bodies, one per path.
        bodies: Vec<serde_json::Value>,
    },
}

/// Result of one round of reading.
pub enum ObjectsReading {
    /// Queries that must be answered first.
    Needs(Vec<Query>),
    /// The complete result.
    Done(SwarmObjects),
}

impl SwarmObjects {
    /// Returns the queries of the first round: the state of the managers, and the objects
    /// themselves if the host should be a manager.
    #[must_use]
    pub fn queries(host: &HostName, ours: &ManagerAddresses, paths: &[String]) -> Vec<Query> {
        let names = ours.names();
        let mut queries = SwarmView::queries(host, &names);
        if names.contains(host) {
            queries.extend(paths.iter().map(Query::docker));
        }
        queries
    }

    /// Reads the objects from the available answers.
    ///
    /// # Errors
    /// [`ProbeError`] when the state of the swarm is unknown, or no manager returns the objects.
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
        // `LiveSwarm` lists the observing host last; here it goes first, because its answers cost
        // no extra round trip.
        let mut managers = swarm.managers;
        let looks_last = managers.last() == Some(host);
        managers.rotate_right(usize::from(looks_last));
        Ok(match read_from(&mut managers, host, paths, answers)? {
            Err(missing) => ObjectsReading::Needs(missing),
            Ok(bodies) => ObjectsReading::Done(Self::Read { managers, bodies }),
        })
    }
}

/// Returns one body per path from the first of these managers that returns them all, and moves it
/// to the front; otherwise returns the queries that must be answered first.
///
/// # Errors
/// [`ProbeError`] when no manager returns them.
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
        Query::docker(path)
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
            Query::Docker(DockerQuery::Get {
                host: Some(host),
                path,
            }) => answers.docker_of(host, path)?,
            Query::Docker(DockerQuery::Get { host: None, path }) => answers.engine(path)?,
            _ => continue,
        };
        match answer.json() {
            Ok(body) => bodies.push(body.clone()),
            Err(error) => return Ok(Err(error.to_string())),
        }
    }
    Ok(Ok(bodies))
}
