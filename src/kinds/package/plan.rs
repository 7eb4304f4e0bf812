//! Computes the change from the state of the packages: its fields from apt's simulation, and the
//! refusals.

use std::cmp::Ordering;

use super::super::DesiredState;
use super::{
    AptForecast, AptTransaction, PackageName, PackageResource, PackageSetState, is_there, script,
    version,
};
use crate::model::{Action, AptAction, Change, DisplayValue, Disruption, Refusal};

/// Packages whose change or removal restarts or stops the Engine and its containers.
const ENGINE: &[&str] = &[
    "docker-ce",
    "docker.io",
    "moby-engine",
    "containerd.io",
    "containerd",
    "moby-containerd",
];

/// Implements [`super::ResourceKind::plan`].
pub(super) fn plan(
    package: &PackageResource,
    observed: &PackageSetState,
) -> Result<Option<Change>, Refusal> {
    let mut change = Change::new(action(package, observed));
    let broken = observed
        .states
        .values()
        .filter_map(|state| state.broken.as_deref());
    let broken = broken.filter(|word| *word != "config-files").count() > 0;
    if broken || !observed.audit.is_empty() {
        change = repair(change, observed);
    }
    if package.hold == Some(false) {
        change = hold(package, observed, change, false);
    }
    change = match &observed.forecast {
        AptForecast::Nothing => change,
        AptForecast::Known {
            transaction,
            actions,
        } => known(package, observed, change, transaction, actions)?,
        AptForecast::Unknown { transaction, words } => {
            unknown(package, observed, change, transaction, words)?
        }
    };
    if package.hold == Some(true) {
        change = hold(package, observed, change, true);
    }
    Ok((!change.fields.is_empty()).then_some(change))
}

fn action(package: &PackageResource, observed: &PackageSetState) -> Action {
    let any = package
        .names()
        .any(|name| observed.states.get(&name.0).is_some_and(is_there));
    match package.state {
        DesiredState::Absent => Action::Delete,
        DesiredState::Present if any => Action::Update,
        DesiredState::Present => Action::Create,
    }
}

fn repair(change: Change, observed: &PackageSetState) -> Change {
    let engine = observed
        .audit
        .iter()
        .any(|line| line.split_whitespace().any(|word| ENGINE.contains(&word)));
    let engine = engine
        || observed
            .states
            .iter()
            .any(|(name, state)| state.broken.is_some() && is_engine(name));
    let mut change = change
        .field(
            "dpkg",
            DisplayValue::text("interrupted"),
            DisplayValue::text("repaired"),
        )
        .step(script::repair());
    if engine {
        change.disturbs = Disruption::EngineRestart;
    }
    match observed.audit.is_empty() {
        true => change,
        false => change.note(format!("dpkg reports: {}", observed.audit.join("; "))),
    }
}

/// Adds the hold or the release of packages that need it. After an installation every package is
/// held again, because apt may have released its hold.
fn hold(
    package: &PackageResource,
    observed: &PackageSetState,
    mut change: Change,
    wanted: bool,
) -> Change {
    let installing = wanted && !matches!(observed.forecast, AptForecast::Nothing);
    let mut names = Vec::new();
    for name in package.names().map(PackageName::as_str) {
        let held = observed.states.get(name).is_some_and(|state| state.held);
        if held != wanted {
            let (before, after) = if wanted { ("no", "yes") } else { ("yes", "no") };
            change = change.field(
                format!("hold {name}"),
                DisplayValue::text(before),
                DisplayValue::text(after),
            );
        }
        if held != wanted || installing {
            names.push(name);
        }
    }
    if names.is_empty() {
        change
    } else {
        change.step(script::mark(wanted, &names))
    }
}

/// Returns the present state of a package, for a plan.
fn before(observed: &PackageSetState, name: &str) -> DisplayValue {
    let Some(state) = observed.states.get(name) else {
        return DisplayValue::Absent;
    };
    match (&state.installed, &state.broken) {
        (Some(version), _) => DisplayValue::text(version),
        (None, Some(word)) if word != "config-files" => DisplayValue::text(format!("({word})")),
        _ => DisplayValue::Absent,
    }
}

fn known(
    package: &PackageResource,
    observed: &PackageSetState,
    mut change: Change,
    transaction: &AptTransaction,
    actions: &[AptAction],
) -> Result<Change, Refusal> {
    for action in actions {
        refuse(package, observed, action)?;
        let (name, before, after) = match action {
            AptAction::Install { name, from, to } => (
                name,
                from.as_ref()
                    .map_or(DisplayValue::Absent, DisplayValue::text),
                DisplayValue::text(to),
            ),
            AptAction::Remove { name, from } => {
                (name, DisplayValue::text(from), DisplayValue::Absent)
            }
        };
        if is_engine(name) && before != DisplayValue::Absent {
            change.disturbs = Disruption::EngineRestart;
        }
        let named = package
            .names()
            .chain(&package.conflicts)
            .any(|one| one.as_str() == name);
        let field = if named {
            name.clone()
        } else {
            format!("{name} (dependency)")
        };
        change = change.field(field, before, after);
    }
    // The repair completes a half-configured package, and apt's simulation does not mention it.
    let unmentioned = package
        .unmet(&observed.states)
        .into_iter()
        .map(PackageName::as_str);
    for name in unmentioned.filter(|name| !actions.iter().any(|action| name_of(action) == *name)) {
        change = change.field(name, before(observed, name), DisplayValue::KnownAfterApply);
    }
    if actions.is_empty() && change.fields.is_empty() {
        return Ok(change);
    }
    Ok(change.step(script::install(
        transaction.summary(),
        false,
        &transaction.arguments(),
    )))
}

fn unknown(
    package: &PackageResource,
    observed: &PackageSetState,
    mut change: Change,
    transaction: &AptTransaction,
    words: &[String],
) -> Result<Change, Refusal> {
    let unmet = package.unmet(&observed.states);
    for name in unmet.iter().map(|name| name.as_str()) {
        refuse_held(package, observed, name)?;
        change = change.field(name, before(observed, name), DisplayValue::KnownAfterApply);
        if is_engine(name) && before(observed, name) != DisplayValue::Absent {
            change.disturbs = Disruption::EngineRestart;
        }
    }
    for name in package.removals(&observed.states).map(PackageName::as_str) {
        refuse_held(package, observed, name)?;
        change = change.field(name, before(observed, name), DisplayValue::Absent);
        if is_engine(name) {
            change.disturbs = Disruption::EngineRestart;
        }
    }
    let update = !unmet.is_empty();
    let mut summary = transaction.summary();
    if update {
        summary.insert_str(0, "fetch the package lists, then ");
    }
    let words = words.join("; ");
    Ok(change
        .step(script::install(summary, update, &transaction.arguments()))
        .note(format!("apt cannot determine its changes yet: {words}")))
}

fn refuse(
    package: &PackageResource,
    observed: &PackageSetState,
    action: &AptAction,
) -> Result<(), Refusal> {
    refuse_held(package, observed, name_of(action))?;
    match action {
        AptAction::Install { name, from: Some(from), to }
            if !package.allow_downgrade && version::compare(to, from) == Ordering::Less =>
        {
            Err(Refusal {
                why: format!("{name} {from} would be replaced by the lower version {to}"),
                hint: "raise `version`, or set allow_downgrade = true if the older version can read its data".into(),
            })
        }
        AptAction::Remove { name, .. } if !package.may_go(name) => Err(Refusal {
            why: format!("apt would also remove {name}, which the playbook does not name"),
            hint: match package.state {
                DesiredState::Present => format!("add \"{name}\" to `conflicts` if it may be removed"),
                DesiredState::Absent => format!("add \"{name}\" to `names` if it may be removed"),
            },
        }),
        _ => Ok(()),
    }
}

fn refuse_held(
    package: &PackageResource,
    observed: &PackageSetState,
    name: &str,
) -> Result<(), Refusal> {
    let held = observed
        .states
        .get(name)
        .is_some_and(|state| state.held && state.installed.is_some());
    if !held || package.hold.is_some() {
        return Ok(());
    }
    Err(Refusal {
        why: format!("{name} is on hold on this host and would be changed"),
        hint: "set hold = true (changed, then held again) or hold = false (released)".into(),
    })
}

impl PackageResource {
    fn may_go(&self, name: &str) -> bool {
        let absent = self.names().filter(|_| self.state == DesiredState::Absent);
        absent
            .chain(&self.conflicts)
            .any(|one| one.as_str() == name)
    }
}

fn name_of(action: &AptAction) -> &str {
    match action {
        AptAction::Install { name, .. } | AptAction::Remove { name, .. } => name,
    }
}

fn is_engine(name: &str) -> bool {
    ENGINE.contains(&name)
}
