//! Shared parts of the cluster-scoped kinds: the hosts that they read from, the reading of the
//! swarm's objects, and requests to the first manager that answers.

use serde_json::Value;

use crate::model::{
    DockerCall, GeneratedValue, HostAnswers, HostContext, InvalidField, Observation, Operation,
    ProbeError, Query, Refusal, STEP_TIMEOUT, Step, docker_filters,
};
use crate::names::HostName;
use crate::swarm::{ManagerAddresses, SwarmObjects};

/// Returns the default of the field `managers` of cluster kinds.
pub(super) fn default_managers() -> String {
    "managers".into()
}

/// Hosts that a cluster resource reads from: its delegate, and the managers of its group.
#[derive(Debug, Clone)]
pub struct ClusterSite {
    host: HostName,
    ours: ManagerAddresses,
}

impl Default for ClusterSite {
    fn default() -> Self {
        Self {
            host: HostName::new(""),
            ours: ManagerAddresses::default(),
        }
    }
}

/// Observed state of a cluster resource.
#[derive(Debug, Clone, PartialEq)]
pub enum ClusterState<T> {
    /// There is no swarm yet.
    NoSwarm,
    /// A change of this swarm would do harm, for this reason.
    Refused(Refusal),
    /// Objects of the swarm, and working managers for requests.
    Live(T, Vec<HostName>),
}

impl ClusterSite {
    /// Takes the host and the managers from the inventory.
    ///
    /// # Errors
    /// [`InvalidField`] when no host is in the group.
    pub fn of(context: &HostContext<'_>, group: &str) -> Result<Self, InvalidField> {
        let ours = ManagerAddresses::of_group(context.roster, group);
        if ours.managers.is_empty() {
            return Err(InvalidField::new(
                "managers",
                format!("no host is in the group `{group}`"),
            )
            .hint("name the group whose hosts manage the swarm"));
        }
        Ok(Self {
            host: context.host.clone(),
            ours,
        })
    }

    /// Returns the queries of the first round.
    #[must_use]
    pub fn queries(&self, paths: &[String]) -> Vec<Query> {
        SwarmObjects::queries(&self.host, &self.ours, paths)
    }

    /// Reads the swarm's objects; `read` gets one body per path.
    ///
    /// # Errors
    /// [`ProbeError`] when the objects cannot be read.
    pub fn observe<T>(
        &self,
        paths: &[String],
        answers: &HostAnswers,
        read: impl FnOnce(&[Value]) -> T,
    ) -> Result<Observation<ClusterState<T>>, ProbeError> {
        Ok(
            match SwarmObjects::read(&self.host, &self.ours, paths, answers)? {
                Observation::Needs(queries) => Observation::Needs(queries),
                Observation::Known(SwarmObjects::NoSwarm) => {
                    Observation::Known(ClusterState::NoSwarm)
                }
                Observation::Known(SwarmObjects::Refused(refusal)) => {
                    Observation::Known(ClusterState::Refused(refusal))
                }
                Observation::Known(SwarmObjects::Read { managers, bodies }) => {
                    Observation::Known(ClusterState::Live(read(&bodies), managers))
                }
            },
        )
    }
}

/// Returns a step with a request to the first of these hosts that manages the swarm.
pub(super) fn request(
    summary: String,
    managers: &[HostName],
    method: &'static str,
    path: String,
    body: Option<Value>,
) -> Step {
    let managers = managers.to_vec();
    let call = DockerCall {
        managers,
        method,
        path,
        body,
        late: Vec::new(),
        made: GeneratedValue::Nothing,
        timeout: STEP_TIMEOUT,
    };
    Step {
        summary,
        act: Operation::DockerApi(call),
    }
}

/// Returns the path that lists objects whose names contain `name`. The filter also matches parts of
/// names, and the reader must select the equal name.
pub(super) fn named(list: &str, name: &str) -> String {
    format!("{list}?filters={}", docker_filters(&[("name", &[name])]))
}

/// Checks the name of a network, secret or config by the rules of the Engine: letters, digits, `-`,
/// `_` and `.`, with a letter or digit at both ends, and at most `longest` characters.
pub(super) fn check_object_name(
    field: &str,
    name: &str,
    longest: usize,
) -> Result<(), InvalidField> {
    let ends = |one: Option<char>| one.is_some_and(|one| one.is_ascii_alphanumeric());
    let all = name
        .chars()
        .all(|one| one.is_ascii_alphanumeric() || "-_.".contains(one));
    if all && name.len() <= longest && ends(name.chars().next()) && ends(name.chars().last()) {
        return Ok(());
    }
    Err(InvalidField::new(field, format!("{name:?} cannot be a name in the swarm")).hint(format!(
        "use letters, digits, \"-\", \"_\" and \".\", with a letter or digit at both ends, and at most {longest} characters"
    )))
}
