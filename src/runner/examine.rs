//! Examines resources: gathers the answers to their queries and follow-up queries, and returns
//! their changes. Read-only.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::event::Event;
use super::gather::{ShellReading, gather, gather_beside};
use super::poll_pause::PollPause;
use super::{ConnectedHost, Fleet, ReadCache};
use crate::model::{Change, Examination, ExamineError, HostAnswers, ProbeError, Query, Resource};
use crate::transport::{ExecOutput, TransportError};

/// Maximum number of rounds of follow-up queries; a kind that needs more queries in circles.
const MOST_ROUNDS: usize = 8;

/// Time for which a run of `apply` waits for a state that is about to change by itself. An Engine
/// that joins, starts or changes its role needs some seconds; a damaged one never settles.
pub(super) const SETTLE_WAIT: Duration = Duration::from_secs(60);

/// Longest time between two readings of such a state.
const SETTLE_PAUSE: Duration = Duration::from_secs(2);

/// Change of one resource, or the reason why it is unknown.
pub(super) type ExamineResult = Result<Option<Change>, ExamineError>;

/// Answers of a host, with the access for follow-up queries.
pub(super) struct HostExaminer<'a> {
    pub fleet: &'a Fleet,
    pub host: &'a ConnectedHost,
    round: Arc<ReadCache>,
    pub answers: HostAnswers,
}

impl<'a> HostExaminer<'a> {
    /// Gathers the answers to the queries of these resources and to `more`, in one exec.
    pub(super) async fn gather(
        fleet: &'a Fleet,
        host: &'a ConnectedHost,
        resources: &[Arc<dyn Resource>],
        more: impl IntoIterator<Item = Query>,
    ) -> Result<Self, TransportError> {
        Self::gather_in(Arc::default(), fleet, host, resources, more).await
    }

    /// Like [`HostExaminer::gather`], with reads that other hosts share.
    pub(super) async fn gather_in(
        round: Arc<ReadCache>,
        fleet: &'a Fleet,
        host: &'a ConnectedHost,
        resources: &[Arc<dyn Resource>],
        more: impl IntoIterator<Item = Query>,
    ) -> Result<Self, TransportError> {
        let mut look = Self {
            fleet,
            host,
            round,
            answers: HostAnswers::default(),
        };
        let queries = resources
            .iter()
            .flat_map(|resource| resource.queries())
            .chain(more)
            .collect();
        look.query(&queries).await?;
        Ok(look)
    }

    /// Returns the queries of these resources.
    pub(super) fn queries_of(resources: &[Arc<dyn Resource>]) -> BTreeSet<Query> {
        resources
            .iter()
            .flat_map(|resource| resource.queries())
            .collect()
    }

    /// Gathers the answers to these queries, of which the host's shell has answered its part
    /// already. `kept` answers of others than the shell are not read again.
    pub(super) async fn gather_beside(
        fleet: &'a Fleet,
        host: &'a ConnectedHost,
        queries: &BTreeSet<Query>,
        reading: &ShellReading,
        output: &ExecOutput,
        kept: HostAnswers,
    ) -> Self {
        let round = Arc::new(ReadCache::default());
        let open = queries
            .iter()
            .filter(|query| !kept.contains(query))
            .cloned()
            .collect();
        let mut answers = gather_beside(fleet, &round, host, &open, reading, output).await;
        answers.merge(kept);
        Self {
            fleet,
            host,
            round,
            answers,
        }
    }

    /// Sends the queries that are not answered yet.
    pub(super) async fn query(&mut self, queries: &BTreeSet<Query>) -> Result<(), TransportError> {
        let new: BTreeSet<Query> = queries
            .iter()
            .filter(|query| !self.answers.contains(query))
            .cloned()
            .collect();
        if !new.is_empty() {
            self.answers
                .merge(gather(self.fleet, &self.round, self.host, &new).await?);
        }
        Ok(())
    }

    /// Returns true if the answers so far show that one of these resources differs.
    pub(super) fn any_differs(&self, resources: &[Arc<dyn Resource>]) -> bool {
        resources.iter().any(|resource| {
            let examined = resource.examine(&self.answers);
            matches!(examined, Ok(Examination::Differs(_)))
        })
    }

    /// Returns true if the queries of the resource were answered.
    pub(super) fn has_answers(&self, resource: &dyn Resource) -> bool {
        resource
            .queries()
            .iter()
            .all(|query| self.answers.contains(query))
    }

    /// Sends the still unanswered queries of these resources; if that needs an exec, follow-up
    /// queries of the other resources are batched into it.
    pub(super) async fn query_with_needs(
        &mut self,
        resources: &[Arc<dyn Resource>],
    ) -> Result<(), TransportError> {
        let (answered, open): (Vec<_>, Vec<_>) = resources
            .iter()
            .partition(|resource| self.has_answers(resource.as_ref()));
        if open.is_empty() {
            return Ok(());
        }
        let mut queries: BTreeSet<Query> = open
            .iter()
            .flat_map(|resource| resource.queries())
            .collect();
        for resource in answered {
            if let Ok(Examination::Needs(needs)) = resource.examine(&self.answers) {
                queries.extend(needs);
            }
        }
        self.query(&queries).await
    }

    /// Like [`HostExaminer::examine`], but waits at most `limit` while the state of a resource is
    /// about to change by itself. Reads everything again after each pause.
    pub(super) async fn examine_settled(
        &mut self,
        resources: &[Arc<dyn Resource>],
        limit: Duration,
    ) -> Result<Vec<ExamineResult>, TransportError> {
        let begun = Instant::now();
        let mut is_told = false;
        let mut pause = PollPause::up_to(SETTLE_PAUSE);
        loop {
            let results = self.examine(resources).await?;
            let Some(why) = results.iter().find_map(settling) else {
                return Ok(results);
            };
            if begun.elapsed() + SETTLE_PAUSE > limit {
                return Ok(results);
            }
            if !is_told {
                let (host, why) = (self.host.name().clone(), why.to_owned());
                self.fleet.events().send(Event::Waiting { host, why }).await;
                is_told = true;
            }
            tokio::time::sleep(pause.next()).await;
            self.read_again().await?;
        }
    }

    /// Sends every query again that was answered.
    async fn read_again(&mut self) -> Result<(), TransportError> {
        let queries = self.answers.queries();
        self.round = Arc::default();
        self.answers = HostAnswers::default();
        self.query(&queries).await
    }

    /// Examines all these resources; their follow-up queries are sent together, at one exec per
    /// round.
    pub(super) async fn examine(
        &mut self,
        resources: &[Arc<dyn Resource>],
    ) -> Result<Vec<ExamineResult>, TransportError> {
        let mut results: Vec<Option<ExamineResult>> = resources.iter().map(|_| None).collect();
        for _ in 0..MOST_ROUNDS {
            let mut needs = BTreeSet::new();
            for (resource, result) in resources.iter().zip(&mut results) {
                if result.is_some() {
                    continue;
                }
                match resource.examine(&self.answers) {
                    Ok(Examination::Needs(queries)) => needs.extend(queries),
                    Ok(Examination::InSync) => *result = Some(Ok(None)),
                    Ok(Examination::Differs(change)) => *result = Some(Ok(Some(change))),
                    Err(error) => *result = Some(Err(error)),
                }
            }
            if needs.is_empty() {
                break;
            }
            self.query(&needs).await?;
        }
        let circles = || {
            Err(ProbeError::NotAsked(
                "the answer to a follow-up query (after the last round of queries)".into(),
            )
            .into())
        };
        Ok(results
            .into_iter()
            .map(|result| result.unwrap_or_else(circles))
            .collect())
    }
}

/// Returns the state of a resource that is about to change by itself.
fn settling(result: &ExamineResult) -> Option<&str> {
    match result {
        Err(ExamineError::Probe(ProbeError::Settling { why, .. })) => Some(why),
        _ => None,
    }
}
