//! The swarm's own objects (networks, secrets, configs), read for a cluster-scoped resource through
//! any manager that answers. The delegate is queried first, in its first round trip; other managers
//! are queried only if the delegate is not a manager.

use super::{
    ManagerAddresses, MembershipObservation, MembershipStatus, SwarmView, observe_membership,
};
use crate::model::{HostAnswers, Observation, ProbeError, Query, Refusal};
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

    /// Reads the objects from the available answers, or returns the queries that must be answered
    /// first.
    ///
    /// # Errors
    /// [`ProbeError`] when the state of the swarm is unknown, or no manager returns the objects.
    pub fn read(
        host: &HostName,
        ours: &ManagerAddresses,
        paths: &[String],
        answers: &HostAnswers,
    ) -> Result<Observation<Self>, ProbeError> {
        let view = match SwarmView::read(host, &ours.names(), answers)? {
            Observation::Needs(queries) => return Ok(Observation::Needs(queries)),
            Observation::Known(view) => view,
        };
        let swarm = match observe_membership(&view, ours)? {
            MembershipObservation::Refused(refusal) => {
                return Ok(Observation::Known(Self::Refused(refusal)));
            }
            MembershipObservation::Resolved(MembershipStatus { swarm: None, .. }) => {
                return Ok(Observation::Known(Self::NoSwarm));
            }
            MembershipObservation::Resolved(MembershipStatus {
                swarm: Some(swarm), ..
            }) => swarm,
        };
        // `LiveSwarm` lists the observing host last; here it goes first, because its answers cost
        // no extra round trip.
        let mut managers = swarm.managers;
        let looks_last = managers.last() == Some(host);
        managers.rotate_right(usize::from(looks_last));
        Ok(match read_from(&mut managers, host, paths, answers)? {
            Observation::Needs(queries) => Observation::Needs(queries),
            Observation::Known(bodies) => Observation::Known(Self::Read { managers, bodies }),
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
) -> Result<Observation<Vec<serde_json::Value>>, ProbeError> {
    let mut why = String::from("no manager answers");
    'managers: for position in 0..managers.len() {
        let manager = &managers[position];
        let missing: Vec<Query> = paths
            .iter()
            .map(|path| query(manager, host, path))
            .filter(|query| !answers.contains(query))
            .collect();
        if !missing.is_empty() {
            return Ok(Observation::Needs(missing));
        }
        let mut bodies = Vec::new();
        for path in paths {
            let answer = if manager == host {
                answers.engine(path)?
            } else {
                answers.docker_of(manager, path)?
            };
            match answer.json() {
                Ok(body) => bodies.push(body.clone()),
                Err(error) => {
                    why = format!("{manager}: {error}");
                    continue 'managers;
                }
            }
        }
        managers.swap(0, position);
        return Ok(Observation::Known(bodies));
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
