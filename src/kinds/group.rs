//! `group`: a group of the host's own database. An existing group keeps its number, because files
//! carry the number and would belong to no group after a change.

use serde::Deserialize;

use super::{AccountName, DesiredState};
use crate::model::{
    Action, Change, DisplayValue, GroupState, HostAnswers, HostContext, InvalidField, Observation,
    ProbeError, Query, Refusal, ResourceKind, ShellQuery, Step,
};

/// A group.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupResource {
    /// Name of the group.
    name: AccountName,
    /// Number (GID). Default: the next free number.
    gid: Option<u32>,
    /// Take the number from the range of system groups (below 1000). Only matters when the group is
    /// created. Default `false`.
    #[serde(default)]
    system: bool,
    /// `"present"` (default) or `"absent"`.
    #[serde(default)]
    state: DesiredState,
}

const CREATE: &str = r#"groupadd "$@"
"#;

const REMOVE: &str = r#"groupdel -- "$1"
"#;

impl ResourceKind for GroupResource {
    const NAME: &'static str = "group";
    const IS_LOCAL: bool = true;
    type Observed = Option<GroupState>;

    fn name(&self) -> String {
        self.name.to_string()
    }

    fn bind(&mut self, _context: &HostContext<'_>) -> Result<(), InvalidField> {
        if self.gid == Some(u32::MAX) {
            return Err(
                InvalidField::new("gid", "4294967295 is not the number of a group")
                    .hint("give a smaller number"),
            );
        }
        if self.state == DesiredState::Absent && self.name.as_str() == "root" {
            return Err(InvalidField::new(
                "name",
                "the group root is a part of the system and is not removed",
            ));
        }
        Ok(())
    }

    fn queries(&self) -> Vec<Query> {
        vec![Query::Shell(ShellQuery::Group(self.name.to_string()))]
    }

    fn observe(&self, answers: &HostAnswers) -> Result<Observation<Self::Observed>, ProbeError> {
        Ok(Observation::Known(
            answers.group(self.name.as_str())?.clone(),
        ))
    }

    fn plan(&self, observed: &Self::Observed) -> Result<Option<Change>, Refusal> {
        match (self.state, observed) {
            (DesiredState::Absent, None) => Ok(None),
            (DesiredState::Present, None) => Ok(Some(self.plan_create())),
            (DesiredState::Present, Some(group)) => match self.gid {
                Some(gid) if gid != group.gid => Err(Refusal {
                    why: format!(
                        "the group {} has the number {}, not {gid}",
                        self.name, group.gid
                    ),
                    hint: format!(
                        "change it by hand (groupmod -g {gid} {}) together with the files that carry it",
                        self.name
                    ),
                }),
                _ => Ok(None),
            },
            (DesiredState::Absent, Some(group)) => Ok(Some(self.plan_remove(group))),
        }
    }
}

impl GroupResource {
    fn plan_create(&self) -> Change {
        let mut arguments = Vec::new();
        if self.system {
            arguments.push("--system".to_owned());
        }
        if let Some(gid) = self.gid {
            arguments.extend(["--gid".to_owned(), gid.to_string()]);
        }
        arguments.extend(["--".to_owned(), self.name.to_string()]);
        let gid = self.gid.map_or(DisplayValue::KnownAfterApply, |gid| {
            DisplayValue::text(gid.to_string())
        });
        Change::new(Action::Create)
            .field(
                "name",
                DisplayValue::Absent,
                DisplayValue::text(self.name.to_string()),
            )
            .field("gid", DisplayValue::Absent, gid)
            .step(Step::script(
                format!("add the group {}", self.name),
                CREATE,
                arguments,
            ))
    }

    fn plan_remove(&self, group: &GroupState) -> Change {
        let change = Change::new(Action::Delete)
            .field(
                "name",
                DisplayValue::text(self.name.to_string()),
                DisplayValue::Absent,
            )
            .step(Step::script(
                format!("remove the group {}", self.name),
                REMOVE,
                [self.name.as_str()],
            ));
        if group.members.is_empty() {
            return change;
        }
        let members: Vec<&str> = group.members.iter().map(String::as_str).collect();
        change.note(format!(
            "its members lose the group: {}",
            members.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::trial;
    use super::*;
    use crate::model::{HostAnswers, QueryAnswer};

    fn at(gid: Option<u32>) -> HostAnswers {
        let group = gid.map(|gid| GroupState {
            gid,
            members: ["ann".to_owned()].into(),
        });
        HostAnswers::default().with(
            Query::Shell(ShellQuery::Group("web".into())),
            QueryAnswer::Group(group),
        )
    }

    #[test]
    fn plans_only_differences() {
        let plain: GroupResource = trial::kind("name = 'web'");
        let create = trial::plan(&plain, &at(None)).unwrap();
        assert_eq!(
            (create.action, trial::fields(&create)),
            (
                Action::Create,
                vec!["name: - => web".into(), "gid: - => ?".into()]
            )
        );
        assert_eq!(trial::arguments(&create), [["--", "web"]]);
        assert!(trial::plan(&plain, &at(Some(7))).is_none());

        let fixed: GroupResource = trial::kind("name = 'web'\ngid = 900\nsystem = true");
        assert_eq!(
            trial::arguments(&trial::plan(&fixed, &at(None)).unwrap()),
            [["--system", "--gid", "900", "--", "web"]]
        );
        assert!(trial::plan(&fixed, &at(Some(900))).is_none());
        assert!(trial::refusal(&fixed, &at(Some(7))).why.contains("not 900"));

        let absent: GroupResource = trial::kind("name = 'web'\nstate = 'absent'");
        assert!(trial::plan(&absent, &at(None)).is_none());
        let removal = trial::plan(&absent, &at(Some(7))).unwrap();
        assert_eq!(
            (removal.action, removal.notes),
            (
                Action::Delete,
                vec!["its members lose the group: ann".into()]
            )
        );
    }

    #[test]
    fn bad_input_is_refused() {
        for table in [
            "name = '-f'",
            "name = '$(id)'",
            "name = \"a\\nb\"",
            "name = ''",
            "gid = 1",
            "name = 'a'\ngid = -1",
            "name = 'a'\ngid = 4294967295",
            "name = 'root'\nstate = 'absent'",
            "name = 'a'\nstate = 'gone'",
        ] {
            trial::invalid::<GroupResource>(table);
        }
    }
}
