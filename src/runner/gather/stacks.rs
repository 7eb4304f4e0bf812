//! Asks what deploying stacks would do: runs the `docker` command of this machine behind a proxy
//! that passes nothing but reads to
//! a manager.

use std::sync::Arc;
use std::time::Duration;

use super::Fleet;
use crate::docker::{DockerProxy, EmptySwarm, ProxyReader, RecordedWrite, run_stack_deploy};
use crate::model::{
    DeployPreview, HostAnswers, ProbeError, Query, QueryAnswer, StackAnswer, StackQuestion,
    StackWrite,
};
use crate::runner::fan_out;
use crate::transport::TransportError;

/// Limit of time for one preview.
const PREVIEW_TIMEOUT: Duration = Duration::from_secs(120);

/// Previews at the same time: where a login may not use the Engine's socket, each takes one of the
/// ten sessions that sshd allows.
const AT_ONCE: usize = 5;

/// Asks all these questions, several at once.
pub(super) async fn query_stacks(fleet: &Fleet, stacks: &[&StackQuestion]) -> HostAnswers {
    let (mut questions, mut previews) = (Vec::new(), Vec::new());
    for question in stacks {
        let reads: Result<Arc<dyn ProxyReader>, TransportError> = match question.managers.first() {
            // The command asks one thing after the other: each preview gets a stream of its own, so
            // that they do not queue up.
            Some(manager) => fleet
                .host(manager)
                .await
                .map(|host| Arc::new(host.with_own_stream()) as Arc<dyn ProxyReader>),
            None => Ok(Arc::new(EmptySwarm)),
        };
        questions.push(*question);
        previews.push(((*question).clone(), reads));
    }
    let previewed = fan_out(previews, AT_ONCE, |(question, reads)| async move {
        preview(reads?, &question).await
    })
    .await;
    let mut answers = HostAnswers::default();
    for (question, result) in questions.into_iter().zip(previewed) {
        let answer = match result {
            Ok(Ok(answer)) => Ok(QueryAnswer::Stack(answer)),
            Ok(Err(error)) => Err(trouble(question, &error)),
            Err(panic) => Err(ProbeError::Failed {
                what: what(question),
                why: format!("{panic}; {}", panic.hint()),
            }),
        };
        answers.insert(Query::Preview(question.clone()), answer);
    }
    answers
}

fn what(question: &StackQuestion) -> String {
    format!(
        "what `docker stack deploy {}` would do",
        question.deployment.name
    )
}

fn trouble(question: &StackQuestion, error: &TransportError) -> ProbeError {
    let hint = if *error == TransportError::NoClient {
        format!(": {}", error.hint())
    } else {
        String::new()
    };
    ProbeError::Failed {
        what: what(question),
        why: format!("{error}{hint}"),
    }
}

async fn preview(
    reads: Arc<dyn ProxyReader>,
    question: &StackQuestion,
) -> Result<StackAnswer, TransportError> {
    let proxy = Arc::new(DockerProxy::preview(reads));
    let said = match run_stack_deploy(&proxy, &question.deployment, PREVIEW_TIMEOUT).await? {
        Ok(said) => said,
        Err(said) => return Ok(StackAnswer::Refused(said)),
    };
    let write = |write: RecordedWrite| StackWrite {
        method: write.method,
        path: write.path,
        body: write.body,
    };
    let writes = proxy.recorded().into_iter().map(write).collect();
    Ok(StackAnswer::Previewed(DeployPreview {
        writes,
        missing: proxy.missing(),
        said,
    }))
}
