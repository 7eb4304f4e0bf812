//! `skep upgrade`: arguments, the plan, the question, output and exit code. The upgrade itself is
//! in `crate::maintenance`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::GlobalArgs;
use super::exit_code::ExitStatus;
use super::interrupt::stop_on_interrupt;
use super::maintenance_site::{MaintenanceSite, VisitLimits, nodes, plan_text};
use super::selection::RunSelection;
use crate::kinds::package::VersionPattern;
use crate::maintenance::{
    NodeUpgrade, OsUpdates, RebootRule, UpgradeOutcome, UpgradePlan, UpgradeRequest, plan_upgrade,
    upgrade_nodes,
};
use crate::playbook::ResolvedPlaybook;
use crate::report::{Screen, TextTable, literal};
use crate::swarm::EngineFacts;

/// Bring Docker Engine, and the operating system if wanted, to new versions: one node after the
/// other, drained before and taken back after.
#[derive(Debug, Args)]
pub(super) struct UpgradeArgs {
    #[command(flatten)]
    selection: RunSelection,
    /// Version of Docker Engine in place of the playbook's, such as 28.5.2 or "28.*"
    #[arg(long, value_name = "VERSION", value_parser = version_pattern)]
    engine: Option<VersionPattern>,
    /// Install the security updates of the operating system, too
    #[arg(long)]
    os: bool,
    /// With --os: install all updates of the operating system
    #[arg(long, requires = "os")]
    all: bool,
    /// Reboot machines: those whose reboot is due, or always
    #[arg(long, value_name = "WHEN", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "when-due")]
    reboot: Option<RebootWhen>,
    /// Accept a risk that the plan names, such as `major`; may be repeated
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    accept: Vec<String>,
    /// Table of facts about versions in place of the built-in one
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
    /// Upgrade one node, and ask before the others
    #[arg(long)]
    canary: bool,
    #[command(flatten)]
    limits: VisitLimits,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
}

/// When to reboot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RebootWhen {
    /// When a package asks for it, or a newer kernel is installed
    WhenDue,
    /// Always
    Always,
}

fn version_pattern(text: &str) -> Result<VersionPattern, String> {
    VersionPattern::try_from(text.to_owned())
}

impl UpgradeArgs {
    fn request(&self) -> UpgradeRequest {
        UpgradeRequest {
            engine: self.engine.clone(),
            os: match (self.os, self.all) {
                (false, _) => OsUpdates::None,
                (true, false) => OsUpdates::Security,
                (true, true) => OsUpdates::All,
            },
            reboot: match self.reboot {
                None => RebootRule::Never,
                Some(RebootWhen::WhenDue) => RebootRule::WhenDue,
                Some(RebootWhen::Always) => RebootRule::Always,
            },
            accepted: self.accept.iter().cloned().collect(),
        }
    }

    fn table_of_facts(&self) -> anyhow::Result<EngineFacts> {
        let Some(path) = &self.facts else {
            return EngineFacts::built_in().map_err(anyhow::Error::msg);
        };
        let text = std::fs::read_to_string(path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        let facts = EngineFacts::parse(&text).map_err(anyhow::Error::msg);
        facts.with_context(|| format!("{} is no table of facts", path.display()))
    }
}

/// Upgrades nodes.
///
/// # Errors
/// Configuration errors, and an upgrade that is refused or fails.
pub(super) async fn run(common: &GlobalArgs, args: &UpgradeArgs) -> anyhow::Result<ExitStatus> {
    let screen = common.screen();
    let facts = args.table_of_facts()?;
    let loaded = args.selection.prepare(&screen)?;
    let (inventory, work) = (loaded.inventory, Arc::new(loaded.resolved));
    let selection = &args.selection.inventory;
    let site = MaintenanceSite::new(inventory, work.hosts(), selection, screen)?;
    let site = site.limit(&args.limits.drain);
    site.act(async |site| upgrade(common, args, &facts, &work, site).await)
        .await
}

async fn upgrade(
    common: &GlobalArgs,
    args: &UpgradeArgs,
    facts: &EngineFacts,
    work: &Arc<ResolvedPlaybook>,
    site: &MaintenanceSite,
) -> anyhow::Result<ExitStatus> {
    let (started, screen, request) = (Instant::now(), &site.screen, args.request());
    screen.note(&format!(
        "Fetching the package lists of {}",
        nodes(site.hosts.len())
    ));
    let plan = plan_upgrade(
        &site.fleet,
        &site.inventory,
        work,
        &site.hosts,
        &request,
        facts,
        &site.options,
    )
    .await?;
    if !common.json {
        screen.result(&upgrade_text(&plan, &facts.date));
    }
    note_unneeded(&plan, &request.accepted, screen);
    plan.check(&request, args.limits.drain.allow_interruption)?;
    if plan.nodes.is_empty() {
        let (outcomes, none) = (Vec::new(), Duration::ZERO);
        print_outcomes(common, screen, &outcomes, none);
        return Ok(ExitStatus::Fine);
    }
    let question = format!("Upgrade {}, one after the other?", listed(&plan.nodes));
    if !site.confirm(args.yes, question).await? {
        return Ok(ExitStatus::Failed);
    }
    let stop = stop_on_interrupt();
    let note = |line: &str| screen.note(&literal(line));
    let reconnect = || site.connect();
    let act = async |plan: &UpgradePlan| {
        let visit = site.visit(&args.limits, &reconnect, &stop, &note);
        upgrade_nodes(visit, plan, &request).await
    };
    let mut outcomes = Vec::new();
    let mut rest = plan;
    if args.canary && rest.nodes.len() > 1 {
        let (first, later) = rest.split_first();
        outcomes.extend(act(&first).await?);
        rest = later;
        let question = format!(
            "{} is upgraded. Go on with {}?",
            listed(&first.nodes),
            listed(&rest.nodes)
        );
        // `--yes` answers the first question only: the look at the first node is the purpose.
        if !site.confirm(false, question).await? {
            print_outcomes(common, screen, &outcomes, started.elapsed());
            return Ok(ExitStatus::Drift);
        }
    }
    outcomes.extend(act(&rest).await?);
    print_outcomes(common, screen, &outcomes, started.elapsed());
    Ok(ExitStatus::Fine)
}

fn note_unneeded(plan: &UpgradePlan, accepted: &BTreeSet<String>, screen: &Screen) {
    for name in accepted {
        if !plan.consents.iter().any(|consent| consent.name == *name) {
            screen.note(&literal(&format!(
                "--accept {name} is not needed: the plan has no such risk"
            )));
        }
    }
}

fn listed(upgrades: &[NodeUpgrade]) -> String {
    let names: Vec<&str> = upgrades
        .iter()
        .map(|node| node.target.host.as_str())
        .collect();
    names.join(", ")
}

fn print_outcomes(
    common: &GlobalArgs,
    screen: &Screen,
    outcomes: &[UpgradeOutcome],
    took: Duration,
) {
    if common.json {
        screen.json(&serde_json::json!({ "action": "upgrade", "nodes": outcomes }));
        return;
    }
    for outcome in outcomes {
        let mut parts: Vec<String> = Vec::new();
        let changes = outcome.packages.iter();
        parts.extend(changes.map(|change| format!("{} {}", change.name, change.to)));
        if outcome.os_updates > 0 {
            parts.push(format!(
                "updates of the operating system: {}",
                outcome.os_updates
            ));
        }
        if outcome.rebooted {
            parts.push("rebooted".into());
        }
        let line = format!(
            "{}: {}; {} again, in {:.1} s",
            outcome.host,
            if parts.is_empty() {
                "taken back".into()
            } else {
                parts.join(", ")
            },
            outcome.availability,
            outcome.seconds
        );
        screen.result(&format!("{}\n", literal(&line)));
    }
    if outcomes.is_empty() {
        screen.result("In sync: every node has the wanted versions.\n");
    } else {
        let seconds = took.as_secs_f64();
        screen.result(&format!(
            "{} upgraded, in {seconds:.1} s.\n",
            nodes(outcomes.len())
        ));
    }
}

/// Returns the plan: packages, effects on the services, notes and risks.
fn upgrade_text(plan: &UpgradePlan, date: &str) -> String {
    let mut text = String::new();
    if !plan.nodes.is_empty() {
        let mut table = TextTable::new(&["HOST", "ROLE", "PACKAGE", "FROM", "TO"]);
        for node in &plan.nodes {
            let (host, role) = (node.target.host.to_string(), node.target.node.role.word());
            let os = node
                .os
                .iter()
                .map(|update| (&update.name, &update.from, &update.to));
            let engine = node
                .engine
                .iter()
                .map(|change| (&change.name, &change.from, &change.to));
            for (name, from, to) in os.chain(engine) {
                table.row([
                    host.clone(),
                    role.into(),
                    name.clone(),
                    from.clone(),
                    to.clone(),
                ]);
            }
        }
        text.push_str(&table.text());
        text.push_str(&plan_text(plan.nodes.iter().map(|node| &node.target)));
    }
    let mut line = |words: String| {
        text.push_str(&literal(&words));
        text.push('\n');
    };
    for node in &plan.nodes {
        let host = &node.target.host;
        if node.is_begun {
            line(format!(
                "{host}: an upgrade before this one has drained it; it is finished and taken back"
            ));
        }
        if let Some(reason) = &node.reboot {
            line(format!("{host}: reboots, because {reason}"));
        }
        if let Some(note) = &node.note {
            line(format!("{host}: {note}"));
        }
    }
    if !plan.current.is_empty() {
        let names: Vec<&str> = plan.current.iter().map(|host| host.as_str()).collect();
        line(format!("In sync: {}", names.join(", ")));
    }
    for note in &plan.notes {
        line(format!("note: {note}"));
    }
    for consent in &plan.consents {
        line(format!(
            "risk {}: {} (facts of {date})",
            consent.name, consent.why
        ));
    }
    text
}
