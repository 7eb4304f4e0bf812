//! Gather: all of a host's questions in one exec, its Engine's reads beside it on the same connection.

mod facts;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod other_hosts;
mod output;
mod parse;
mod script;
mod stacks;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;

use super::{ConnectedHost, Fleet, ReadCache};
use crate::model::{HostAnswers, ProbeError, Query, QueryAnswer};
use crate::transport::TransportError;

/// Limit of time for one gather: apt's simulation on a slow disk is the longest part.
const GATHER_TIMEOUT: Duration = Duration::from_secs(120);

/// Asks a host all queries and brings back an answer, or a reason, for each.
///
/// # Errors
/// [`TransportError`] when the host itself could not be asked; a single probe that fails is an entry of the answers.
pub async fn gather(
    fleet: &Fleet,
    round: &ReadCache,
    host: &ConnectedHost,
    queries: &BTreeSet<Query>,
) -> Result<HostAnswers, TransportError> {
    let (stacks, rest): (Vec<&Query>, Vec<&Query>) = queries
        .iter()
        .partition(|query| matches!(query, Query::Stack(_)));
    let (engine, others): (Vec<&Query>, Vec<&Query>) = rest
        .into_iter()
        .partition(|query| matches!(query, Query::DockerApi { .. } | Query::Distribution { .. }));
    let (elsewhere, others): (Vec<&Query>, Vec<&Query>) = others
        .into_iter()
        .partition(|query| matches!(query, Query::At { .. }));
    let (values, shell): (Vec<&Query>, Vec<&Query>) = others
        .into_iter()
        .partition(|query| matches!(query, Query::Value(_)));
    let (from_shell, from_engines, from_here, from_stacks, from_elsewhere) = tokio::join!(
        query_shell(host, &shell),
        query_docker_api(fleet, round, host, &engine),
        query_local_values(fleet, &values),
        stacks::query_stacks(fleet, &stacks),
        other_hosts::query_other_hosts(fleet, &elsewhere)
    );
    let mut answers = from_shell?;
    answers.merge(from_engines);
    answers.merge(from_here);
    answers.merge(from_stacks);
    answers.merge(from_elsewhere);
    Ok(answers)
}

async fn query_shell(
    host: &ConnectedHost,
    queries: &[&Query],
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
                        query.clone(),
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
async fn query_local_values(fleet: &Fleet, queries: &[&Query]) -> HostAnswers {
    let mut answers = HostAnswers::default();
    for query in queries {
        if let Query::Value(source) = query {
            let value = fleet.value(source).await.map(QueryAnswer::Value);
            let value = value.map_err(|why| ProbeError::Failed {
                what: format!("{source:?}"),
                why,
            });
            answers.insert((*query).clone(), value);
        }
    }
    answers
}

async fn query_docker_api(
    fleet: &Fleet,
    round: &ReadCache,
    host: &ConnectedHost,
    queries: &[&Query],
) -> HostAnswers {
    // All at once: one after the other, each would cost a way there and back.
    let reads = queries.iter().map(async |query| {
        let answer = match query {
            Query::DockerApi { host: other, path } => {
                let owner = other.as_ref().unwrap_or(host.name());
                round.read(fleet, owner, path).await
            }
            Query::Distribution { image, credentials } => {
                host.distribution(image, credentials.as_ref()).await
            }
            _ => return None,
        };
        Some(((*query).clone(), Ok(QueryAnswer::Engine(answer))))
    });
    let mut answers = HostAnswers::default();
    for (query, answer) in join_all(reads).await.into_iter().flatten() {
        answers.insert(query, answer);
    }
    answers
}
