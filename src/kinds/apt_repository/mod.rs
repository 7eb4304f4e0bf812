//! `apt_repository`: a repository as a deb822 file with its own key (`Signed-By`). Older entries
//! for the repository in other files are removed. Its package lists are fetched at once, so that a
//! wrong address or key fails this resource.

mod key;
mod leftover;
mod openpgp;
mod plan;

use serde::Deserialize;

use super::DesiredState;
use crate::model::{
    AptSourceFile, Change, HostAnswers, HostContext, HostFacts, InvalidField, Observation,
    PathState, PathType, ProbeError, Query, Refusal, ResourceKind, ShellQuery,
};
use key::{KeySource, RepositoryKey};

/// A repository of Debian packages.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AptRepositoryResource {
    /// Name of the repository's files: /etc/apt/sources.list.d/NAME.sources and
    /// /etc/apt/keyrings/NAME.asc.
    name: String,
    /// Address: `https://`, `http://` or `file:/`.
    #[serde(default)]
    uri: String,
    /// Suite, or an exact path that ends in `/`. Default: the release's code name, e.g. `noble`.
    suite: Option<String>,
    /// Components. Default `["main"]`; left out with an exact path.
    #[serde(default = "main_component")]
    components: Vec<String>,
    /// Architectures. Default: dpkg's own architecture.
    #[serde(default)]
    architectures: Vec<String>,
    /// Key: `{ url = ... }` (the host fetches it if it has no key yet), `{ file = ... }` or
    /// `{ inline = ... }`. Default: the keys that apt trusts already.
    key: Option<KeySource>,
    /// `"present"` (default) or `"absent"` (removes the repository's own files).
    #[serde(default)]
    state: DesiredState,
    /// Checked key; set by [`ResourceKind::bind`].
    #[serde(skip)]
    bound_key: Option<RepositoryKey>,
}

fn main_component() -> Vec<String> {
    vec!["main".to_owned()]
}

/// Observed files of the repository.
#[derive(Debug)]
pub struct AptRepositoryState {
    facts: Option<HostFacts>,
    sources: Option<PathState>,
    key: Option<PathState>,
    /// Existing files of other names that hold an older key.
    old_keys: Vec<String>,
    files: Vec<AptSourceFile>,
    /// True if apt has fetched the package lists; `None` if the file names cannot tell.
    fetched: Option<bool>,
}

impl ResourceKind for AptRepositoryResource {
    const NAME: &'static str = "apt_repository";
    type Observed = AptRepositoryState;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn bind(&mut self, context: &HostContext<'_>) -> Result<(), InvalidField> {
        // Apt ignores files with other characters (sources.list(5)).
        check_words("name", [&self.name], |one| {
            one.is_ascii_alphanumeric() || matches!(one, '_' | '-' | '.')
        })?;
        if self.state == DesiredState::Absent {
            return Ok(());
        }
        check_uri("uri", &self.uri, &["https://", "http://", "file:/"])?;
        let word = |one: char| {
            one.is_ascii_alphanumeric() || matches!(one, '_' | '-' | '.' | '/' | '~' | '+')
        };
        check_words("suite", &self.suite, word)?;
        check_words("components", &self.components, word)?;
        check_words("architectures", &self.architectures, |one| {
            one.is_ascii_alphanumeric() || one == '-'
        })?;
        if self.components.is_empty() && !self.is_exact() {
            return Err(
                InvalidField::new("components", "a suite has at least one component")
                    .hint("write components = [\"main\"], or a suite that ends in \"/\""),
            );
        }
        self.bound_key = self.key.as_ref().map(|key| key.bind(context)).transpose()?;
        Ok(())
    }

    fn warnings(&self) -> Vec<String> {
        self.unsafe_key().into_iter().collect()
    }

    fn queries(&self) -> Vec<Query> {
        let mut queries = vec![Query::content(self.sources_path())];
        queries.extend(self.key_path().map(Query::content));
        queries.extend(self.old_key_paths().into_iter().map(Query::path));
        queries.push(Query::Shell(ShellQuery::AptSources));
        if self.state == DesiredState::Present {
            queries.extend([
                Query::Shell(ShellQuery::Facts),
                Query::Shell(ShellQuery::AptLists),
            ]);
        }
        queries
    }

    fn observe(&self, answers: &HostAnswers) -> Result<Observation<Self::Observed>, ProbeError> {
        let present = self.state == DesiredState::Present;
        let facts = if present {
            Some(answers.facts()?.clone())
        } else {
            None
        };
        let fetched = match facts.as_ref().and_then(|facts| self.list_names(facts)) {
            None => None,
            Some(names) => Some(answers.apt_lists()?.iter().any(|list| names.contains(list))),
        };
        let mut old_keys = Vec::new();
        for path in self.old_key_paths() {
            if answers.path(&path)?.is_some() {
                old_keys.push(path);
            }
        }
        let path = |path: &str| answers.path(path).map(|state| state.cloned());
        Ok(Observation::Known(AptRepositoryState {
            sources: path(&self.sources_path())?,
            key: self.key_path().map(|key| path(&key)).transpose()?.flatten(),
            files: answers.apt_sources()?.clone(),
            facts,
            old_keys,
            fetched,
        }))
    }

    fn plan(&self, observed: &Self::Observed) -> Result<Option<Change>, Refusal> {
        let files = [&observed.sources, &observed.key];
        if let Some(other) = files
            .into_iter()
            .flatten()
            .find(|path| path.kind != PathType::File)
        {
            let what = other.kind.with_article();
            return Err(Refusal {
                why: format!(
                    "{what} is in the place of a file of the repository {}",
                    self.name
                ),
                hint: format!(
                    "check {} and the files below {KEYRINGS}",
                    self.sources_path()
                ),
            });
        }
        match &observed.facts {
            Some(facts) if self.suite.is_none() && facts.base_codename.is_empty() => Err(Refusal {
                why: format!(
                    "{} {} is not supported: skep does not know the release of Debian or Ubuntu that it derives from",
                    facts.id, facts.codename
                ),
                hint: format!("write `uri` and `suite` of {} for that release", self.name),
            }),
            Some(facts) => plan::present(self, observed, facts),
            None => Ok(plan::absent(self, observed)),
        }
    }
}

/// Directory of the keys of repositories (sources.list(5)).
const KEYRINGS: &str = "/etc/apt/keyrings";

impl AptRepositoryResource {
    /// Returns the warning about a key that anybody on the way to the host could replace.
    fn unsafe_key(&self) -> Option<String> {
        match self.bound_key.as_ref()? {
            RepositoryKey::Fetched { url, fingerprints }
                if url.starts_with("http://") && fingerprints.is_empty() =>
            {
                Some(format!(
                    "the key of the repository {} is fetched over http:// without a `fingerprint`: anybody on the way could give the host another key",
                    self.name
                ))
            }
            _ => None,
        }
    }

    fn sources_path(&self) -> String {
        format!("/etc/apt/sources.list.d/{}.sources", self.name)
    }

    fn list_path(&self) -> String {
        format!("/etc/apt/sources.list.d/{}.list", self.name)
    }

    fn key_path(&self) -> Option<String> {
        let extension = if self.bound_key.as_ref()?.is_armoured() {
            "asc"
        } else {
            "gpg"
        };
        Some(format!("{KEYRINGS}/{}.{extension}", self.name))
    }

    /// Returns the paths at which an earlier setup may have left keys of the same name.
    fn old_key_paths(&self) -> Vec<String> {
        let own = self.key_path();
        let folders = [KEYRINGS, "/etc/apt/trusted.gpg.d"];
        let paths = folders
            .iter()
            .flat_map(|folder| ["asc", "gpg"].map(|end| format!("{folder}/{}.{end}", self.name)));
        // If the repository has no key of its own, a key file of its name may be a key that apt is
        // meant to trust.
        paths
            .filter(|path| {
                Some(path) != own.as_ref() && (own.is_some() || self.state == DesiredState::Absent)
            })
            .collect()
    }

    fn suite<'a>(&'a self, facts: &'a HostFacts) -> &'a str {
        self.suite.as_deref().unwrap_or(&facts.base_codename)
    }

    fn is_exact(&self) -> bool {
        self.suite
            .as_ref()
            .is_some_and(|suite| suite.ends_with('/'))
    }

    /// Returns the content of the deb822 file (sources.list(5)).
    fn sources(&self, facts: &HostFacts) -> String {
        let mut lines = vec![
            "# Managed by skep: changes made here are undone.".to_owned(),
            "Types: deb".to_owned(),
            format!("URIs: {}", self.uri),
            format!("Suites: {}", self.suite(facts)),
        ];
        if !self.is_exact() {
            lines.push(format!("Components: {}", self.components.join(" ")));
        }
        let own = [facts.architecture.clone()];
        let architectures = if self.architectures.is_empty() {
            &own[..]
        } else {
            &self.architectures
        };
        lines.push(format!("Architectures: {}", architectures.join(" ")));
        lines.extend(self.key_path().map(|key| format!("Signed-By: {key}")));
        lines.join("\n") + "\n"
    }

    /// Returns the names under which apt stores the repository's signed index, by apt's rules for
    /// names (`URItoFileName`); `None` if this address or suite is not covered.
    fn list_names(&self, facts: &HostFacts) -> Option<[String; 2]> {
        let address = self
            .uri
            .strip_prefix("https://")
            .or_else(|| self.uri.strip_prefix("http://"))?;
        let name = format!(
            "{}/dists/{}",
            address.trim_end_matches('/'),
            self.suite(facts)
        );
        let plain = |one: char| {
            one.is_ascii_alphanumeric() || matches!(one, '.' | '-' | ':' | '/' | '_' | '~')
        };
        if self.is_exact() || !name.chars().all(plain) {
            return None;
        }
        let name = name
            .replace('_', "%5f")
            .replace('~', "%7e")
            .replace('/', "_");
        Some(["InRelease", "Release"].map(|end| format!("{name}_{end}")))
    }
}

fn check_words<'a>(
    field: &str,
    words: impl IntoIterator<Item = &'a String>,
    allowed: impl Fn(char) -> bool,
) -> Result<(), InvalidField> {
    for word in words {
        let begins = word.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '.');
        if !begins || word.starts_with("..") || word.len() > 128 || !word.chars().all(&allowed) {
            return Err(
                InvalidField::new(field, format!("{word:?} cannot be used here"))
                    .hint("write letters, digits and signs such as \"-\", without spaces"),
            );
        }
    }
    Ok(())
}

/// Checks an address: no spaces, quotes or brackets (they would break apt's files) and no password
/// (every account may read those files).
fn check_uri(field: &str, uri: &str, schemes: &[&str]) -> Result<(), InvalidField> {
    let allowed = |one: char| one.is_ascii_graphic() && !"\"'`\\<>[]{}|^#@$;".contains(one);
    let scheme = schemes
        .iter()
        .find(|scheme| uri.starts_with(**scheme) && uri.len() > scheme.len());
    if scheme.is_none() || !uri.chars().all(allowed) || uri.len() > 2000 {
        return Err(InvalidField::new(
            field,
            format!("{uri:?} is not the address of a repository or key"),
        )
        .hint(format!(
            "an address begins with {}, and has no spaces, quotes or password",
            schemes.join(" or ")
        )));
    }
    Ok(())
}

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
