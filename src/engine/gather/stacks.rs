//! Asks what deploying stacks would do: runs the `docker` command of this machine behind a gate that passes nothing but reads to
//! a manager.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::Fleet;
use crate::engine::stack_client;
use crate::resource::{Answer, Answers, Preview, ProbeError, Query, StackAnswer, StackQuestion, StackWrite};
use crate::transport::{BlankSwarm, Gate, GateReads, Recorded, TransportError};

/// Limit of time for one preview.
const PREVIEW_TIMEOUT: Duration = Duration::from_secs(120);

/// Asks all these questions at once.
pub(super) async fn ask_stacks(fleet: &Fleet, queries: &[&Query]) -> Answers {
    let mut asking = JoinSet::new();
    let mut answers = Answers::default();
    for query in queries {
        let Query::Stack(question) = query else { continue };
        let reads: Result<Arc<dyn GateReads>, TransportError> = match question.managers.first() {
            Some(manager) => fleet.host(manager).await.map(|host| host as Arc<dyn GateReads>),
            None => Ok(Arc::new(BlankSwarm)),
        };
        let (query, question) = ((*query).clone(), question.clone());
        asking.spawn(async move {
            let answer = match reads {
                Ok(reads) => preview(reads, &question).await,
                Err(error) => Err(error),
            };
            let answer = answer.map(Answer::Stack).map_err(|error| trouble(&question, &error));
            (query, answer)
        });
    }
    while let Some(asked) = asking.join_next().await {
        if let Ok((query, answer)) = asked {
            answers.insert(query, answer);
        }
    }
    answers
}

fn trouble(question: &StackQuestion, error: &TransportError) -> ProbeError {
    let what = format!("what `docker stack deploy {}` would do", question.deployment.name);
    let hint = if *error == TransportError::NoClient { format!(": {}", error.hint()) } else { String::new() };
    ProbeError::Failed { what, why: format!("{error}{hint}") }
}

async fn preview(reads: Arc<dyn GateReads>, question: &StackQuestion) -> Result<StackAnswer, TransportError> {
    let gate = Arc::new(Gate::preview(reads));
    let said = match stack_client::run(&gate, &question.deployment, PREVIEW_TIMEOUT).await? {
        Ok(said) => said,
        Err(said) => return Ok(StackAnswer::Refused(said)),
    };
    let write = |write: Recorded| StackWrite { method: write.method, path: write.path, body: write.body };
    let writes = gate.recorded().into_iter().map(write).collect();
    Ok(StackAnswer::Previewed(Preview { writes, missing: gate.missing(), said }))
}
