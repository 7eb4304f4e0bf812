//! Gather: all of a host's questions in one exec, its Engine's reads beside it on the same
//! connection.

mod facts;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod other_hosts;
mod output;
mod parse;
mod parse_packages;
mod parse_paths;
mod script;
mod stacks;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;

use self::script::ScriptSection;
use super::{ConnectedHost, Fleet, ReadCache};
use crate::model::{
    DockerQuery, HostAnswers, ProbeError, Query, QueryAnswer, ShellQuery, StackQuestion,
    ValueSource,
};
use crate::names::HostName;
use crate::transport::{Exec, ExecOutput, TransportError};

/// Limit of time for one gather: apt's simulation on a slow disk is the longest part.
const GATHER_TIMEOUT: Duration = Duration::from_secs(120);

/// Asks a host all queries and brings back an answer, or a reason, for each.
///
/// # Errors
/// [`TransportError`] when the host itself could not be asked; a single probe that fails is an
/// entry of the answers.
pub async fn gather(
    fleet: &Fleet,
    round: &ReadCache,
    host: &ConnectedHost,
    queries: &BTreeSet<Query>,
) -> Result<HostAnswers, TransportError> {
    let mut sources = QuerySources::default();
    for query in queries {
        sources.add(query);
    }
    let (from_shell, others) = tokio::join!(
        query_shell(host, &sources.shell),
        query_others(fleet, round, host, &sources)
    );
    let mut answers = from_shell?;
    answers.merge(others);
    Ok(answers)
}

/// Asks everything but the host's own shell, whose answers are in `output` already.
/// Asks one host in one reading, outside of a run.
///
/// # Errors
/// Reason why the host cannot be read, in one sentence.
pub async fn ask_host(
    fleet: &Fleet,
    host: &HostName,
    queries: impl IntoIterator<Item = ShellQuery>,
) -> Result<HostAnswers, String> {
    let connected = fleet.host(host).await.map_err(|error| error.to_string())?;
    let queries = queries.into_iter().map(Query::Shell).collect();
    let answers = gather(fleet, &ReadCache::default(), &connected, &queries).await;
    answers.map_err(|error| error.to_string())
}

pub(super) async fn gather_beside(
    fleet: &Fleet,
    round: &ReadCache,
    host: &ConnectedHost,
    queries: &BTreeSet<Query>,
    reading: &ShellReading,
    output: &ExecOutput,
) -> HostAnswers {
    let mut sources = QuerySources::default();
    for query in queries {
        sources.add(query);
    }
    let mut answers = reading.answers(output);
    answers.merge(query_others(fleet, round, host, &sources).await);
    answers
}

async fn query_others(
    fleet: &Fleet,
    round: &ReadCache,
    host: &ConnectedHost,
    sources: &QuerySources<'_>,
) -> HostAnswers {
    let (from_docker, from_here, from_previews, from_other_hosts) = tokio::join!(
        query_docker_api(fleet, round, host, &sources.docker),
        query_local_values(fleet, &sources.local),
        stacks::query_stacks(fleet, &sources.previews),
        other_hosts::query_other_hosts(fleet, &sources.other_hosts)
    );
    let mut answers = from_docker;
    answers.merge(from_here);
    answers.merge(from_previews);
    answers.merge(from_other_hosts);
    answers
}

/// The queries of a host, by the source that answers them.
#[derive(Default)]
struct QuerySources<'a> {
    shell: Vec<&'a ShellQuery>,
    docker: Vec<&'a DockerQuery>,
    local: Vec<&'a ValueSource>,
    previews: Vec<&'a StackQuestion>,
    other_hosts: Vec<(&'a HostName, &'a ShellQuery)>,
}

impl<'a> QuerySources<'a> {
    fn add(&mut self, query: &'a Query) {
        match query {
            Query::Shell(query) => self.shell.push(query),
            Query::Docker(query) => self.docker.push(query),
            Query::Local(source) => self.local.push(source),
            Query::Preview(question) => self.previews.push(question),
            Query::OtherHost { host, query } => self.other_hosts.push((host, query)),
        }
    }
}

async fn query_shell(
    host: &ConnectedHost,
    queries: &[&ShellQuery],
) -> Result<HostAnswers, TransportError> {
    if queries.is_empty() {
        return Ok(HostAnswers::default());
    }
    let reading = ShellReading::new(queries.iter().copied());
    let output = host.run_gather_script(reading.exec()).await?;
    Ok(reading.answers(&output))
}

/// Queries that one script answers.
pub(super) struct ShellReading {
    marker: String,
    queries: Vec<ShellQuery>,
}

impl ShellReading {
    /// Returns the reading of these queries, each of them once.
    pub(super) fn new<'a>(queries: impl IntoIterator<Item = &'a ShellQuery>) -> Self {
        Self {
            marker: format!("skep-{:032x}", rand::random::<u128>()),
            queries: queries.into_iter().cloned().collect(),
        }
    }

    /// Returns the reading of those of the queries that the host's shell answers.
    pub(super) fn of(queries: &BTreeSet<Query>) -> Self {
        Self::new(queries.iter().filter_map(|query| match query {
            Query::Shell(query) => Some(query),
            _ => None,
        }))
    }

    /// Returns the script, and its time limit.
    pub(super) fn exec(&self) -> Exec {
        // The condition of a command is text of a person, which may be secret.
        let is_condition = |query: &ShellQuery| matches!(query, ShellQuery::Test { .. });
        Exec {
            timeout: GATHER_TIMEOUT,
            is_public: !self.queries.iter().any(is_condition),
            ..Exec::root(self.script())
        }
    }

    fn sections(&self) -> Vec<ScriptSection<'_>> {
        script::sections(&self.queries.iter().collect::<Vec<_>>())
    }

    fn script(&self) -> String {
        if self.queries.is_empty() {
            return ":".into();
        }
        script::text(&self.marker, &self.sections())
    }

    /// Reads the output of the script.
    fn answers(&self, output: &ExecOutput) -> HostAnswers {
        let framed = output::split(&self.marker, &output.stdout);
        let mut answers = HostAnswers::default();
        for (index, section) in self.sections().iter().enumerate() {
            match framed.get(&index) {
                Some(frame) => parse::answer(section, frame, &mut answers),
                None => {
                    for query in section.queries() {
                        let why = format!(
                            "the answer did not arrive whole (status {}): {}",
                            output.status,
                            output.stderr_tail()
                        );
                        answers.insert(
                            Query::Shell(query.clone()),
                            Err(ProbeError::Failed {
                                what: format!("{query:?}"),
                                why,
                            }),
                        );
                    }
                }
            }
        }
        answers
    }
}

/// What the operator's own machine knows.
async fn query_local_values(fleet: &Fleet, sources: &[&ValueSource]) -> HostAnswers {
    let mut answers = HostAnswers::default();
    for source in sources {
        let value = fleet.value(source).await.map(QueryAnswer::Value);
        let value = value.map_err(|why| ProbeError::Failed {
            what: format!("{source:?}"),
            why,
        });
        answers.insert(Query::Local((*source).clone()), value);
    }
    answers
}

async fn query_docker_api(
    fleet: &Fleet,
    round: &ReadCache,
    host: &ConnectedHost,
    queries: &[&DockerQuery],
) -> HostAnswers {
    // All at once: one after the other, each would cost a round trip.
    let reads = queries.iter().map(async |query| {
        let answer = match query {
            DockerQuery::Get { host: other, path } => {
                let owner = other.as_ref().unwrap_or(host.name());
                round.read(fleet, owner, path).await
            }
            DockerQuery::Distribution { image, credentials } => {
                host.distribution(image, credentials.as_ref()).await
            }
        };
        (Query::Docker((*query).clone()), QueryAnswer::Engine(answer))
    });
    let mut answers = HostAnswers::default();
    for (query, answer) in join_all(reads).await {
        answers.insert(query, Ok(answer));
    }
    answers
}
