//! Facts about versions of Docker Engine: mixes that do not work together, changes of behaviour,
//! and fixes. The table is in the binary, has a date, and a file can replace it.

use serde::Deserialize;

mod version;

use version::VersionRange;
pub use version::{EngineVersion, upstream};

/// The table in the binary.
const TABLE: &str = include_str!("table.toml");

/// The table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineFacts {
    /// Day on which the table was last checked, `YYYY-MM-DD`.
    pub date: String,
    /// The facts.
    #[serde(default)]
    facts: Vec<EngineFact>,
}

/// One fact.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EngineFact {
    name: String,
    kind: EngineFactKind,
    ranges: Vec<String>,
    #[serde(default)]
    only_with: Option<FactCondition>,
    text: String,
    source: String,
    #[serde(skip)]
    parsed: Vec<VersionRange>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum EngineFactKind {
    Mix,
    Change,
    Minimum,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum FactCondition {
    #[serde(rename = "encrypted-network")]
    EncryptedNetwork,
}

/// A risk of an upgrade that needs the consent of the operator.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequiredConsent {
    /// Name for `--accept`.
    pub name: String,
    /// The risk, in one sentence.
    pub why: String,
}

/// Judgement of one transition.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct FactVerdict {
    /// Risks that need consent.
    pub consents: Vec<RequiredConsent>,
    /// Notes for the plan.
    pub notes: Vec<String>,
}

impl EngineFacts {
    /// Returns the table in the binary.
    ///
    /// # Errors
    /// Never, except for a defect of skep.
    pub fn built_in() -> Result<Self, String> {
        Self::parse(TABLE)
    }

    /// Reads a table.
    ///
    /// # Errors
    /// A sentence about the first error.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut table: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        for fact in &mut table.facts {
            let ranges = fact.ranges.iter().map(|range| VersionRange::parse(range));
            let ranges = ranges.collect::<Result<_, _>>();
            fact.parsed = ranges.map_err(|why| format!("fact {}: {why}", fact.name))?;
        }
        Ok(table)
    }

    /// Returns the fixes that a running Engine lacks, each with its source. A build of a
    /// distribution (`26.1.5+dfsg1`) may have them under its own version, so none is returned for
    /// it.
    #[must_use]
    pub fn missing_fixes(&self, running: &str) -> Vec<String> {
        let Some(version) = EngineVersion::parse(running).filter(|_| !running.contains('+')) else {
            return Vec::new();
        };
        let lacks = |fact: &&EngineFact| {
            fact.kind == EngineFactKind::Minimum
                && fact.parsed.iter().any(|range| range.contains(version))
        };
        let facts = self.facts.iter().filter(lacks);
        facts
            .map(|fact| format!("{} ({})", fact.text, fact.source))
            .collect()
    }

    /// Judges an upgrade of an Engine. `is_encrypted` tells that the swarm has encrypted overlay
    /// networks.
    #[must_use]
    pub fn judge(&self, from: &str, to: &str, is_encrypted: bool) -> FactVerdict {
        let mut verdict = FactVerdict::default();
        let (Some(from), Some(to)) = (EngineVersion::parse(from), EngineVersion::parse(to)) else {
            return verdict;
        };
        for fact in &self.facts {
            if fact.only_with == Some(FactCondition::EncryptedNetwork) && !is_encrypted {
                continue;
            }
            let within = |version| fact.parsed.iter().any(|range| range.contains(version));
            let text = format!("{} ({}; {})", fact.text, fact.name, fact.source);
            match fact.kind {
                EngineFactKind::Mix if within(from) != within(to) => {
                    verdict.consents.push(RequiredConsent {
                        name: fact.name.clone(),
                        why: format!("{} ({})", fact.text, fact.source),
                    });
                }
                EngineFactKind::Change if within(to) && !within(from) => verdict.notes.push(text),
                EngineFactKind::Minimum if within(to) => verdict.notes.push(text),
                EngineFactKind::Mix | EngineFactKind::Change | EngineFactKind::Minimum => {}
            }
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn names(from: &str, to: &str, is_encrypted: bool) -> (Vec<String>, usize) {
        let verdict = EngineFacts::built_in()
            .unwrap()
            .judge(from, to, is_encrypted);
        let names = verdict.consents.into_iter().map(|one| one.name);
        (names.collect(), verdict.notes.len())
    }

    #[test]
    fn table_in_the_binary() {
        assert_eq!(names("26.1.5", "28.5.2", true), (vec![], 1));
        // Into the ranges, out of them, and between two versions inside.
        let mix = vec!["encrypted-overlay".to_owned()];
        assert_eq!(names("28.5.2", "29.1.0", true), (mix.clone(), 2));
        assert_eq!(names("29.1.0", "29.2.1", true), (mix, 1));
        assert_eq!(names("29.0.0", "29.2.0", true).0, Vec::<String>::new());
        assert_eq!(names("28.5.2", "29.1.0", false).0, Vec::<String>::new());
        assert_eq!(names("29.8.2", "29.10.0", true), (vec![], 1));
        assert_eq!(names("29.10.0", "29.10.1", true), (vec![], 0));
    }

    #[test]
    fn fixes_that_a_running_engine_lacks() {
        let facts = EngineFacts::built_in().unwrap();
        assert_eq!(facts.missing_fixes("29.8.1").len(), 1);
        assert!(facts.missing_fixes("29.8.1")[0].contains("CVE-2026-92543"));
        for fixed in ["29.8.2", "30.0.0", "26.1.5+dfsg1", "dev", ""] {
            assert_eq!(facts.missing_fixes(fixed), Vec::<String>::new(), "{fixed}");
        }
    }

    #[test]
    fn table_of_a_file() {
        let text = "date = '2027-01-01'\n[[facts]]\nname = 'x'\nkind = 'mix'\nranges = ['30.0.0 -']\ntext = 't'\nsource = 's'\n";
        let verdict = EngineFacts::parse(text)
            .unwrap()
            .judge("29.0.0", "30.1.0", false);
        assert_eq!(verdict.consents[0].why, "t (s)");
        for (bad, word) in [
            ("date = 1", "date"),
            ("date = 'x'\nfact = 1", "fact"),
            (&text.replace("30.0.0 -", "thirty"), "thirty"),
            (&text.replace("mix", "blend"), "blend"),
        ] {
            let error = EngineFacts::parse(bad).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
