//! Images of the cluster's registries, for `status --images`. They are read from the registries'
//! directories, which needs neither a password nor a registry that answers.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::kinds::registry::{LABEL, LABEL_DIRECTORY};
use crate::model::{Query, ShellQuery, TaggedImage, docker_filters};
use crate::names::HostName;
use crate::report::{TextTable, literal};
use crate::runner::gather::gather;
use crate::runner::{DockerReader as _, Fleet, ReadCache};
use crate::swarm::overview::ClusterOverview;

/// A registry and its images.
#[derive(Debug, Serialize)]
pub(super) struct RegistryImages {
    /// Prefix of its images.
    registry: String,
    /// Host that keeps its images.
    host: Option<HostName>,
    images: Vec<TaggedImage>,
    /// Reason why it could not be read, or its problem.
    pub problem: Option<String>,
}

/// Reads every registry that a resource of the kind `registry` made: a label marks their services.
pub(super) async fn read_registries(
    fleet: &Arc<Fleet>,
    page: &ClusterOverview,
) -> Vec<RegistryImages> {
    let filters = docker_filters(&[("label", &[LABEL])]);
    let managers = page
        .rows
        .iter()
        .filter(|row| row.role == "manager")
        .filter_map(|row| row.host.as_ref());
    for manager in managers {
        let Some(services) = fleet
            .get(manager, &format!("/services?filters={filters}"))
            .await
            .ok()
            .cloned()
        else {
            continue;
        };
        let mut held = Vec::new();
        for service in services.as_array().into_iter().flatten() {
            held.push(one(fleet, page, manager, service).await);
        }
        held.sort_by(|a, b| a.registry.cmp(&b.registry));
        return held;
    }
    let problem = Some("no manager lists the services".to_owned());
    vec![RegistryImages {
        registry: "-".into(),
        host: None,
        images: Vec::new(),
        problem,
    }]
}

async fn one(
    fleet: &Arc<Fleet>,
    page: &ClusterOverview,
    manager: &HostName,
    service: &Value,
) -> RegistryImages {
    let text = |pointer: &str| {
        service
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let label = |name: &str| {
        let labels = service.pointer("/Spec/Labels");
        labels
            .and_then(|labels| labels.get(name))
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let mut held = RegistryImages {
        registry: label(LABEL),
        host: None,
        images: Vec::new(),
        problem: None,
    };
    let filters = docker_filters(&[("service", &[&text("/ID")])]);
    let tasks = fleet
        .get(manager, &format!("/tasks?filters={filters}"))
        .await;
    let tasks = tasks
        .ok()
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let runs =
        |task: &&Value| task.pointer("/Status/State").and_then(Value::as_str) == Some("running");
    let task = tasks.iter().find(runs);
    if task.is_none() {
        held.problem = Some("its service has no running task".into());
    }
    // The images are on the node of its last task.
    let node = task
        .or(tasks.first())
        .and_then(|task| task.get("NodeID"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    let row = page
        .rows
        .iter()
        .find(|row| !node.is_empty() && row.node_id == node);
    let Some(host) = row.and_then(|row| row.host.clone()) else {
        held.problem
            .get_or_insert_with(|| "it runs on a node that is not a host of the inventory".into());
        return held;
    };
    held.host = Some(host.clone());
    match read(fleet, &host, &label(LABEL_DIRECTORY)).await {
        Ok(images) => held.images = images,
        Err(why) => held.problem = Some(why),
    }
    held
}

async fn read(
    fleet: &Arc<Fleet>,
    host: &HostName,
    directory: &str,
) -> Result<Vec<TaggedImage>, String> {
    let connected = fleet.host(host).await.map_err(|error| error.to_string())?;
    let queries = BTreeSet::from([Query::Shell(ShellQuery::Catalogue {
        directory: directory.to_owned(),
    })]);
    let answers = gather(fleet, &ReadCache::default(), &connected, &queries)
        .await
        .map_err(|error| error.to_string())?;
    match answers
        .catalogue(directory)
        .map_err(|error| error.to_string())?
    {
        Some(images) => Ok(images.clone()),
        None => Err(format!(
            "{directory} does not exist on {host}: its images are lost"
        )),
    }
}

/// Renders the images as a table.
pub(super) fn text(registries: &[RegistryImages]) -> String {
    if registries.is_empty() {
        return "\nno registry: a resource of the kind `registry` makes one\n".into();
    }
    let mut table = TextTable::new(&["REGISTRY", "HOST", "IMAGE", "TAG", "DIGEST"]);
    let mut problems = String::new();
    for held in registries {
        let host = held
            .host
            .as_ref()
            .map_or_else(|| "-".to_owned(), ToString::to_string);
        if held.images.is_empty() {
            table.row([
                held.registry.clone(),
                host.clone(),
                "-".into(),
                "-".into(),
                "-".into(),
            ]);
        }
        for image in &held.images {
            let TaggedImage {
                repository,
                tag,
                digest,
            } = image.clone();
            table.row([held.registry.clone(), host.clone(), repository, tag, digest]);
        }
        if let Some(problem) = &held.problem {
            problems.push_str(&format!(
                "problem: registry {}: {}\n",
                literal(&held.registry),
                literal(problem)
            ));
        }
    }
    format!("\n{}{problems}", table.text())
}
