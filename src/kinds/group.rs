//! `group`: a group of the host's own database. A group that is there keeps its number: files carry numbers, and would
//! belong to nobody after a change.

use serde::Deserialize;

use super::{AccountName, State};
use crate::model::{
    Action, Answers, Change, GroupState, HostContext, Invalid, Kind, Observation, ProbeError,
    Query, Refusal, Shown, Step,
};

/// A group.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Name.
    name: AccountName,
    /// Number. Default: the next free one.
    gid: Option<u32>,
    /// Take the number from the range of system groups (below 1000). Matters only when the group is made. Default
    /// `false`.
    #[serde(default)]
    system: bool,
    /// `"present"` (default) or `"absent"`.
    #[serde(default)]
    state: State,
}

const CREATE: &str = r#"groupadd "$@"
"#;

const REMOVE: &str = r#"groupdel -- "$1"
"#;

impl Kind for Group {
    const NAME: &'static str = "group";
    type Observed = Option<GroupState>;

    fn name(&self) -> String {
        self.name.to_string()
    }

    fn bind(&mut self, _context: &HostContext<'_>) -> Result<(), Invalid> {
        if self.gid == Some(u32::MAX) {
            return Err(
                Invalid::new("gid", "4294967295 is not the number of a group")
                    .hint("give a smaller number"),
            );
        }
        if self.state == State::Absent && self.name.as_str() == "root" {
            return Err(Invalid::new(
                "name",
                "the group root is a part of the system and is not removed",
            ));
        }
        Ok(())
    }

    fn queries(&self) -> Vec<Query> {
        vec![Query::Group(self.name.to_string())]
    }

    fn observe(&self, answers: &Answers) -> Result<Observation<Self::Observed>, ProbeError> {
        Ok(Observation::Known(
            answers.group(self.name.as_str())?.clone(),
        ))
    }

    fn plan(&self, observed: &Self::Observed) -> Result<Option<Change>, Refusal> {
        match (self.state, observed) {
            (State::Absent, None) => Ok(None),
            (State::Present, None) => Ok(Some(self.plan_create())),
            (State::Present, Some(group)) => match self.gid {
                Some(gid) if gid != group.gid => Err(Refusal {
                    why: format!(
                        "the group {} has the number {}, not {gid}",
                        self.name, group.gid
                    ),
                    hint: format!(
                        "change it by hand (groupmod -g {gid} {}) with the files that carry it",
                        self.name
                    ),
                }),
                _ => Ok(None),
            },
            (State::Absent, Some(group)) => Ok(Some(self.plan_remove(group))),
        }
    }
}

impl Group {
    fn plan_create(&self) -> Change {
        let mut arguments = Vec::new();
        if self.system {
            arguments.push("--system".to_owned());
        }
        if let Some(gid) = self.gid {
            arguments.extend(["--gid".to_owned(), gid.to_string()]);
        }
        arguments.extend(["--".to_owned(), self.name.to_string()]);
        let gid = self
            .gid
            .map_or(Shown::KnownAfterApply, |gid| Shown::text(gid.to_string()));
        Change::new(Action::Create)
            .field("name", Shown::Absent, Shown::text(self.name.to_string()))
            .field("gid", Shown::Absent, gid)
            .step(Step::script(
                format!("add the group {}", self.name),
                CREATE,
                arguments,
            ))
    }

    fn plan_remove(&self, group: &GroupState) -> Change {
        let change = Change::new(Action::Delete)
            .field("name", Shown::text(self.name.to_string()), Shown::Absent)
            .step(Step::script(
                format!("remove the group {}", self.name),
                REMOVE,
                [self.name.as_str()],
            ));
        if group.members.is_empty() {
            return change;
        }
        let members: Vec<&str> = group.members.iter().map(String::as_str).collect();
        change.note(format!("its members lose it: {}", members.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::trial;
    use super::*;
    use crate::model::{Answer, Answers};

    fn at(gid: Option<u32>) -> Answers {
        let group = gid.map(|gid| GroupState {
            gid,
            members: ["ann".to_owned()].into(),
        });
        Answers::default().with(Query::Group("web".into()), Answer::Group(group))
    }

    #[test]
    fn plans_what_differs_and_nothing_else() {
        let plain: Group = trial::kind("name = 'web'");
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

        let fixed: Group = trial::kind("name = 'web'\ngid = 900\nsystem = true");
        assert_eq!(
            trial::arguments(&trial::plan(&fixed, &at(None)).unwrap()),
            [["--system", "--gid", "900", "--", "web"]]
        );
        assert!(trial::plan(&fixed, &at(Some(900))).is_none());
        assert!(trial::refusal(&fixed, &at(Some(7))).why.contains("not 900"));

        let absent: Group = trial::kind("name = 'web'\nstate = 'absent'");
        assert!(trial::plan(&absent, &at(None)).is_none());
        let removal = trial::plan(&absent, &at(Some(7))).unwrap();
        assert_eq!(
            (removal.action, removal.notes),
            (Action::Delete, vec!["its members lose it: ann".into()])
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
            trial::invalid::<Group>(table);
        }
    }
}
