//! The registry's service: its specification, the differences from the live service, and the steps
//! that bring it in sync.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{
    Change, DisplayValue, HostName, PathType, Refusal, RegistryResource, RegistryServerState, Step,
    fingerprint, htpasswd, write,
};
use crate::base::path_script;
use crate::model::{
    Action, DockerCall, GeneratedValue, Operation, STEP_TIMEOUT, WaitForValue, docker_filters,
};

/// Label of the service: prefix of the images of this registry. `status --images` finds registries
/// by it.
pub const LABEL: &str = "skep.registry";
/// Label of the service: the certificate of the authority, for every host that should trust it. The
/// certificate is public by nature.
pub(super) const LABEL_AUTHORITY: &str = "skep.registry.authority";
/// Label of the service: the directory with the images on its host.
pub const LABEL_DIRECTORY: &str = "skep.registry.directory";
/// Label of the containers: changes with the certificate and the users, which a registry reads only
/// when it starts.
const LABEL_FILES: &str = "skep.registry.files";

/// Time limit for the start of the service.
const PATIENCE: Duration = Duration::from_secs(120);

impl RegistryResource {
    /// Returns the path of the users' file, which is beside the directory of the images and not in
    /// it.
    pub(super) fn htpasswd_path(&self) -> String {
        format!("{}.htpasswd", self.directory)
    }

    pub(super) fn plan_server(
        &self,
        server: &RegistryServerState,
        mut change: Change,
    ) -> Result<Change, Refusal> {
        match &server.directory {
            None => {
                let path = self.directory.as_str();
                let make = Step::script(
                    format!("create {path}"),
                    path_script("make_directory \"$1\" 0:0 0700\n"),
                    [path],
                );
                change = change
                    .field("directory", DisplayValue::Absent, DisplayValue::text(path))
                    .step(make);
                let known = server.service.is_some();
                if known {
                    change = change.note(
                        "the service exists but its directory does not: all its images are lost",
                    );
                }
            }
            Some(path) if path.kind != PathType::Directory => {
                return Err(Refusal {
                    why: format!(
                        "{} is {}, not a directory",
                        self.directory,
                        path.kind.with_article()
                    ),
                    hint: "move it away, or name another directory".into(),
                });
            }
            Some(_) => {}
        }
        let mut users = String::new();
        if !self.users.is_empty() {
            let path = self.htpasswd_path();
            let before = server
                .htpasswd
                .as_ref()
                .and_then(|file| file.content.as_deref());
            users = String::from_utf8_lossy(before.unwrap_or_default()).into_owned();
            let differences = htpasswd::differences(&self.users, &users);
            let open = server
                .htpasswd
                .as_ref()
                .is_some_and(|file| file.mode & 0o077 != 0);
            if open {
                change = change.field(
                    "users are for",
                    DisplayValue::text("more than root"),
                    DisplayValue::text("root alone"),
                );
            }
            for (user, before, after) in &differences {
                change = change.field(
                    format!("user {user}"),
                    DisplayValue::text(*before),
                    DisplayValue::text(*after),
                );
            }
            if open || !differences.is_empty() {
                users = htpasswd::file(&self.users, &users).map_err(|why| Refusal {
                    why: format!("cannot create the hashes of the users: {why}"),
                    hint: "run again".into(),
                })?;
                change = change.step(write(&path, users.clone().into_bytes(), 0o600));
            }
        }
        self.plan_service(server, &users, change)
    }

    fn plan_service(
        &self,
        server: &RegistryServerState,
        users: &str,
        mut change: Change,
    ) -> Result<Change, Refusal> {
        let summary = format!("run the service {}", self.service);
        let missing_certificate = self.certificate.is_some() && server.certificate.is_none();
        let (Some(node), false, false) = (
            &server.node,
            server.managers.is_empty(),
            missing_certificate,
        ) else {
            if server.service.is_none() {
                change.action = Action::Create;
            }
            let waits = match &self.certificate {
                Some(directory) if missing_certificate => {
                    format!("once {directory} has a certificate")
                }
                _ => "once the host is in the swarm".to_owned(),
            };
            return Ok(change
                .field(
                    format!("service {}", self.service),
                    DisplayValue::Absent,
                    DisplayValue::text(&self.image),
                )
                .step(Step::known_after_apply(format!("{summary}, {waits}"))));
        };
        if let Some(label) = &self.label
            && !node.labels.contains(label)
        {
            // In a forecast, an earlier resource may set the label.
            return Ok(change
                .field(
                    format!("service {}", self.service),
                    DisplayValue::Absent,
                    DisplayValue::text(&self.image),
                )
                .note(format!(
                    "the node of {} does not have the label {label} yet: set it with node_labels before the registry",
                    self.host
                ))
                .step(Step::known_after_apply(format!(
                    "{summary}, once its node has the label {label}"
                ))));
        }
        let wanted = self.specification(server, &node.id, users);
        let Some(live) = &server.service else {
            change.action = Action::Create;
            for (field, value) in shown(&wanted) {
                change = change.field(field, DisplayValue::Absent, DisplayValue::text(value));
            }
            let create = call(
                &server.managers,
                "/services/create".into(),
                wanted,
                format!("create the service {}", self.service),
            );
            return Ok(change.step(create).step(self.wait(&server.managers)));
        };
        let spec = live.get("Spec").cloned().unwrap_or_default();
        if spec
            .pointer("/Labels/skep.registry")
            .and_then(Value::as_str)
            .is_none()
        {
            return Err(Refusal {
                why: format!(
                    "a service {} exists that is not a registry of skep",
                    self.service
                ),
                hint: "choose another name: service = \"...\"".into(),
            });
        }
        let (before, after) = (shown(&spec), shown(&wanted));
        let mut differs = false;
        for (field, value) in &after {
            let old = before
                .iter()
                .find(|(name, _)| name == field)
                .map(|(_, value)| value);
            if old != Some(value) {
                differs = true;
                change = change.field(
                    *field,
                    old.map_or(DisplayValue::Absent, DisplayValue::text),
                    DisplayValue::text(value),
                );
            }
        }
        if !differs {
            return Ok(change);
        }
        let id = live
            .get("ID")
            .and_then(Value::as_str)
            .unwrap_or(&self.service);
        let version = live
            .pointer("/Version/Index")
            .and_then(Value::as_u64)
            .unwrap_or_default();
        let update = call(
            &server.managers,
            format!("/services/{id}/update?version={version}"),
            wanted.clone(),
            format!("update the service {}", self.service),
        );
        change = change.step(update);
        // An update of labels or replicas replaces no task and reports no update state.
        let restarts = ["TaskTemplate", "EndpointSpec"].iter().any(|part| {
            let part = |spec: &Value| shown(&json!({*part: spec.get(*part)}));
            part(&spec) != part(&wanted)
        });
        if restarts {
            change = change
                .note("pushes and pulls fail while the registry restarts")
                .step(Step {
                    summary: format!("wait until the task of {} is replaced", self.service),
                    act: Operation::Wait(WaitForValue {
                        managers: server.managers.clone(),
                        path: format!("/services/{id}"),
                        pointer: "/UpdateStatus/State".into(),
                        equals: json!("completed"),
                        deadline: PATIENCE,
                    }),
                });
        }
        Ok(change.step(self.wait(&server.managers)))
    }

    fn specification(&self, server: &RegistryServerState, node: &str, users: &str) -> Value {
        let mut environment = vec![
            "REGISTRY_HTTP_ADDR=:5000".to_owned(),
            "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/var/lib/registry".to_owned(),
            "REGISTRY_STORAGE_DELETE_ENABLED=true".to_owned(),
        ];
        let bind = |source: &str, target: &str, read_only: bool| json!({"Type": "bind", "Source": source, "Target": target, "ReadOnly": read_only});
        let mut mounts = vec![bind(self.directory.as_str(), "/var/lib/registry", false)];
        let mut labels = Map::new();
        labels.insert(LABEL.into(), format!("{}:{}", self.name, self.port).into());
        labels.insert(LABEL_DIRECTORY.into(), self.directory.as_str().into());
        let mut files = String::new();
        if let Some(directory) = &self.certificate {
            mounts.push(bind(directory.as_str(), "/certificate", true));
            environment.push("REGISTRY_HTTP_TLS_CERTIFICATE=/certificate/server.crt".into());
            environment.push("REGISTRY_HTTP_TLS_KEY=/certificate/server.key".into());
            files.push_str(&fingerprint(
                server.certificate.as_deref().unwrap_or_default(),
            ));
            if let Some(authority) = &server.authority {
                labels.insert(
                    LABEL_AUTHORITY.into(),
                    String::from_utf8_lossy(authority).into(),
                );
            }
        }
        if !self.users.is_empty() {
            mounts.push(bind(&self.htpasswd_path(), "/htpasswd", true));
            environment.push("REGISTRY_AUTH=htpasswd".into());
            environment.push(format!("REGISTRY_AUTH_HTPASSWD_REALM={}", self.name));
            environment.push("REGISTRY_AUTH_HTPASSWD_PATH=/htpasswd".into());
            // A bind mount keeps the old file after the file was replaced; the container must start
            // anew.
            files.push_str(&fingerprint(users.as_bytes()));
        }
        let constraint = match self
            .label
            .as_deref()
            .and_then(|label| label.split_once('='))
        {
            Some((key, value)) => format!("node.labels.{key}=={value}"),
            None => format!("node.id=={node}"),
        };
        json!({
            "Name": self.service,
            "Labels": labels,
            "TaskTemplate": {
                "ContainerSpec": {
                    "Image": self.image, "Command": self.command, "Env": environment, "Mounts": mounts,
                    "Labels": {LABEL_FILES: files},
                },
                "Placement": {"Constraints": [constraint]},
                "RestartPolicy": {"Condition": "any", "Delay": 1_000_000_000_u64},
            },
            "Mode": {"Replicated": {"Replicas": 1}},
            "UpdateConfig": {"Parallelism": 1, "Order": "stop-first"},
            // The registry's name resolves to this host: no routing mesh is needed, and the port is
            // used on this host only.
            "EndpointSpec": {"Ports": [
                {"Protocol": "tcp", "TargetPort": 5000, "PublishedPort": self.port, "PublishMode": "host"}
            ]},
        })
    }

    fn wait(&self, managers: &[HostName]) -> Step {
        let filters = docker_filters(&[("name", &[&self.service])]);
        let path = format!("/services?status=true&filters={filters}");
        Step {
            summary: format!("wait until {} runs", self.service),
            act: Operation::Wait(WaitForValue {
                managers: managers.to_vec(),
                path,
                pointer: "/0/ServiceStatus/RunningTasks".into(),
                equals: json!(1),
                deadline: PATIENCE,
            }),
        }
    }
}

fn call(managers: &[HostName], path: String, body: Value, summary: String) -> Step {
    let (managers, late) = (managers.to_vec(), Vec::new());
    Step {
        summary,
        act: Operation::DockerApi(DockerCall {
            managers,
            method: "POST",
            path,
            body: Some(body),
            late,
            made: GeneratedValue::Nothing,
            timeout: STEP_TIMEOUT,
        }),
    }
}

/// Returns the compared fields in the words of a plan, without the fields that an Engine fills in
/// by itself.
fn shown(spec: &Value) -> Vec<(&'static str, String)> {
    let text = |pointer: &str| match spec.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let list = |pointer: &str, each: &dyn Fn(&Value) -> String| {
        let items = spec.pointer(pointer).and_then(Value::as_array);
        items
            .map(|items| items.iter().map(each).collect::<Vec<_>>().join(", "))
            .unwrap_or_default()
    };
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mount = |value: &Value| {
        let part = |name: &str| {
            value
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let read_only = value
            .get("ReadOnly")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        format!(
            "{}:{}{}",
            part("Source"),
            part("Target"),
            if read_only { ":ro" } else { "" }
        )
    };
    let port = |value: &Value| {
        let number = |name: &str| value.get(name).and_then(Value::as_u64).unwrap_or_default();
        let mode = value
            .get("PublishMode")
            .and_then(Value::as_str)
            .unwrap_or("ingress");
        format!(
            "{}:{} ({mode})",
            number("PublishedPort"),
            number("TargetPort")
        )
    };
    let label = |name: &str| {
        let labels = spec.get("Labels").and_then(|labels| labels.get(name));
        labels
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let files = spec
        .pointer("/TaskTemplate/ContainerSpec/Labels")
        .and_then(|labels| labels.get(LABEL_FILES));
    let authority = label(LABEL_AUTHORITY);
    let mut fields = vec![
        ("image", text("/TaskTemplate/ContainerSpec/Image")),
        (
            "command",
            list("/TaskTemplate/ContainerSpec/Command", &word),
        ),
        (
            "environment",
            list("/TaskTemplate/ContainerSpec/Env", &word),
        ),
        ("mounts", list("/TaskTemplate/ContainerSpec/Mounts", &mount)),
        (
            "certificate and users",
            files.and_then(Value::as_str).unwrap_or_default().to_owned(),
        ),
        (
            "runs on",
            list("/TaskTemplate/Placement/Constraints", &word),
        ),
        ("replicas", text("/Mode/Replicated/Replicas")),
        ("port", list("/EndpointSpec/Ports", &port)),
        ("registry", label(LABEL)),
        ("images in", label(LABEL_DIRECTORY)),
        (
            "authority",
            if authority.is_empty() {
                authority
            } else {
                fingerprint(authority.as_bytes())
            },
        ),
    ];
    fields.retain(|(_, value)| !value.is_empty());
    fields
}
