//! Questions about paths of other hosts: each of these hosts is asked once, all of them at once.

use std::collections::BTreeMap;

use super::{Fleet, query_shell};
use crate::model::{HostAnswers, ProbeError, Query, ShellQuery};
use crate::names::HostName;
use crate::runner::fan_out;

/// Asks all these questions; a host that cannot be read is the reason of each of its answers.
pub(super) async fn query_other_hosts(
    fleet: &Fleet,
    queries: &[(&HostName, &ShellQuery)],
) -> HostAnswers {
    let mut by_host: BTreeMap<&HostName, Vec<ShellQuery>> = BTreeMap::new();
    for (host, query) in queries {
        by_host.entry(host).or_default().push((*query).clone());
    }
    let mut asked = Vec::new();
    for (name, queries) in by_host {
        asked.push((name.clone(), fleet.host(name).await, queries));
    }
    let answered = fan_out(
        asked.clone(),
        asked.len(),
        |(_, host, queries)| async move {
            let queries: Vec<&ShellQuery> = queries.iter().collect();
            query_shell(host?.as_ref(), &queries).await
        },
    )
    .await;
    let mut all = HostAnswers::default();
    for ((name, _, queries), answers) in asked.into_iter().zip(answered) {
        for query in queries {
            let answer = match &answers {
                Ok(Ok(answers)) => answers.get(&Query::Shell(query.clone())).cloned(),
                Ok(Err(error)) => Err(ProbeError::Elsewhere(format!(
                    "{name} cannot be read: {error}"
                ))),
                Err(panic) => Err(ProbeError::Failed {
                    what: format!("paths of {name}"),
                    why: format!("{}; {}", panic.why(&name), panic.hint()),
                }),
            };
            all.insert(query.at(&name), answer);
        }
    }
    all
}
