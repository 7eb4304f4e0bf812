//! Shared step of `ping`, `facts` and `status`: sends one set of queries to every selected host in
//! parallel.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indexmap::IndexMap;

use super::execute::fleet;
use super::exit_code::ExitStatus;
use super::selection::InventorySelection;
use crate::inventory::Inventory;
use crate::model::{HostAnswers, Query};
use crate::names::HostName;
use crate::report::Screen;
use crate::runner::gather::gather;
use crate::runner::outcome::Problem;
use crate::runner::{EventSender, Fleet, ReadCache, TaskPanic, fan_out};
use crate::transport::TransportError;

/// Reply of one host, with the time that the connection and the answer took.
pub(super) struct HostReply {
    /// Time from the start to the login.
    pub connect: Duration,
    /// Time from the queries to the answers.
    pub answer: Duration,
    /// SHA256 fingerprint of the host's key, if this run has learned the key.
    pub new_host_key: Option<String>,
    /// Answers to the queries.
    pub answers: HostAnswers,
}

/// Reason why a host has no [`HostReply`].
#[derive(Debug)]
pub(super) enum NoReply {
    /// The host cannot be read.
    Transport(TransportError),
    /// skep itself failed on the host.
    Internal(Problem),
}

impl NoReply {
    /// The host's state in one word, as in the table of `ping`.
    pub(super) fn state(&self) -> &'static str {
        match self {
            Self::Transport(_) => "unreachable",
            Self::Internal(_) => "failed",
        }
    }

    /// Exit code for the host alone.
    pub(super) fn exit(&self) -> ExitStatus {
        match self {
            Self::Transport(_) => ExitStatus::Unreachable,
            Self::Internal(_) => ExitStatus::Failed,
        }
    }

    /// Reason in one sentence.
    pub(super) fn why(&self) -> String {
        match self {
            Self::Transport(error) => error.to_string(),
            Self::Internal(trouble) => trouble.why.clone(),
        }
    }

    /// Next step in one sentence.
    pub(super) fn hint(&self) -> String {
        match self {
            Self::Transport(error) => error.hint(),
            Self::Internal(trouble) => trouble.hint.clone(),
        }
    }
}

/// Every host with its reply, in the given order.
type Replies = IndexMap<HostName, Result<HostReply, NoReply>>;

/// Queries these hosts, with as many in parallel as the selection says; replies are in the
/// inventory's order.
///
/// # Errors
/// Fails on configuration errors; a host that does not answer is an entry of the result.
pub(super) async fn query_hosts(
    inventory: &Inventory,
    selection: &InventorySelection,
    hosts: &[HostName],
    queries: BTreeSet<Query>,
    screen: &Screen,
) -> anyhow::Result<Replies> {
    let fleet = fleet(inventory, EventSender::silent(), &selection.login, screen)?;
    let replies = ask_fleet(&fleet, hosts, selection.forks(inventory), queries).await;
    fleet.close().await;
    Ok(replies)
}

async fn ask_fleet(
    fleet: &Arc<Fleet>,
    hosts: &[HostName],
    forks: usize,
    queries: BTreeSet<Query>,
) -> Replies {
    let (queries, round) = (Arc::new(queries), Arc::new(ReadCache::default()));
    let replies = fan_out(hosts.to_vec(), forks, |name| {
        let (fleet, queries, round) = (fleet.clone(), queries.clone(), round.clone());
        async move { query_host(&fleet, &round, &name, &queries).await }
    })
    .await;
    let reply = |(name, result): (
        &HostName,
        Result<Result<HostReply, TransportError>, TaskPanic>,
    )| {
        let reply = match result {
            Ok(reply) => reply.map_err(NoReply::Transport),
            Err(panic) => Err(NoReply::Internal(Problem::internal(name, &panic))),
        };
        (name.clone(), reply)
    };
    hosts.iter().zip(replies).map(reply).collect()
}

async fn query_host(
    fleet: &Fleet,
    round: &ReadCache,
    name: &HostName,
    queries: &BTreeSet<Query>,
) -> Result<HostReply, TransportError> {
    let started = Instant::now();
    let host = fleet.host(name).await?;
    let connect = started.elapsed();
    let asked = Instant::now();
    let answers = gather(fleet, round, &host, queries).await?;
    Ok(HostReply {
        connect,
        answer: asked.elapsed(),
        new_host_key: host.new_host_key().map(str::to_owned),
        answers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ShellQuery;
    use crate::safety::samples::site;

    #[tokio::test]
    async fn panicked_host_is_failed_and_others_answer() {
        let (fleet, hosts) = site("docker02");
        let replies = ask_fleet(
            &fleet,
            &hosts,
            2,
            BTreeSet::from([Query::Shell(ShellQuery::Facts)]),
        )
        .await;
        assert!(replies.keys().eq(&hosts), "in the order of the inventory");
        for (name, reply) in &replies {
            match reply {
                Ok(_) => assert_ne!(name.as_str(), "docker02"),
                Err(error) => {
                    assert_eq!((name.as_str(), error.state()), ("docker02", "failed"));
                    assert_eq!(error.exit(), ExitStatus::Failed);
                    assert_eq!(
                        error.why(),
                        "internal error of skep on docker02: a wire is loose"
                    );
                }
            }
        }
    }
}
