//! Gather: all of a host's questions in one exec, its Engine's reads beside it on the same
//! connection.

mod facts;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod other_hosts;
mod output;
mod parse;
mod parse_paths;
mod script;
mod stacks;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;

use super::{ConnectedHost, Fleet, ReadCache};
use crate::model::{
    DockerQuery, HostAnswers, ProbeError, Query, QueryAnswer, ShellQuery, StackQuestion,
    ValueSource,
};
use crate::names::HostName;
use crate::transport::TransportError;

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
    let (from_shell, from_docker, from_here, from_previews, from_other_hosts) = tokio::join!(
        query_shell(host, &sources.shell),
        query_docker_api(fleet, round, host, &sources.docker),
        query_local_values(fleet, &sources.local),
        stacks::query_stacks(fleet, &sources.previews),
        other_hosts::query_other_hosts(fleet, &sources.other_hosts)
    );
    let mut answers = from_shell?;
    answers.merge(from_docker);
    answers.merge(from_here);
    answers.merge(from_previews);
    answers.merge(from_other_hosts);
    Ok(answers)
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
    let marker = format!("skep-{:032x}", rand::random::<u128>());
    let sections = script::sections(queries);
    let output = host
        .run_gather_script(script::text(&marker, &sections), GATHER_TIMEOUT)
        .await?;
    let framed = output::split(&marker, &output.stdout);
    let mut answers = HostAnswers::default();
    for (index, section) in sections.iter().enumerate() {
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
    Ok(answers)
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
