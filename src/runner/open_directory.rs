//! Paths that cannot be read until an earlier resource of the host closes a directory: an account
//! that may write there could have put a link or another file in the place of the path.

use std::collections::BTreeSet;

use super::examine::ExamineResult;
use super::host_plan::PlannedResource;
use crate::model::{Action, Change, DisplayValue, ExamineError, ProbeError, Step};

/// Plans the resources that an earlier resource makes readable. Their values are known after apply:
/// each resource is read again before its change. Returns the indices of these resources.
pub(super) fn plan_behind_open_directories(
    tasks: &[PlannedResource],
    examined: &mut [ExamineResult],
) -> BTreeSet<usize> {
    let mut planned = BTreeSet::new();
    for index in 1..examined.len() {
        let Err(ExamineError::Probe(ProbeError::UnsafePath { open_directory, .. })) =
            &examined[index]
        else {
            continue;
        };
        let closing = (0..index).find(|earlier| {
            matches!(examined[*earlier], Ok(Some(_)))
                && tasks[*earlier].resource.closed_directory() == Some(open_directory.as_str())
        });
        if let Some(closing) = closing {
            examined[index] = Ok(Some(change_behind(
                open_directory,
                &tasks[closing].resource.id(),
            )));
            planned.insert(index);
        }
    }
    planned
}

fn change_behind(directory: &str, closing: &str) -> Change {
    Change::new(Action::Update)
        .field(
            "state",
            DisplayValue::text(format!("not readable before {closing}")),
            DisplayValue::KnownAfterApply,
        )
        .step(Step::known_after_apply(format!(
            "read it after {closing}, and change it if it differs"
        )))
        .note(format!(
            "an account other than root may write in {directory}, so root does not read this resource yet"
        ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use super::*;
    use crate::model::{Examination, HostAnswers, Query, Resource};

    /// Resource that closes a directory, or none.
    struct Closing(Option<&'static str>);

    impl Resource for Closing {
        fn id(&self) -> String {
            "directory[/etc/app]".into()
        }
        fn kind(&self) -> &'static str {
            "directory"
        }
        fn queries(&self) -> Vec<Query> {
            Vec::new()
        }
        fn examine(&self, _answers: &HostAnswers) -> Result<Examination, ExamineError> {
            Ok(Examination::InSync)
        }
        fn closed_directory(&self) -> Option<&str> {
            self.0
        }
    }

    fn tasks(closed: [Option<&'static str>; 2]) -> Vec<PlannedResource> {
        let task = |closed| PlannedResource {
            play: 0,
            playbook: Arc::default(),
            resource: Arc::new(Closing(closed)),
            change: None,
            follow_ups: Vec::new(),
        };
        closed.map(task).into()
    }

    fn unreadable() -> ExamineResult {
        Err(ProbeError::UnsafePath {
            why: "root does not read /etc/app/key".into(),
            hint: "close the directory".into(),
            open_directory: "/etc/app".into(),
        }
        .into())
    }

    fn differs() -> ExamineResult {
        Ok(Some(Change::new(Action::Update)))
    }

    #[test]
    fn a_file_waits_for_the_directory_that_an_earlier_resource_closes() {
        let mut examined = [differs(), unreadable()];
        let planned = plan_behind_open_directories(&tasks([Some("/etc/app"), None]), &mut examined);
        assert_eq!(planned, BTreeSet::from([1]));
        let change = examined[1].as_ref().unwrap().as_ref().unwrap();
        assert_eq!(change.fields[0].after, DisplayValue::KnownAfterApply);
        assert_eq!(
            change.steps[0].summary,
            "read it after directory[/etc/app], and change it if it differs"
        );
    }

    #[test]
    fn a_file_that_no_earlier_change_makes_readable_stays_unknown() {
        let app = Some("/etc/app");
        for (closed, mut examined, unknown) in [
            ([app, None], [Ok(None), unreadable()], 1),
            ([Some("/etc"), None], [differs(), unreadable()], 1),
            ([None, None], [differs(), unreadable()], 1),
            ([app, None], [unreadable(), unreadable()], 1),
            ([None, app], [unreadable(), differs()], 0),
        ] {
            let planned = plan_behind_open_directories(&tasks(closed), &mut examined);
            assert!(planned.is_empty(), "{closed:?}");
            assert!(examined[unknown].is_err(), "{closed:?}");
        }
    }
}
