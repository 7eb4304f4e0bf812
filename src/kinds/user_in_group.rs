//! `user_in_group`: accounts that are members of a group, proved by a command that runs as each new
//! member in a session of its own. The group may still be missing (docker's comes with its
//! package); the accounts must exist.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{AccountName, DesiredState};
use crate::base::{RUN_SHELL_TEXT, path_script};
use crate::model::{
    Action, Change, DisplayValue, GroupState, HostAnswers, HostContext, InvalidField, Observation,
    Operation, ProbeError, Query, Refusal, ResourceKind, ShellQuery, Step, UserState,
};

/// Members of a group.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserInGroupResource {
    /// Name of one account. Either `user` or `users` is required.
    user: Option<AccountName>,
    /// Names of several accounts; an empty list is allowed and has no effect.
    users: Option<Vec<AccountName>>,
    /// Name of the group.
    group: AccountName,
    /// POSIX shell text that must succeed as each account whose membership is new, in a new
    /// session, e.g. `docker version`. Default: no proof.
    prove: Option<String>,
    /// Remove every other member from the group. Default `false`.
    #[serde(default)]
    exclusive: bool,
    /// `"present"` (default) or `"absent"`: whether the accounts are members.
    #[serde(default)]
    state: DesiredState,
}

/// State of the accounts and of the group.
#[derive(Debug)]
pub struct UserInGroupState {
    users: BTreeMap<String, Option<UserState>>,
    group: Option<GroupState>,
    /// Members whose proof has not succeeded yet.
    unproved: BTreeSet<String>,
}

/// Notes that a proof is due, before the membership that it proves exists. Otherwise a failed proof
/// would never run again. Arguments: `$1` the note, readable by root only.
const NOTE_PROOF: &str = r#"ensure_directory "${1%/*}" 0:0 0700
: | write_file "$1" 0:0 0600 0
"#;
/// Arguments: `$1` the note.
const FORGET_PROOF: &str = r#"remove_file "$1"
"#;
/// Arguments: `$1` the account, `$2` the group.
const ADD: &str = r#"gpasswd --add "$1" "$2" >/dev/null
"#;
const REMOVE: &str = r#"gpasswd --delete "$1" "$2" >/dev/null
"#;

impl ResourceKind for UserInGroupResource {
    const NAME: &'static str = "user_in_group";
    type Observed = UserInGroupState;

    fn name(&self) -> String {
        let users: Vec<&str> = self.users().map(AccountName::as_str).collect();
        format!("{}: {}", self.group, users.join(", "))
    }

    fn bind(&mut self, _context: &HostContext<'_>) -> Result<(), InvalidField> {
        if self.user.is_some() == self.users.is_some() {
            return Err(InvalidField::new("users", "give either `user` or `users`")
                .hint("write user = \"ann\" or users = [\"ann\", \"bob\"]"));
        }
        if self
            .prove
            .as_ref()
            .is_some_and(|text| text.trim().is_empty() || text.contains('\0'))
        {
            return Err(InvalidField::new("prove", "the proof is not a command")
                .hint("write prove = \"docker version\""));
        }
        if self.state == DesiredState::Absent && (self.exclusive || self.prove.is_some()) {
            return Err(InvalidField::new(
                "state",
                "`exclusive` and `prove` apply to members only",
            )
            .hint("remove them, or the line `state = \"absent\"`"));
        }
        Ok(())
    }

    fn queries(&self) -> Vec<Query> {
        let users = self
            .users()
            .map(|user| Query::Shell(ShellQuery::User(user.to_string())));
        let mut queries: Vec<Query> = users
            .chain([Query::Shell(ShellQuery::Group(self.group.to_string()))])
            .collect();
        if self.prove.is_some() {
            queries.extend(
                self.users()
                    .map(|user| Query::path(self.note(user.as_str()))),
            );
        }
        queries
    }

    fn observe(&self, answers: &HostAnswers) -> Result<Observation<Self::Observed>, ProbeError> {
        let users = self
            .users()
            .map(|user| Ok((user.to_string(), answers.user(user.as_str())?.clone())));
        let users = users.collect::<Result<_, ProbeError>>()?;
        let mut unproved = BTreeSet::new();
        for user in self.users().filter(|_| self.prove.is_some()) {
            if answers.path(&self.note(user.as_str()))?.is_some() {
                unproved.insert(user.to_string());
            }
        }
        Ok(Observation::Known(UserInGroupState {
            users,
            group: answers.group(self.group.as_str())?.clone(),
            unproved,
        }))
    }

    fn plan(&self, observed: &Self::Observed) -> Result<Option<Change>, Refusal> {
        let change = match self.state {
            DesiredState::Present => self.plan_present(observed)?,
            DesiredState::Absent => self.plan_absent(observed)?,
        };
        Ok((!change.fields.is_empty()).then_some(change))
    }
}

impl UserInGroupResource {
    fn users(&self) -> impl Iterator<Item = &AccountName> {
        self.user.iter().chain(self.users.iter().flatten())
    }

    /// Returns the path of the note that the proof of a member is due.
    fn note(&self, user: &str) -> String {
        format!("/var/lib/skep/unproved-{}.{user}", self.group)
    }

    fn plan_present(&self, observed: &UserInGroupState) -> Result<Change, Refusal> {
        let missing: Vec<&str> = observed
            .users
            .iter()
            .filter(|(_, user)| user.is_none())
            .map(|(name, _)| name.as_str())
            .collect();
        if !missing.is_empty() {
            return Err(Refusal {
                why: format!("there is no account {} on the host", missing.join(", ")),
                hint: "create it first (adduser), or correct the name".into(),
            });
        }
        let group = self.group.as_str();
        let mut change = Change::new(if observed.group.is_none() {
            Action::Create
        } else {
            Action::Update
        });
        let mut proofs = Vec::new();
        let mut is_new = false;
        for (name, user) in &observed.users {
            let is_member = user
                .as_ref()
                .is_some_and(|user| user.groups.contains(group));
            let proof = self.prove.as_ref().map(|text| proof(name, text));
            let forget = || {
                let summary = format!("note that the membership of {name} is proved");
                Step::script(summary, path_script(FORGET_PROOF), [self.note(name)])
            };
            if is_member {
                if observed.unproved.contains(name) {
                    change = change.field(
                        name,
                        DisplayValue::text("member, whose proof failed"),
                        DisplayValue::text("proved"),
                    );
                    proofs.extend(proof.map(|proof| [proof, forget()]));
                }
                continue;
            }
            is_new = true;
            change = change.field(
                name,
                DisplayValue::text("not a member"),
                DisplayValue::text(format!("member of {group}")),
            );
            if self.prove.is_some() {
                let summary = format!("note that the membership of {name} is to be proved");
                let note = [self.note(name)];
                change = change.step(Step::script(summary, path_script(NOTE_PROOF), note));
            }
            change = change.step(Step::script(
                format!("add {name} to the group {group}"),
                ADD,
                [name.as_str(), group],
            ));
            proofs.extend(proof.map(|proof| [proof, forget()]));
        }
        if is_new {
            change = change.note("open sessions do not have the group until their next login");
        }
        for other in self.others(observed) {
            change = self.plan_removal(&other, change);
        }
        change.steps.extend(proofs.into_iter().flatten());
        Ok(change)
    }

    /// Returns the members that the playbook does not name, if `exclusive` is set.
    fn others(&self, observed: &UserInGroupState) -> BTreeSet<String> {
        let members = observed
            .group
            .iter()
            .filter(|_| self.exclusive)
            .flat_map(|group| group.members.iter());
        members
            .filter(|member| !observed.users.contains_key(*member))
            .cloned()
            .collect()
    }

    fn plan_absent(&self, observed: &UserInGroupState) -> Result<Change, Refusal> {
        let mut change = Change::new(Action::Delete);
        for (name, user) in &observed.users {
            let Some(user) = user
                .as_ref()
                .filter(|user| user.groups.contains(self.group.as_str()))
            else {
                continue;
            };
            if observed
                .group
                .as_ref()
                .is_some_and(|group| group.gid == user.gid)
            {
                return Err(Refusal {
                    why: format!("{} is the primary group of {name}", self.group),
                    hint: "give the account another primary group first (usermod -g)".into(),
                });
            }
            change = self.plan_removal(name, change);
        }
        Ok(change)
    }

    fn plan_removal(&self, name: &str, change: Change) -> Change {
        let group = self.group.as_str();
        change
            .field(
                name,
                DisplayValue::text(format!("member of {group}")),
                DisplayValue::text("not a member"),
            )
            .step(Step::script(
                format!("remove {name} from the group {group}"),
                REMOVE,
                [name, group],
            ))
    }
}

/// Returns the step that runs the proof as the account, in a session that has the new group.
fn proof(name: &str, text: &str) -> Step {
    let mut step = Step::script(
        format!("prove the membership as {name}: {}", text.escape_debug()),
        RUN_SHELL_TEXT,
        [text],
    );
    if let Operation::Script(script) = &mut step.act {
        script.user = Some(name.to_owned());
    }
    step
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::trial;
    use super::*;
    use crate::model::{HostAnswers, QueryAnswer};

    fn user(groups: &[&str]) -> Option<UserState> {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        Some(UserState {
            uid: 1000,
            gid: 1000,
            home: "/home/x".into(),
            shell: "/bin/sh".into(),
            groups,
        })
    }

    fn host(
        ann: Option<UserState>,
        bob: Option<UserState>,
        members: Option<&[&str]>,
    ) -> HostAnswers {
        let group = members.map(|members| GroupState {
            gid: 999,
            members: members.iter().map(|name| (*name).to_owned()).collect(),
        });
        HostAnswers::default()
            .with(
                Query::Shell(ShellQuery::User("ann".into())),
                QueryAnswer::User(ann),
            )
            .with(
                Query::Shell(ShellQuery::User("bob".into())),
                QueryAnswer::User(bob),
            )
            .with(
                Query::Shell(ShellQuery::Group("docker".into())),
                QueryAnswer::Group(group),
            )
            .with(Query::path(NOTES[0]), QueryAnswer::Path(None))
            .with(Query::path(NOTES[1]), QueryAnswer::Path(None))
    }

    const NOTES: [&str; 2] = [
        "/var/lib/skep/unproved-docker.ann",
        "/var/lib/skep/unproved-docker.bob",
    ];

    #[test]
    fn a_proof_that_failed_runs_again() {
        let both: UserInGroupResource =
            trial::kind("users = ['ann', 'bob']\ngroup = 'docker'\nprove = 'docker version'");
        let members = host(user(&["docker"]), user(&["docker"]), Some(&["ann", "bob"]));
        assert!(trial::plan(&both, &members).is_none());
        let answers = members.with(Query::path(NOTES[1]), trial::file_answer(""));
        let change = trial::plan(&both, &answers).unwrap();
        assert_eq!(
            trial::fields(&change),
            ["bob: member, whose proof failed => proved"]
        );
        assert_eq!(
            trial::arguments(&change),
            [vec!["docker version"], vec![NOTES[1]]]
        );
    }

    #[test]
    fn missing_members_are_added_and_proved() {
        let both: UserInGroupResource =
            trial::kind("users = ['ann', 'bob']\ngroup = 'docker'\nprove = 'docker version'");
        let bare = trial::plan(&both, &host(user(&["ann"]), user(&["bob"]), None)).unwrap();
        assert_eq!(
            trial::fields(&bare),
            [
                "ann: not a member => member of docker",
                "bob: not a member => member of docker"
            ]
        );
        let half = trial::plan(
            &both,
            &host(user(&["ann", "docker"]), user(&["bob"]), Some(&["ann"])),
        )
        .unwrap();
        assert_eq!(
            trial::arguments(&half),
            [
                vec![NOTES[1]],
                vec!["bob", "docker"],
                vec!["docker version"],
                vec![NOTES[1]]
            ]
        );
        let users: Vec<Option<String>> = half
            .steps
            .iter()
            .map(|step| {
                if let Operation::Script(script) = &step.act {
                    script.user.clone()
                } else {
                    None
                }
            })
            .collect();
        assert_eq!(users, [None, None, Some("bob".into()), None]);
        assert!(
            trial::plan(
                &both,
                &host(user(&["docker"]), user(&["docker"]), Some(&["ann", "bob"]))
            )
            .is_none()
        );
    }

    #[test]
    fn missing_account_is_refused_by_name() {
        let both: UserInGroupResource = trial::kind("users = ['ann', 'bob']\ngroup = 'docker'");
        let refusal = trial::refusal(&both, &host(user(&["docker"]), None, None));
        assert!(refusal.why.contains("bob") && !refusal.why.contains("ann"));
    }

    #[test]
    fn members_are_removed_if_declared() {
        let exclusive: UserInGroupResource =
            trial::kind("user = 'ann'\ngroup = 'docker'\nexclusive = true");
        let answers = host(user(&["docker"]), None, Some(&["ann", "eve"]));
        let change = trial::plan(&exclusive, &answers).unwrap();
        assert_eq!(
            trial::fields(&change),
            ["eve: member of docker => not a member"]
        );
        assert_eq!(trial::scripts(&change), [REMOVE]);

        let absent: UserInGroupResource =
            trial::kind("users = ['ann', 'bob']\ngroup = 'docker'\nstate = 'absent'");
        let change = trial::plan(&absent, &answers).unwrap();
        assert_eq!(
            (change.action, trial::arguments(&change)),
            (Action::Delete, vec![vec!["ann".into(), "docker".into()]])
        );
        assert!(trial::plan(&absent, &host(user(&[]), None, None)).is_none());
        let mut primary = user(&["docker"]).unwrap();
        primary.gid = 999;
        assert!(
            trial::refusal(&absent, &host(Some(primary), None, Some(&[])))
                .why
                .contains("primary")
        );
    }

    #[test]
    fn invalid_tables_are_refused() {
        for table in [
            "group = 'docker'",
            "group = 'docker'\nuser = 'a'\nusers = ['b']",
            "group = 'docker'\nuser = '-a'",
            "group = 'docker'\nuser = '0'",
            "group = '$(id)'\nuser = 'a'",
            "group = 'docker'\nuser = 'a'\nprove = ' '",
            "group = 'docker'\nuser = 'a'\nstate = 'absent'\nprove = 'true'",
        ] {
            trial::invalid::<UserInGroupResource>(table);
        }
    }

    #[test]
    fn proof_is_an_argument_and_fails_with_its_command() {
        let text = "test \"$(printf '%s' 'a b')\" = 'a b'".to_owned();
        trial::run(RUN_SHELL_TEXT, &[text], b"", &[]).unwrap();
        assert!(
            trial::run(
                RUN_SHELL_TEXT,
                &["echo no >&2; exit 3".to_owned()],
                b"",
                &[]
            )
            .unwrap_err()
            .contains("no")
        );
    }
}
