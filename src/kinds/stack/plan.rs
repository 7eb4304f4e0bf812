//! What deploying would change, out of the recorded writes and what the swarm has.

use std::sync::Arc;

use super::data::{self, VolumeFinding};
use super::{LiveStack, StackResource, explain, objects, ports, running, service};
use crate::model::{
    Action, Change, DeployPreview, DeployStack, DisplayValue, Operation, Refusal, STEP_TIMEOUT,
    StackAnswer, Step, WaitForConvergence,
};
use crate::names::HostName;

/// What differs; `None` when nothing does. `live` is what there is, with managers to act through; without it there is no swarm.
pub(super) fn plan(
    stack: &StackResource,
    live: Option<(&LiveStack, &Vec<HostName>)>,
    preview: Option<&StackAnswer>,
    findings: &[VolumeFinding],
) -> Result<Option<Change>, Refusal> {
    let Some(deployment) = &stack.deployment else {
        return Ok(None);
    };
    let preview = match preview {
        Some(StackAnswer::Previewed(preview)) => preview,
        Some(StackAnswer::Refused(said)) => return Err(explain::refusal(deployment, said)),
        None => return Ok(None),
    };
    let nothing = LiveStack::default();
    let seen = live.map_or(&nothing, |(live, _)| live);
    let mut change = Change::new(if seen.is_empty(&stack.name) {
        Action::Create
    } else {
        Action::Update
    });
    objects::compare(&stack.name, seen, preview, &mut change)?;
    ports::check(&stack.name, seen, preview)?;
    data::check_labels(seen, preview)?;
    service::compare(&stack.name, seen, preview, stack.prune, &mut change);
    let Some((_, managers)) = live else {
        let later = Step::known_after_apply(format!(
            "deploy the stack {}, once there is a swarm",
            stack.name
        ));
        return Ok((!change.fields.is_empty()).then(|| change.step(later)));
    };
    if change.fields.is_empty() {
        let waits = stack.wait && running::compare(&stack.name, seen, &mut change);
        return Ok(waits.then(|| change.step(converge(stack, managers))));
    }
    ports::note_shared(seen, preview, &mut change);
    for warning in warnings(preview) {
        change = change.note(warning);
    }
    let mut lacks = Vec::new();
    for finding in findings {
        match finding {
            VolumeFinding::Refused(refusal) => return Err(refusal.clone()),
            VolumeFinding::Blocked(why) => lacks.push(why.as_str()),
            VolumeFinding::Note(note) => change = change.note(note),
        }
    }
    if !preview.missing.is_empty() {
        return Ok(Some(lacking(stack, preview, change)));
    }
    if !lacks.is_empty() {
        return Ok(Some(without_data(stack, &lacks.join("; "), change)));
    }
    let deploy = DeployStack {
        managers: managers.clone(),
        deployment: Arc::clone(deployment),
        timeout: STEP_TIMEOUT,
    };
    let summary = format!("deploy the stack {}", stack.name);
    let change = change.step(Step {
        summary,
        act: Operation::Deploy(deploy),
    });
    Ok(Some(if stack.wait {
        change.step(converge(stack, managers))
    } else {
        change
    }))
}

fn converge(stack: &StackResource, managers: &[HostName]) -> Step {
    let (managers, name, deadline) = (managers.to_vec(), stack.name.clone(), stack.limit);
    let act = Operation::Converge(WaitForConvergence {
        managers,
        name,
        deadline,
    });
    Step {
        summary: format!("wait until the services of {} run", stack.name),
        act,
    }
}

/// External objects may be made by an earlier resource of the playbook: then they are there when the stack's turn comes.
fn lacking(stack: &StackResource, preview: &DeployPreview, change: Change) -> Change {
    let names = preview.missing.join(", ");
    let why = format!(
        "the stack {} names as external what is not in the swarm: {names}",
        stack.name
    );
    let hint = "make it with a resource before the stack, or by hand, or correct the name in the compose file";
    change
        .note(format!("not in the swarm now, and external to the stack: {names}; nothing is deployed without it"))
        .step(Step {
            summary: format!("deploy the stack {}", stack.name),
            act: Operation::Blocked { why, hint: hint.into() },
        })
}

/// An earlier resource of the playbook may make the directory, or set the label.
fn without_data(stack: &StackResource, why: &str, change: Change) -> Change {
    let hint = "make the directory on the node that has the label, or mount its disk; `node_labels` can promise it as `data`";
    let act = Operation::Blocked {
        why: why.to_owned(),
        hint: hint.into(),
    };
    change
        .note(format!("{why}; nothing is deployed until it is"))
        .step(Step {
            summary: format!("deploy the stack {}", stack.name),
            act,
        })
}

/// Whether there is something to deploy, as far as is known without looking at disks.
pub(super) fn deploys(
    stack: &StackResource,
    live: (&LiveStack, &Vec<HostName>),
    preview: &StackAnswer,
) -> bool {
    let change = plan(stack, Some(live), Some(preview), &[]);
    let is_deploy = |change: Change| {
        change
            .steps
            .iter()
            .any(|step| matches!(step.act, Operation::Deploy(_)))
    };
    change.ok().flatten().is_some_and(is_deploy)
}

/// What the command warns of that people should read before saying yes.
fn warnings(preview: &DeployPreview) -> Vec<String> {
    let lines = preview.said.lines().map(str::trim);
    let warning = |line: &str| {
        let image = line
            .strip_prefix("image ")
            .and_then(|rest| rest.strip_suffix(" could not be accessed on a registry to record"));
        match image {
            Some(image) => Some(format!(
                "no registry tells the digest of {image}: each node takes what the tag means to it"
            )),
            None => line.starts_with("Ignoring ").then(|| line.to_owned()),
        }
    };
    lines.filter_map(warning).collect()
}

/// The one field that says that a whole object comes or goes.
pub(super) fn whole(change: &mut Change, what: String, before: DisplayValue, after: DisplayValue) {
    change.fields.push(crate::model::FieldChange {
        field: what,
        before,
        after,
    });
}
