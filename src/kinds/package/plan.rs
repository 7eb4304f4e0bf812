//! Computes the change from the state of the packages: its fields from apt's simulation, and the
//! refusals.

use std::cmp::Ordering;

use super::super::DesiredState;
use super::hold::HoldPolicy;
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
    if observed.has_snap && package.state == DesiredState::Present && package.concerns_engine() {
        return Err(Refusal {
            why: "Docker Engine is installed as the snap `docker` on this host, too: two Engines would use the same socket, and the containers of the snap would be out of reach".into(),
            hint: "save its data, then remove it with `snap remove docker`".into(),
        });
    }
    let mut change = Change::new(action(package, observed));
    if is_interrupted(observed) {
        change = repair(change, observed);
    }
    if matches!(
        package.hold,
        Some(HoldPolicy::ReleaseOwn | HoldPolicy::ReleaseAll)
    ) {
        change = release(package, observed, change);
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
    if package.hold == Some(HoldPolicy::Hold) {
        change = hold(package, observed, change);
    }
    if let (Some(hazard), Disruption::EngineRestart) = (&observed.hazard, change.disturbs) {
        let summary = change.steps.first().map(|step| step.summary.clone());
        change.steps = vec![hazard.step(summary.unwrap_or_default())];
    }
    Ok((!change.fields.is_empty()).then_some(change))
}

/// Returns true if the interrupted work of dpkg must be completed: packages of the resource are
/// affected, other packages would be in the way of a change, or dpkg refuses all work. The packages
/// of others are no reason for a change on a host that needs none. While another program works with
/// dpkg, nothing is interrupted; a change waits for it.
fn is_interrupted(observed: &PackageSetState) -> bool {
    let starts = |words: &str| observed.audit.iter().any(|line| line.starts_with(words));
    if starts("Another process has locked the database") {
        return false;
    }
    let broken = observed
        .states
        .values()
        .filter_map(|state| state.broken.as_deref());
    let own = broken.filter(|word| *word != "config-files").count() > 0;
    let changes = !matches!(observed.forecast, AptForecast::Nothing);
    own || starts("dpkg was interrupted") || (changes && !observed.audit.is_empty())
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

fn is_held(observed: &PackageSetState, name: &str) -> bool {
    observed.states.get(name).is_some_and(|state| state.held)
}

/// Returns true if the playbook allows skep to release the hold of a held package.
fn may_release(package: &PackageResource, observed: &PackageSetState, name: &str) -> bool {
    match package.hold {
        Some(HoldPolicy::Hold | HoldPolicy::ReleaseAll) => true,
        Some(HoldPolicy::ReleaseOwn) => observed.own_holds.contains(name),
        None => false,
    }
}

/// Adds the hold of packages that need it. After an installation every package is held again,
/// because apt may have released its hold. A hold of somebody else stays theirs in the record.
fn hold(package: &PackageResource, observed: &PackageSetState, mut change: Change) -> Change {
    let installing = !matches!(observed.forecast, AptForecast::Nothing);
    let (mut names, mut own) = (Vec::new(), Vec::new());
    for name in package.names().map(PackageName::as_str) {
        let held = is_held(observed, name);
        if !held {
            change = change.field(
                format!("hold {name}"),
                DisplayValue::text("no"),
                DisplayValue::text("yes"),
            );
        }
        if !held || installing {
            names.push(name);
        }
        if !held || observed.own_holds.contains(name) {
            own.push(name);
        }
    }
    if names.is_empty() {
        change
    } else {
        change.step(script::hold(&names, &own))
    }
}

/// Adds the release of the packages whose hold the playbook allows skep to release.
fn release(package: &PackageResource, observed: &PackageSetState, mut change: Change) -> Change {
    let mut names = Vec::new();
    for name in package.names().map(PackageName::as_str) {
        if is_held(observed, name) && may_release(package, observed, name) {
            change = change.field(
                format!("hold {name}"),
                DisplayValue::text("yes"),
                DisplayValue::text("no"),
            );
            names.push(name);
        }
    }
    if names.is_empty() {
        change
    } else {
        change.step(script::release(&names))
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
            if !package.allow_downgrade && version::compare_versions(to, from) == Ordering::Less =>
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
    if !held || may_release(package, observed, name) {
        return Ok(());
    }
    Err(Refusal {
        why: format!("{name} is on hold on this host and would be changed"),
        hint: "set hold = true (changed, then held again) or hold = \"release\" (released)".into(),
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

pub(super) fn is_engine(name: &str) -> bool {
    ENGINE.contains(&name)
}
