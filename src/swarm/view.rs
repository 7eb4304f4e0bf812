//! What one host can see of its swarm: its own Engine, the managers of the group, and the list of nodes from the first
//! manager that gives one. Reading is in rounds, because who can list the nodes is known only after `/info`.

use super::{DockerInfo, SwarmNode};
use crate::model::{DockerAnswer, HostAnswers, ProbeError, Query};
use crate::names::HostName;

/// What is known of one Engine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one for each host, and nearly all of them have answered"
)]
pub enum DockerStatus {
    /// There is none.
    Absent,
    /// It is installed and does not answer.
    Down(String),
    /// Nothing is known: the host could not be read.
    Unreachable(String),
    /// Nothing is known: skep itself failed while it read the host. The words name the host and the next step.
    Failed(String),
    /// It answered.
    Answered(DockerInfo),
}

impl DockerStatus {
    /// Reads an answer to `GET /info`. An error status says that the Engine is not well, not that it has no swarm.
    #[must_use]
    pub fn read(answer: &DockerAnswer) -> Self {
        match answer {
            DockerAnswer::Absent => Self::Absent,
            DockerAnswer::Down(why) => Self::Down(why.clone()),
            DockerAnswer::Unreachable(why) => Self::Unreachable(why.clone()),
            DockerAnswer::Response { status, body } => match answer.ok() {
                Some(body) => Self::Answered(DockerInfo::read(body)),
                None => Self::Down(error_text(*status, body)),
            },
        }
    }

    /// What the Engine said, if it did.
    #[must_use]
    pub fn info(&self) -> Option<&DockerInfo> {
        match self {
            Self::Answered(info) => Some(info),
            _ => None,
        }
    }

    /// Whether the Engine is a working manager.
    #[must_use]
    pub fn is_manager(&self) -> bool {
        self.info()
            .is_some_and(|info| info.state == "active" && info.control_available)
    }

    /// Why it is not known whether this Engine holds a swarm; `None` when it is known.
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
    /// The host that looks.
    pub host: HostName,
    /// Its own Engine.
    pub own: DockerStatus,
    /// The other managers of the group, in the inventory's order.
    pub others: Vec<(HostName, DockerStatus)>,
    /// Nodes as a manager lists them, or why no manager did; `None` when there is no manager to ask.
    pub nodes: Option<Result<Vec<SwarmNode>, String>>,
}

/// A round of looking.
pub enum SwarmReading {
    /// These must be answered first.
    Needs(Vec<Query>),
    /// Everything is seen.
    Done(Box<SwarmView>),
}

impl SwarmView {
    /// What the first round asks.
    #[must_use]
    pub fn queries(host: &HostName, managers: &[HostName]) -> Vec<Query> {
        let others = managers.iter().filter(|name| *name != host);
        std::iter::once(Query::engine("/info"))
            .chain(others.map(|name| Query::docker_of(name.clone(), "/info")))
            .collect()
    }

    /// Looks with the answers at hand.
    ///
    /// # Errors
    /// [`ProbeError`] when the host's own Engine could not be asked.
    pub fn read(
        host: &HostName,
        managers: &[HostName],
        answers: &HostAnswers,
    ) -> Result<SwarmReading, ProbeError> {
        let own = DockerStatus::read(answers.engine("/info")?);
        if let DockerStatus::Unreachable(why) = &own {
            return Err(ProbeError::Unusable(format!(
                "nothing is known about the Engine of {host}: {why}"
            )));
        }
        let mut others = Vec::new();
        for name in managers.iter().filter(|name| *name != host) {
            others.push((
                name.clone(),
                DockerStatus::read(answers.docker_of(name, "/info")?),
            ));
        }

        // Others first: a list from elsewhere still tells the truth when this host's own Engine is in a foreign swarm.
        let mut sources: Vec<Query> = others
            .iter()
            .filter(|(_, view)| view.is_manager())
            .map(|(name, _)| Query::docker_of(name.clone(), "/nodes"))
            .collect();
        if own.is_manager() {
            sources.push(Query::engine("/nodes"));
        }
        let mut nodes = None;
        for query in sources {
            if !answers.contains(&query) {
                return Ok(SwarmReading::Needs(vec![query]));
            }
            let list = Self::nodes(answers, &query);
            let good = list.is_ok();
            nodes = Some(list);
            if good {
                break;
            }
        }
        Ok(SwarmReading::Done(Box::new(Self {
            host: host.clone(),
            own,
            others,
            nodes,
        })))
    }

    fn nodes(answers: &HostAnswers, query: &Query) -> Result<Vec<SwarmNode>, String> {
        let answer = match query {
            Query::DockerApi {
                host: Some(host),
                path,
            } => answers.docker_of(host, path),
            _ => answers.engine("/nodes"),
        };
        match answer.map_err(|error| error.to_string())? {
            DockerAnswer::Response {
                status: 200..=299,
                body,
            } => SwarmNode::list(body),
            DockerAnswer::Response { status, body } => Err(error_text(*status, body)),
            DockerAnswer::Absent => Err("there is no Engine".into()),
            DockerAnswer::Down(why) | DockerAnswer::Unreachable(why) => Err(why.clone()),
        }
    }

    /// Every Engine in view that is a working manager, the host's own last.
    pub fn managers(&self) -> impl Iterator<Item = (&HostName, &DockerInfo)> {
        self.others
            .iter()
            .map(|(name, view)| (name, view))
            .chain(std::iter::once((&self.host, &self.own)))
            .filter(|(_, view)| view.is_manager())
            .filter_map(|(name, view)| Some((name, view.info()?)))
    }
}

/// An Engine's own words for an error.
pub(crate) fn error_text(status: u16, body: &serde_json::Value) -> String {
    match body.get("message").and_then(serde_json::Value::as_str) {
        Some(message) => message.trim().to_owned(),
        None => format!("the Engine answered with status {status}"),
    }
}
