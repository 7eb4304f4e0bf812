//! What `ping`, `facts` and `status` share: ask every selected host one set of queries, all at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::execute::fleet;
use super::selection::InventorySelection;
use crate::inventory::Inventory;
use crate::model::{Answers, Query};
use crate::names::HostName;
use crate::report::Screen;
use crate::runner::gather::gather;
use crate::runner::{Events, Fleet, Round};
use crate::transport::TransportError;

/// What one host answered, and how long the connection and the answer took.
pub struct Reply {
    /// From nothing to a login.
    pub connect: Duration,
    /// From the question to the answer.
    pub answer: Duration,
    /// All answers.
    pub answers: Answers,
}

/// Asks these hosts, as many at once as the selection says; answers come in the inventory's order.
///
/// # Errors
/// Configuration errors; a host that does not answer is an entry of the result.
pub async fn ask(
    inventory: &Inventory,
    selection: &InventorySelection,
    hosts: &[HostName],
    queries: BTreeSet<Query>,
    screen: &Screen,
) -> anyhow::Result<IndexMap<HostName, Result<Reply, TransportError>>> {
    let fleet = fleet(inventory, Events::silent(), &selection.login, screen)?;
    let (permits, queries, round) = (
        Arc::new(Semaphore::new(selection.forks(inventory).max(1))),
        Arc::new(queries),
        Arc::new(Round::default()),
    );
    let mut asking = JoinSet::new();
    for name in hosts.iter().cloned() {
        let (fleet, permits, queries, round) = (
            fleet.clone(),
            permits.clone(),
            queries.clone(),
            round.clone(),
        );
        asking.spawn(async move {
            let _permit = permits.acquire_owned().await;
            let reply = one(&fleet, &round, &name, &queries).await;
            (name, reply)
        });
    }
    let mut replies: IndexMap<HostName, Result<Reply, TransportError>> = IndexMap::new();
    while let Some(joined) = asking.join_next().await {
        let (name, reply) = joined?;
        replies.insert(name, reply);
    }
    fleet.close().await;
    replies.sort_by_cached_key(|name, _| hosts.iter().position(|host| host == name));
    Ok(replies)
}

async fn one(
    fleet: &Fleet,
    round: &Round,
    name: &HostName,
    queries: &BTreeSet<Query>,
) -> Result<Reply, TransportError> {
    let started = Instant::now();
    let host = fleet.host(name).await?;
    let connect = started.elapsed();
    let asked = Instant::now();
    let answers = gather(fleet, round, &host, queries).await?;
    Ok(Reply {
        connect,
        answer: asked.elapsed(),
        answers,
    })
}
