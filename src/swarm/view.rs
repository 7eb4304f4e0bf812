//! The view that one host has of its swarm: its own Engine, the managers of the group, and the list
//! of nodes from the first manager that returns one. Reading takes several rounds, because the
//! managers are known only after `/info`.

use super::{DockerInfo, SwarmNode};
use crate::model::{DockerAnswer, DockerQuery, HostAnswers, Observation, ProbeError, Query};
use crate::names::HostName;

/// State of one Engine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one per host, and nearly all of them have answered"
)]
pub enum DockerStatus {
    /// The Engine is not installed.
    Absent,
    /// The Engine is installed and does not answer.
    Down(String),
    /// The host could not be read; its Engine's state is unknown.
    Unreachable(String),
    /// skep itself failed while it read the host, and the Engine's state is unknown. The text names
    /// the host and the next step.
    Failed(String),
    /// The Engine answered.
    Answered(DockerInfo),
}

impl DockerStatus {
    /// Reads an answer to `GET /info`. An error status means that the Engine is faulty, not that it
    /// has no swarm.
    #[must_use]
    pub fn read(answer: &DockerAnswer) -> Self {
        match answer {
            DockerAnswer::Absent => Self::Absent,
            DockerAnswer::Down(why) => Self::Down(why.clone()),
            DockerAnswer::Unreachable(why) => Self::Unreachable(why.clone()),
            DockerAnswer::Response { .. } => match answer.json() {
                Ok(body) => Self::Answered(DockerInfo::read(body)),
                Err(error) => Self::Down(error.to_string()),
            },
        }
    }

    /// Returns the Engine's report, if it answered.
    #[must_use]
    pub fn info(&self) -> Option<&DockerInfo> {
        match self {
            Self::Answered(info) => Some(info),
            _ => None,
        }
    }

    /// Returns true if the Engine is a working manager.
    #[must_use]
    pub fn is_manager(&self) -> bool {
        self.info()
            .is_some_and(|info| info.state == "active" && info.control_available)
    }

    /// Returns the reason why this Engine's membership is unknown; `None` when it is known.
    #[must_use]
    pub fn unknown(&self) -> Option<&str> {
        match self {
            Self::Down(why) | Self::Unreachable(why) | Self::Failed(why) => Some(why),
            _ => None,
        }
    }
}

/// A host's view of its swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwarmView {
    /// The observing host.
    pub host: HostName,
    /// State of the host's own Engine.
    pub own: DockerStatus,
    /// The other managers of the group, in the inventory's order.
    pub others: Vec<(HostName, DockerStatus)>,
    /// Addresses that the host reports of itself; empty if its facts were not queried.
    pub addresses: Vec<String>,
    /// Nodes as a manager lists them, or the reason why no manager did; `None` when there is no
    /// manager to query.
    pub nodes: Option<Result<Vec<SwarmNode>, String>>,
}

impl SwarmView {
    /// Returns the queries of the first round. The nodes are read from the manager that most likely
    /// lists them, before it is known to be one: otherwise they cost a round of their own.
    #[must_use]
    pub fn queries(host: &HostName, managers: &[HostName]) -> Vec<Query> {
        let others = || managers.iter().filter(|name| *name != host);
        let nodes = match others().next() {
            Some(first) => Some(Query::docker_of(first.clone(), "/nodes")),
            None => managers.contains(host).then(|| Query::docker("/nodes")),
        };
        std::iter::once(Query::docker("/info"))
            .chain(others().map(|name| Query::docker_of(name.clone(), "/info")))
            .chain(nodes)
            .collect()
    }

    /// Reads the view from the available answers, or returns the queries that must be answered
    /// first.
    ///
    /// # Errors
    /// [`ProbeError`] when the host's own Engine could not be queried.
    pub fn read(
        host: &HostName,
        managers: &[HostName],
        answers: &HostAnswers,
    ) -> Result<Observation<Self>, ProbeError> {
        let own = DockerStatus::read(answers.engine("/info")?);
        if let DockerStatus::Unreachable(why) = &own {
            return Err(ProbeError::Unusable(format!(
                "the state of the Engine of {host} is unknown: {why}"
            )));
        }
        let mut others = Vec::new();
        for name in managers.iter().filter(|name| *name != host) {
            others.push((
                name.clone(),
                DockerStatus::read(answers.docker_of(name, "/info")?),
            ));
        }

        // Other managers come first: their list is still right when this host's own Engine is in a
        // foreign swarm.
        let mut sources: Vec<Query> = others
            .iter()
            .filter(|(_, view)| view.is_manager())
            .map(|(name, _)| Query::docker_of(name.clone(), "/nodes"))
            .collect();
        // A compromised worker may say that it is a manager. Its list counts only if the operator
        // made it a manager, or if no manager of the group answers.
        if own.is_manager() && (managers.contains(host) || sources.is_empty()) {
            sources.push(Query::docker("/nodes"));
        }
        let mut nodes = None;
        for query in sources {
            if !answers.contains(&query) {
                return Ok(Observation::Needs(vec![query]));
            }
            let list = Self::nodes(answers, &query);
            let good = list.is_ok();
            nodes = Some(list);
            if good {
                break;
            }
        }
        Ok(Observation::Known(Self {
            host: host.clone(),
            own,
            others,
            addresses: answers
                .facts()
                .map(|facts| facts.addresses.clone())
                .unwrap_or_default(),
            nodes,
        }))
    }

    fn nodes(answers: &HostAnswers, query: &Query) -> Result<Vec<SwarmNode>, String> {
        let answer = match query {
            Query::Docker(DockerQuery::Get {
                host: Some(host),
                path,
            }) => answers.docker_of(host, path),
            _ => answers.engine("/nodes"),
        };
        let answer = answer.map_err(|error| error.to_string())?;
        SwarmNode::list(answer.json().map_err(|error| error.to_string())?)
    }

    /// Returns every Engine of the view that is a working manager, the host's own last.
    pub fn managers(&self) -> impl Iterator<Item = (&HostName, &DockerInfo)> {
        self.others
            .iter()
            .map(|(name, view)| (name, view))
            .chain(std::iter::once((&self.host, &self.own)))
            .filter(|(_, view)| view.is_manager())
            .filter_map(|(name, view)| Some((name, view.info()?)))
    }
}
