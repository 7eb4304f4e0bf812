//! Computes the change of a deploy from the recorded writes and the state of the swarm.

use std::sync::Arc;

use super::data::{self, VolumeFinding};
use super::{LiveStack, StackResource, explain, objects, ports, running, service};
use crate::model::{
    Action, Change, DeployPreview, DeployStack, Operation, Refusal, STEP_TIMEOUT, StackAnswer,
    Step, WaitForConvergence,
};
use crate::names::HostName;

/// Returns the change; `None` when there is no difference. `live` is the state of the swarm, with
/// managers to act through; `None` means that there is no swarm.
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
    if !change.fields.is_empty() {
        for warning in warnings(preview) {
            change = change.note(warning);
        }
    }
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

/// Returns the change with a step that is blocked by missing external objects; an earlier resource
/// of the playbook may create them before the stack's turn.
fn lacking(stack: &StackResource, preview: &DeployPreview, change: Change) -> Change {
    let names = preview.missing.join(", ");
    let why = format!(
        "the stack {} uses external objects that are not in the swarm: {names}",
        stack.name
    );
    let hint = "create them with a resource before the stack, or by hand, or correct the name in the compose file";
    change
        .note(format!("not in the swarm now, but external to the stack: {names}; the stack is not deployed without them"))
        .step(Step {
            summary: format!("deploy the stack {}", stack.name),
            act: Operation::Blocked { why, hint: hint.into() },
        })
}

/// Returns the change with a step that is blocked by missing data; an earlier resource of the
/// playbook may create the directory or set the label.
fn without_data(stack: &StackResource, why: &str, change: Change) -> Change {
    let hint = "create the directory on the node that has the label, or mount its disk; `node_labels` can declare it as `data`";
    let act = Operation::Blocked {
        why: why.to_owned(),
        hint: hint.into(),
    };
    change
        .note(format!(
            "{why}; the stack is not deployed until this is fixed"
        ))
        .step(Step {
            summary: format!("deploy the stack {}", stack.name),
            act,
        })
}

/// Returns true if there is something to deploy, as far as is known without reading disks.
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

/// Returns the command's warnings that people should read before they confirm.
fn warnings(preview: &DeployPreview) -> Vec<String> {
    let lines: Vec<&str> = preview.said.lines().map(str::trim).collect();
    let mut warnings = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let image = line
            .strip_prefix("image ")
            .and_then(|rest| rest.strip_suffix(" could not be accessed on a registry to record"));
        if let Some(image) = image {
            warnings.push(format!(
                "no registry returned the digest of {image}: each node uses its own image of that tag"
            ));
        } else if line.starts_with("Ignoring ") {
            warnings.push(with_list(line, &lines[at + 1..]));
        }
    }
    warnings
}

/// Returns a heading such as "Ignoring deprecated options:" with the list that follows it: the next
/// lines up to an empty one, behind an empty line.
fn with_list(heading: &str, following: &[&str]) -> String {
    if !heading.ends_with(':') {
        return heading.to_owned();
    }
    let items: Vec<&str> = following
        .iter()
        .skip_while(|line| line.is_empty())
        .take_while(|line| !line.is_empty())
        .copied()
        .collect();
    format!("{heading} {}", items.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_behind_a_heading_belongs_to_the_warning() {
        let preview = |said: &str| DeployPreview {
            said: said.to_owned(),
            ..DeployPreview::default()
        };
        let said = "Ignoring unsupported options: build, links\n\nIgnoring deprecated options:\n\n\
            container_name: Setting the container name is not supported.\nexpose: Exposing ports is unnecessary.\n\nCreating x\n";
        assert_eq!(
            warnings(&preview(said)),
            [
                "Ignoring unsupported options: build, links",
                "Ignoring deprecated options: container_name: Setting the container name is not supported.; \
                 expose: Exposing ports is unnecessary.",
            ]
        );
    }
}
