//! `certificate`: a certificate for a server of this host, signed by an authority of its own. Both
//! are created on the host and renewed before they expire. The keys never leave the host: no key is
//! ever on the operator's machine, in a plan, or on the network.

mod probe;
#[cfg(test)]
mod tests;

use serde::Deserialize;

use super::AbsolutePath;
use super::hosts_entry::is_host_name;
use crate::base::path_script;
use crate::model::{
    Action, Change, DisplayValue, HostAnswers, HostContext, HostFacts, InvalidField, Observation,
    PathState, PathType, ProbeError, Query, Refusal, ResourceKind, ShellQuery, Step,
};
use crate::swarm::CertificateValidity;

const ISSUE: &str = include_str!("issue.sh");
const DAY: u64 = 86_400;

/// Files `ca.crt`, `ca.key`, `server.crt` and `server.key` in a directory; only root can read the
/// keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateResource {
    /// Directory of the four files.
    directory: AbsolutePath,
    /// Host names and addresses that the server answers to.
    names: Vec<String>,
    /// Validity of the certificate in days. Default 365.
    #[serde(default = "default_days")]
    days: u32,
    /// Number of remaining days below which the certificate is renewed. Default 30.
    #[serde(default = "default_renew")]
    renew_before: u32,
    /// Validity of the authority in days. Default 3650.
    #[serde(default = "default_authority_days")]
    authority_days: u32,
}

fn default_days() -> u32 {
    365
}
fn default_renew() -> u32 {
    30
}
fn default_authority_days() -> u32 {
    3650
}

/// Observed state of the directory.
#[derive(Debug)]
pub struct CertificateState {
    status: i32,
    until: Option<i64>,
    clock: u64,
    /// Key files that accounts other than root may read, or that root does not own.
    loose: Vec<String>,
}

impl ResourceKind for CertificateResource {
    const NAME: &'static str = "certificate";
    type Observed = CertificateState;

    fn name(&self) -> String {
        self.names.first().cloned().unwrap_or_default()
    }

    fn bind(&mut self, _context: &HostContext<'_>) -> Result<(), InvalidField> {
        if self.names.is_empty() {
            return Err(InvalidField::new("names", "no name is given")
                .hint("write names = [\"registry.dream\"]"));
        }
        for name in &self.names {
            if name.parse::<std::net::IpAddr>().is_err() && !is_host_name(name) {
                return Err(InvalidField::new(
                    "names",
                    format!("{name:?} is neither a host name nor an address"),
                ));
            }
        }
        if self.renew_before >= self.days || self.days > self.authority_days {
            return Err(InvalidField::new(
                "days",
                "renew_before must be below days, and days no more than authority_days",
            )
            .hint("the defaults are 30, 365 and 3650"));
        }
        if self.authority_days > 36_500 {
            return Err(InvalidField::new(
                "authority_days",
                "an authority cannot be valid for over 100 years",
            ));
        }
        Ok(())
    }

    fn queries(&self) -> Vec<Query> {
        vec![
            Query::Shell(ShellQuery::Test {
                script: self.script(),
            }),
            Query::content(self.file("server.crt")),
            Query::path(self.file("server.key")),
            Query::path(self.file("ca.key")),
            Query::Shell(ShellQuery::Facts),
        ]
    }

    fn observe(&self, answers: &HostAnswers) -> Result<Observation<CertificateState>, ProbeError> {
        let facts: &HostFacts = answers.facts()?;
        let certificate = answers.path(&self.file("server.crt"))?;
        let content = certificate.and_then(|file: &PathState| file.content.as_deref());
        let mut loose = Vec::new();
        for name in ["ca.key", "server.key"] {
            let file = answers.path(&self.file(name))?;
            if file.is_some_and(|file| {
                file.kind != PathType::File || file.uid != 0 || file.mode & 0o077 != 0
            }) {
                loose.push(name.to_owned());
            }
        }
        Ok(Observation::Known(CertificateState {
            status: *answers.test(&self.script())?,
            until: content
                .and_then(CertificateValidity::read)
                .map(|validity| validity.until),
            clock: facts.clock,
            loose,
        }))
    }

    fn plan(&self, seen: &CertificateState) -> Result<Option<Change>, Refusal> {
        if seen.status == probe::UNSAFE {
            return Err(Refusal {
                why: format!(
                    "an account other than root can replace the files in {}, and with them the key of the authority",
                    self.directory
                ),
                hint: "name a directory that only root can write, as its parents, for example /etc/tls".into(),
            });
        }
        if seen.status == probe::NO_OPENSSL {
            // An earlier package resource of the playbook may install openssl before this step
            // runs; otherwise the step fails.
            return Ok(Some(self.change(seen).note(
                "openssl is not installed yet: add package = { name = \"openssl\" } before this resource",
            )));
        }
        if seen.status == 0 && seen.loose.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.change(seen)))
    }
}

impl CertificateResource {
    fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.directory)
    }

    fn script(&self) -> String {
        probe::script(
            self.directory.as_str(),
            &self.names,
            u64::from(self.renew_before) * DAY,
        )
    }

    fn change(&self, seen: &CertificateState) -> Change {
        if seen.status == 0 {
            let mut change = Change::new(Action::Update);
            for name in &seen.loose {
                change = change
                    .field(
                        format!("{name} is for"),
                        DisplayValue::text("more than root"),
                        DisplayValue::text("root alone"),
                    )
                    .step(Step::script(
                        format!("restrict {} to root", self.file(name)),
                        path_script("keep_file \"$1\" 0:0 0600\n"),
                        [self.file(name)],
                    ));
            }
            return change.note(
                "other accounts may have copied the key: remove it and its certificate to get new ones",
            );
        }
        let all = seen.status < probe::CERTIFICATE || seen.status == probe::NO_OPENSSL;
        let is_new = seen.until.is_none();
        let mut change = Change::new(if is_new {
            Action::Create
        } else {
            Action::Update
        });
        let before = |is_new: bool| {
            if is_new {
                DisplayValue::Absent
            } else {
                DisplayValue::text(probe::words(seen.status))
            }
        };
        if all {
            change = change.field(
                "authority",
                before(matches!(seen.status, 10 | probe::NO_OPENSSL)),
                DisplayValue::text(format!("new, for {} days", self.authority_days)),
            );
            if !is_new {
                change = change.note("the authority is new: every host that trusted the old authority must get it (`registry` does that)");
            }
        }
        let left = |until: i64| {
            let days = (until - i64::try_from(seen.clock).unwrap_or(i64::MAX))
                / i64::try_from(DAY).unwrap_or(1);
            let why = if all {
                "signed by another authority"
            } else {
                probe::words(seen.status)
            };
            format!("{why} ({days} days left)")
        };
        change = change.field(
            "certificate",
            seen.until.map_or(DisplayValue::Absent, |until| {
                DisplayValue::text(left(until))
            }),
            DisplayValue::text(format!("for {} days: {}", self.days, self.names.join(", "))),
        );
        let mut arguments = vec![
            self.directory.to_string(),
            if all {
                "all".into()
            } else {
                "certificate".into()
            },
            self.days.to_string(),
            self.authority_days.to_string(),
        ];
        arguments.extend(self.names.iter().cloned());
        let what = if all {
            "make an authority and a certificate"
        } else {
            "make a certificate"
        };
        change.step(Step::script(
            format!("{what} in {}", self.directory),
            path_script(ISSUE),
            arguments,
        ))
    }
}
