//! Join tokens in the baseline: detects tokens that changed since the last `apply`. A token is read
//! from a manager, made into a digest at once, and kept only as a digest keyed by the host's own
//! record (docs/decisions/0030). No output shows a token.

use serde_json::{Value, json};

use crate::model::{DefinitionDigest, DisplayValue, FieldChange};
use crate::names::HostName;
use crate::runner::{Baseline, BaselineEntry};
use crate::swarm::NodeRole;

/// Path of the Docker API that returns the tokens.
pub(super) const PATH: &str = "/swarm";

/// Digests of both tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TokenDigests([(NodeRole, DefinitionDigest); 2]);

impl TokenDigests {
    /// Reads a manager's answer to `GET /swarm`; `None` when it contains no tokens.
    pub(super) fn read(body: &Value) -> Option<Self> {
        let digest = |role: NodeRole| {
            let token = body
                .pointer(role.token_pointer())?
                .as_str()
                .filter(|token| !token.is_empty())?;
            Some((
                role,
                DefinitionDigest::of("join_token", &json!(token), &[], role.word()),
            ))
        };
        Some(Self([
            digest(NodeRole::Manager)?,
            digest(NodeRole::Worker)?,
        ]))
    }

    /// Returns the entries for this manager's record.
    pub(super) fn baseline_entries(&self, host: &HostName) -> impl Iterator<Item = BaselineEntry> {
        let host = host.clone();
        self.0
            .into_iter()
            .map(move |(role, definition)| BaselineEntry {
                host: host.clone(),
                id: id(role),
                definition,
            })
    }

    /// Returns the tokens that differ from the record of every manager. One `apply` may have
    /// reached some managers only: a token counts as known when any record contains it, and is not
    /// reported when no record has any.
    pub(super) fn rotated<'a>(
        &self,
        managers: impl Iterator<Item = &'a HostName> + Clone,
        memory: &dyn Baseline,
    ) -> Vec<FieldChange> {
        let is_new = |(role, definition): &&(NodeRole, DefinitionDigest)| {
            let known: Vec<bool> = managers
                .clone()
                .filter_map(|host| memory.matches(host, &id(*role), definition))
                .collect();
            !known.is_empty() && !known.contains(&true)
        };
        let field = |(role, _): &(NodeRole, DefinitionDigest)| FieldChange {
            field: format!("join token of {}s", role.word()),
            before: DisplayValue::text("rotated"),
            after: DisplayValue::text("same as at the last apply"),
        };
        self.0.iter().filter(is_new).map(field).collect()
    }
}

/// Returns the name of the token in the record.
fn id(role: NodeRole) -> String {
    format!("the join token of {}s", role.word())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use super::*;
    use crate::swarm::samples::host;

    /// Content of each manager's record.
    struct Records(BTreeMap<HostName, TokenDigests>);

    impl Baseline for Records {
        fn matches(
            &self,
            host: &HostName,
            id: &str,
            definition: &DefinitionDigest,
        ) -> Option<bool> {
            let mut kept = self.0.get(host)?.baseline_entries(host);
            kept.find(|baseline_entry| baseline_entry.id == id)
                .map(|baseline_entry| baseline_entry.definition == *definition)
        }
    }

    fn tokens(manager: &str, worker: &str) -> TokenDigests {
        TokenDigests::read(
            &json!({ "ID": "c1", "JoinTokens": { "Manager": manager, "Worker": worker } }),
        )
        .unwrap()
    }

    fn fields(now: &TokenDigests, records: &[(&str, TokenDigests)]) -> Vec<String> {
        let records = Records(
            records
                .iter()
                .map(|(name, tokens)| (host(name), *tokens))
                .collect(),
        );
        let managers = [host("docker01"), host("docker02")];
        now.rotated(managers.iter(), &records)
            .into_iter()
            .map(|field| field.field)
            .collect()
    }

    #[test]
    fn token_is_rotated_when_records_exist_and_none_matches() {
        let (old, new) = (tokens("m1", "w1"), tokens("m1", "w2"));
        assert_eq!(
            fields(&new, &[("docker01", old)]),
            ["join token of workers"]
        );
        assert_eq!(fields(&tokens("m2", "w2"), &[("docker01", old)]).len(), 2);
        assert!(fields(&old, &[("docker01", old)]).is_empty());
        assert!(
            fields(&new, &[("docker01", old), ("docker02", new)]).is_empty(),
            "one manager missed the last apply"
        );
        assert!(fields(&new, &[]).is_empty(), "nobody ever applied");
    }

    #[test]
    fn answer_without_tokens_is_none_and_tokens_are_never_printed() {
        assert_eq!(
            TokenDigests::read(&json!({ "message": "This node is not a swarm manager." })),
            None
        );
        assert_eq!(
            TokenDigests::read(&json!({ "JoinTokens": { "Manager": "", "Worker": "" } })),
            None
        );
        let shown = format!("{:?}", tokens("SWMTKN-1-secret", "SWMTKN-1-other"));
        assert!(!shown.contains("SWMTKN"), "{shown}");
        assert_ne!(
            tokens("a", "b"),
            tokens("b", "a"),
            "a worker token is not a manager token"
        );
    }
}
