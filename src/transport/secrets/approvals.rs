//! Asks the operator about unknown host keys. Hosts connect at the same time, so their keys are
//! collected for a moment and shown in one question.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::SecretPrompt;

/// Time for which keys of further hosts are collected before a question.
const COLLECTING: Duration = Duration::from_millis(400);

/// Questions that wait for an answer.
#[derive(Default)]
pub(super) struct HostKeyApprovals {
    // `waiting` is locked for moments only; `asking` is locked while the user is prompted.
    waiting: Mutex<Vec<WaitingKey>>,
    asking: tokio::sync::Mutex<()>,
}

struct WaitingKey {
    line: String,
    answer: oneshot::Sender<bool>,
}

impl HostKeyApprovals {
    /// Returns true if the user trusts the key. `line` names the host and the fingerprint.
    pub(super) async fn approve(&self, asker: &dyn SecretPrompt, line: String) -> bool {
        let (answer, mut answered) = oneshot::channel();
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(WaitingKey { line, answer });
        let _one_at_a_time = self.asking.lock().await;
        // The question of another host may have covered this one.
        if let Ok(trusted) = answered.try_recv() {
            return trusted;
        }
        tokio::time::sleep(COLLECTING).await;
        let batch =
            std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let trusted = asker.confirm(&question(&batch)).await;
        for key in batch {
            // A host that no longer waits needs no answer.
            let _ = key.answer.send(trusted);
        }
        answered.try_recv().unwrap_or(false)
    }
}

fn question(batch: &[WaitingKey]) -> String {
    let mut lines: Vec<&str> = batch.iter().map(|key| key.line.as_str()).collect();
    lines.sort_unstable();
    let (what, these) = match lines.len() {
        1 => ("This host key is".to_owned(), "this key"),
        count => (format!("These {count} host keys are"), "these keys"),
    };
    format!(
        "{what} not known:\n  {}\nTrust and store {these}?",
        lines.join("\n  ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::SecretString;
    use std::sync::Arc;

    /// Answers with yes if the question names `web1`, and counts the questions.
    #[derive(Default)]
    struct CountingPrompt(Mutex<Vec<String>>);

    #[async_trait::async_trait]
    impl SecretPrompt for CountingPrompt {
        async fn ask(&self, _: &str) -> Option<SecretString> {
            None
        }

        async fn confirm(&self, question: &str) -> bool {
            let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            asked.push(question.to_owned());
            question.contains("web1")
        }
    }

    #[tokio::test]
    async fn hosts_share_one_question() {
        let (approvals, prompt) = (
            Arc::new(HostKeyApprovals::default()),
            CountingPrompt::default(),
        );
        let prompt = Arc::new(prompt);
        let ask = |name: &str| {
            let (approvals, prompt, line) = (approvals.clone(), prompt.clone(), name.to_owned());
            tokio::spawn(async move { approvals.approve(&*prompt, line).await })
        };
        let answers = [
            ask("web1 SHA256:a"),
            ask("web2 SHA256:b"),
            ask("web3 SHA256:c"),
        ];
        for answer in answers {
            assert!(answer.await.unwrap_or_default());
        }
        assert!(!ask("db SHA256:d").await.unwrap_or(true));
        let asked = prompt.0.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(
            *asked,
            [
                "These 3 host keys are not known:\n  web1 SHA256:a\n  web2 SHA256:b\n  web3 SHA256:c\nTrust and store these keys?",
                "This host key is not known:\n  db SHA256:d\nTrust and store this key?",
            ]
        );
    }
}
