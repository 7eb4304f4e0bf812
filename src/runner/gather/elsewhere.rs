//! Questions about paths of other hosts: each of these hosts is asked once, all of them at once.

use std::collections::BTreeMap;

use tokio::task::JoinSet;

use super::{Fleet, ask_shell};
use crate::model::{Answers, ProbeError, Query};
use crate::names::HostName;

/// Asks all these questions; a host that cannot be read is the reason of each of its answers.
pub(super) async fn ask_elsewhere(fleet: &Fleet, queries: &[&Query]) -> Answers {
    let mut by_host: BTreeMap<&HostName, Vec<Query>> = BTreeMap::new();
    for query in queries {
        if let Query::At { host, query } = query {
            by_host.entry(host).or_default().push((**query).clone());
        }
    }
    let mut asking = JoinSet::new();
    for (name, queries) in by_host {
        let (name, host) = (name.clone(), fleet.host(name).await);
        asking.spawn(async move {
            let asked: Vec<&Query> = queries.iter().collect();
            let answers = match host {
                Ok(host) => ask_shell(&host, &asked).await,
                Err(error) => Err(error),
            };
            (name, answers.map_err(|error| error.to_string()), queries)
        });
    }
    let mut all = Answers::default();
    while let Some(asked) = asking.join_next().await {
        let Ok((name, answers, queries)) = asked else {
            continue;
        };
        for query in queries {
            let answer = match &answers {
                Ok(answers) => answers.get(&query).cloned(),
                Err(why) => Err(ProbeError::Elsewhere(format!(
                    "{name} cannot be read: {why}"
                ))),
            };
            all.insert(query.at(&name), answer);
        }
    }
    all
}
