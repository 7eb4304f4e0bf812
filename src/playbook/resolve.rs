//! Resolves playbooks: selects the hosts of every play, merges variables, renders every table and
//! binds every resource.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};

use super::checks::{RunChecks, include_conflicts, unreached};
use super::deferred::{DeferredResource, ResourceBinding};
use super::expand::{HostScope, expand};
use super::samples::sample_facts;
use super::tags::TagFilter;
use super::template::{FactsView, TemplateContext};
use super::{HostResource, Play, Playbook, ResolvedPlay, ResolvedPlaybook, ResourceDecl};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::diagnostic::{SourceFile, SourceSpan};
use crate::inventory::Inventory;
use crate::inventory::Roster;
use crate::kinds::scope;
use crate::model::{DefinitionDigest, Resource, ResourceScope};
use crate::names::HostName;

/// Largest number of fallback hosts of a play. More than seven managers (a delegate and six
/// fallbacks) have no use in a swarm, and each fallback host costs the binding of its resources.
const MOST_STANDBYS: usize = 6;

/// Selection of hosts and resources of a playbook.
#[derive(Debug, Clone, Default)]
pub struct ResolveOptions {
    /// Host patterns; a host that any pattern selects is included. Empty means all hosts.
    pub limit: Vec<String>,
    /// Tags; a resource must have at least one of them. Empty means all resources. Each string may
    /// hold several tags, separated by commas.
    pub tags: Vec<String>,
    /// Tags to skip; a resource with any of them is left out.
    pub skip_tags: Vec<String>,
}

/// Resolves a playbook for an inventory.
///
/// # Errors
/// All errors of all plays, hosts and resources.
pub fn resolve(
    inventory: &Arc<Inventory>,
    playbook: &Playbook,
    options: &ResolveOptions,
) -> Result<ResolvedPlaybook, Diagnostics> {
    let mut resolver = PlaybookResolver {
        inventory,
        limit: None,
        filter: TagFilter::default(),
        diagnostics: Diagnostics::default(),
        contexts: HashMap::new(),
        reached: IndexSet::new(),
        order: inventory
            .hosts()
            .zip(0..)
            .map(|((name, _), at)| (name.clone(), at))
            .collect(),
        checks: RunChecks::default(),
        plays_are_whole: !playbook.is_broken(),
    };
    resolver.read_options(playbook, options);
    let plays = playbook
        .plays
        .iter()
        .map(|play| resolver.play(play))
        .collect();
    resolver.checks.report(&mut resolver.diagnostics);
    include_conflicts(inventory, playbook, &mut resolver.diagnostics);
    if options.limit.is_empty() && resolver.plays_are_whole {
        unreached(
            inventory,
            &resolver.reached,
            playbook,
            &mut resolver.diagnostics,
        );
    }
    let warnings = resolver.diagnostics.into_result()?;
    Ok(ResolvedPlaybook { plays, warnings })
}

struct PlaybookResolver<'a> {
    inventory: &'a Arc<Inventory>,
    limit: Option<IndexSet<HostName>>,
    filter: TagFilter,
    diagnostics: Diagnostics,
    contexts: HashMap<(usize, usize), (Arc<TemplateContext>, Arc<Roster>)>,
    reached: IndexSet<HostName>,
    /// Position of each host in the inventory.
    order: HashMap<HostName, usize>,
    checks: RunChecks,
    /// True if no play or pattern is missing because of an error. Only in this case, hosts in no
    /// play are reported.
    plays_are_whole: bool,
}

impl PlaybookResolver<'_> {
    fn read_options(&mut self, playbook: &Playbook, options: &ResolveOptions) {
        match TagFilter::new(&options.tags, &options.skip_tags, playbook) {
            Ok(filter) => self.filter = filter,
            Err(errors) => self.diagnostics.extend(errors),
        }
        if options.limit.is_empty() {
            return;
        }
        let mut limit = IndexSet::new();
        for pattern in &options.limit {
            let source = SourceFile::new("--limit", pattern.as_str());
            limit.extend(self.select(pattern, &SourceSpan::new(&source, 0..pattern.len())));
        }
        if limit.is_empty() && !self.diagnostics.has_errors() {
            let pattern = options.limit.join(",");
            let place = SourceSpan::new(
                &SourceFile::new("--limit", pattern.as_str()),
                0..pattern.len(),
            );
            self.diagnostics
                .push(Diagnostic::error("`--limit` selects no host").at(place));
        }
        self.limit = Some(limit);
    }

    fn select(&mut self, pattern: &str, place: &SourceSpan) -> IndexSet<HostName> {
        self.inventory.select(pattern).unwrap_or_else(|error| {
            // If a whole file is missing, a missing group only follows from that and is not
            // reported.
            if !self.inventory.is_broken() {
                let span = place.span.start + error.span.start..place.span.start + error.span.end;
                let diagnostic =
                    Diagnostic::error(error.message).at(SourceSpan::new(&place.source, span));
                self.diagnostics.push(diagnostic.maybe_hint(error.hint));
            }
            self.plays_are_whole = false;
            IndexSet::new()
        })
    }

    fn play(&mut self, play: &Play) -> ResolvedPlay {
        let mut selected: IndexSet<HostName> = IndexSet::new();
        for (pattern, place) in &play.hosts {
            selected.extend(self.select(pattern, place));
        }
        let order = &self.order;
        selected.sort_by_cached_key(|host| order.get(host));
        self.reached.extend(selected.iter().cloned());
        // The delegate is chosen before `--limit` is applied: with a subset of the hosts, no other
        // host may take over the cluster-scoped resources.
        let delegate = selected.first().cloned();
        if let Some(limit) = &self.limit {
            selected.retain(|host| limit.contains(host));
        }
        let host_resources: IndexMap<HostName, Vec<HostResource>> = selected
            .iter()
            .map(|host| {
                (
                    host.clone(),
                    self.host_resources(play, host, delegate.as_ref() == Some(host)),
                )
            })
            .collect();
        let delegate = delegate.filter(|host| host_resources.contains_key(host));
        let cluster_resources = delegate
            .as_ref()
            .and_then(|host| host_resources.get(host))
            .map(Vec::as_slice)
            .unwrap_or_default();
        let others: Vec<&HostName> = selected
            .iter()
            .filter(|host| delegate.as_ref() != Some(*host))
            .collect();
        let fallbacks = self.fallbacks(play, cluster_resources, others);
        ResolvedPlay {
            name: play.name.clone(),
            playbook: Arc::clone(&play.playbook),
            serial: play.serial,
            max_fail: play.max_fail,
            barrier: play.barrier,
            drain: play.drain,
            hosts: selected.into_iter().collect(),
            host_resources,
            delegate,
            fallbacks,
        }
    }

    /// Binds the cluster-scoped resources for the fallback hosts. Errors on a fallback host do not
    /// stop the run because it may never be needed; the resource is only left out of its list.
    fn fallbacks(
        &mut self,
        play: &Play,
        cluster_resources: &[HostResource],
        mut hosts: Vec<&HostName>,
    ) -> IndexMap<HostName, Vec<HostResource>> {
        let wanted: Vec<DefinitionDigest> = cluster_resources
            .iter()
            .filter_map(|host_resource| host_resource.ready()?.definition())
            .collect();
        let declarations: Vec<Arc<ResourceDecl>> = play
            .declarations
            .iter()
            .filter(|declaration| {
                self.filter.selects(declaration)
                    && scope(declaration.kind) == Some(ResourceScope::Cluster)
            })
            .cloned()
            .collect();
        if declarations.is_empty() || wanted.is_empty() {
            return IndexMap::new();
        }
        let manages = |host: &HostName| {
            self.inventory
                .host(host)
                .is_some_and(|host| host.groups.iter().any(|group| group == "managers"))
        };
        hosts.sort_by_cached_key(|host| !manages(host));
        let mut fallbacks = IndexMap::new();
        for host in hosts.into_iter().take(MOST_STANDBYS) {
            let site = self.site(play, host);
            let mut host_resources = Vec::new();
            for declaration in &declarations {
                let facts = FactsView::unknown();
                let Ok(bound) = expand(declaration, &site, &facts) else {
                    continue;
                };
                let same = |resource: &Arc<dyn Resource>| {
                    resource
                        .definition()
                        .is_some_and(|one| wanted.contains(&one))
                };
                let bound = bound
                    .into_iter()
                    .map(|one| one.resource)
                    .filter(|one| !facts.were_missed() && same(one));
                host_resources.extend(bound.map(|resource| HostResource {
                    tags: declaration.tags.clone(),
                    place: declaration.place.clone(),
                    resource: ResourceBinding::Bound(resource),
                }));
            }
            fallbacks.insert(host.clone(), host_resources);
        }
        fallbacks
    }

    fn site(&mut self, play: &Play, host: &HostName) -> HostScope {
        let (context, roster) = self.context(play);
        let login_user = self
            .inventory
            .target(host)
            .map_or("", |target| target.user.as_str())
            .into();
        HostScope {
            context,
            roster,
            login_user,
            host: host.clone(),
        }
    }

    fn host_resources(
        &mut self,
        play: &Play,
        host: &HostName,
        is_delegate: bool,
    ) -> Vec<HostResource> {
        let site = self.site(play, host);
        let ours = |declaration: &ResourceDecl| {
            is_delegate || scope(declaration.kind) != Some(ResourceScope::Cluster)
        };
        let declarations = play
            .declarations
            .iter()
            .filter(|declaration| self.filter.selects(declaration) && ours(declaration))
            .cloned()
            .collect::<Vec<_>>();
        declarations
            .iter()
            .flat_map(|declaration| self.declaration(declaration, &site))
            .collect()
    }

    fn context(&mut self, play: &Play) -> (Arc<TemplateContext>, Arc<Roster>) {
        let key = (
            Arc::as_ptr(&play.vars) as usize,
            Arc::as_ptr(&play.folder) as usize,
        );
        let made = self.contexts.entry(key).or_insert_with(|| {
            let context = TemplateContext::new(self.inventory, &play.vars, &play.folder);
            let roster = Arc::new(context.roster());
            (context, roster)
        });
        made.clone()
    }

    fn declaration(
        &mut self,
        declaration: &Arc<ResourceDecl>,
        site: &HostScope,
    ) -> Vec<HostResource> {
        let facts = FactsView::unknown();
        let expanded = expand(declaration, site, &facts);
        let host_resource = |resource| HostResource {
            tags: declaration.tags.clone(),
            place: declaration.place.clone(),
            resource,
        };
        if facts.were_missed() {
            let deferred = DeferredResource {
                declaration: Arc::clone(declaration),
                site: site.clone(),
            };
            self.try_samples(&deferred);
            return vec![host_resource(ResourceBinding::Deferred(Arc::new(deferred)))];
        }
        match expanded {
            Ok(bound) => {
                for one in &bound {
                    self.checks.note(
                        &site.host,
                        &*one.resource,
                        &one.content,
                        &declaration.place,
                        &mut self.diagnostics,
                    );
                }
                bound
                    .into_iter()
                    .map(|one| host_resource(ResourceBinding::Bound(one.resource)))
                    .collect()
            }
            Err(errors) => {
                self.diagnostics.extend(errors);
                Vec::new()
            }
        }
    }

    /// Binds a deferred resource with the facts of every supported release. An error on every
    /// release is certain. An error on some releases is a warning, because there may be no host
    /// with such a release.
    fn try_samples(&mut self, deferred: &DeferredResource) {
        let address = self
            .inventory
            .target(&deferred.site.host)
            .map_or("", |target| target.address.as_str());
        let samples = sample_facts(deferred.site.host.as_str(), address);
        let mut failures = Diagnostics::default();
        let mut claims: HashMap<String, usize> = HashMap::new();
        let mut conflicts: HashMap<String, usize> = HashMap::new();
        let (host, place) = (&deferred.site.host, &deferred.declaration.place);
        for sample in &samples {
            match deferred.bind(&sample.facts) {
                Ok(resources) => {
                    for resource in &resources {
                        if let Some(claim) = resource.singleton_claim() {
                            *claims.entry(claim).or_default() += 1;
                        }
                        if let Some(setting) = resource.swarm_conflict() {
                            *conflicts.entry(setting).or_default() += 1;
                        }
                        if resource.expected_member().is_some() {
                            self.checks.member(host, place);
                        }
                        for warning in resource.warnings() {
                            let warning = Diagnostic::warning(warning).at(place.clone());
                            self.diagnostics.push(warning.on_host(host));
                        }
                    }
                }
                Err(errors) => {
                    for mut failure in errors {
                        failure.releases.insert(sample.release.clone());
                        failures.push(failure);
                    }
                }
            }
        }
        // A claim and a conflict count if the resource makes it on every release.
        for (claim, _) in claims
            .into_iter()
            .filter(|(_, count)| *count >= samples.len())
        {
            self.checks.claim(host, claim, place);
        }
        for (setting, _) in conflicts
            .into_iter()
            .filter(|(_, count)| *count >= samples.len())
        {
            self.checks.conflict(host, setting, place);
        }
        for mut failure in failures {
            if failure.releases.len() == samples.len() {
                failure.releases.clear();
            } else {
                failure.severity = Severity::Warning;
            }
            self.diagnostics.push(failure);
        }
    }
}
