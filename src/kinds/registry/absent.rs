//! Removal of a registry: its service, its users' file, its name and the trust in its authority are
//! removed; its images stay.

use serde_json::Value;

use super::super::cluster::request;
use super::service::LABEL;
use super::{
    Action, Change, DisplayValue, Refusal, RegistryResource, RegistryServerState, RegistryState,
    ResourceKind as _, Step, fingerprint,
};
use crate::base::path_script;

impl RegistryResource {
    pub(super) fn plan_absence(&self, seen: &RegistryState) -> Result<Option<Change>, Refusal> {
        let mut change = Change::new(Action::Delete);
        if let Some(server) = &seen.server {
            change = self.without_service(server, change);
        }
        if let Some(entry) = &self.bound.hosts_entry
            && let Some(more) = entry.plan(&seen.hosts)?
        {
            change.fields.extend(more.fields);
            change.steps.extend(more.steps);
        }
        if let Some(file) = &seen.trust {
            let path = self.trust_path();
            let before = file.content.as_deref().map_or_else(
                || DisplayValue::text("there"),
                |content| DisplayValue::text(fingerprint(content)),
            );
            // The folder belongs to the Engine's settings for this registry; other files in it are
            // not skep's, and the folder then stays.
            let script = path_script("remove_file \"$1\"\nremove_empty_directory \"${1%/*}\"\n");
            change = change
                .field(&path, before, DisplayValue::Absent)
                .step(Step::script(
                    format!("remove {path}"),
                    script,
                    [path.as_str()],
                ));
        }
        Ok((!change.fields.is_empty()).then_some(change))
    }

    fn without_service(&self, server: &RegistryServerState, mut change: Change) -> Change {
        let own = self.name();
        // A service of this name without this registry's label belongs to another owner.
        let ours = |service: &&Value| {
            let label = service
                .pointer("/Spec/Labels")
                .and_then(|labels| labels.get(LABEL));
            label.and_then(Value::as_str) == Some(own.as_str())
        };
        if let Some(service) = server.service.as_ref().filter(ours) {
            let image = service
                .pointer("/Spec/TaskTemplate/ContainerSpec/Image")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let id = service
                .get("ID")
                .and_then(Value::as_str)
                .unwrap_or(&self.service);
            let summary = format!("remove the service {}", self.service);
            change = change
                .field(
                    format!("service {}", self.service),
                    DisplayValue::text(image),
                    DisplayValue::Absent,
                )
                .step(request(
                    summary,
                    &server.managers,
                    "DELETE",
                    format!("/services/{id}"),
                    None,
                ))
                .note(
                    "nodes that have not pulled its images can no longer start services from them",
                );
            if server.directory.is_some() {
                change = change.note(format!(
                    "its images stay in {} of {}",
                    self.directory, self.host
                ));
            }
        }
        if server.htpasswd.is_some() {
            let path = self.htpasswd_path();
            change = change
                .field("users", DisplayValue::text(&path), DisplayValue::Absent)
                .step(Step::script(
                    format!("remove {path}"),
                    path_script("remove_file \"$1\"\n"),
                    [path.as_str()],
                ));
        }
        change
    }
}
