//! Tests of `stack`: recorded specifications as docker 28 writes them against the recorded list of
//! Engine 26.1 after it accepted them; and the plans for tampering, refusals and missing objects.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::{Value, json};

use super::*;
use crate::kinds::trial;
use crate::kinds::trial::TrialFiles;
use crate::model::{Action, DeployPreview, Operation, STACK_LABEL, StackWrite, Step};
use crate::names::HostName;
use crate::swarm::samples::node;

const TABLE: &str = "name = 'rich'\nsources = ['rich.yml']\nmanagers = 'all'";

fn recorded() -> Value {
    serde_json::from_str(include_str!("tests/rich.json")).unwrap()
}

fn live(record: &Value) -> LiveStack {
    let list = |key: &str| record[key].as_array().cloned().unwrap_or_default();
    LiveStack {
        services: list("live"),
        networks: list("networks"),
        ..LiveStack::default()
    }
}

/// Returns the writes of a deploy over existing objects.
fn updates(record: &Value) -> DeployPreview {
    let write = |body: &Value| StackWrite {
        method: "POST".into(),
        path: "/services/x/update?version=1".into(),
        body: body.clone(),
    };
    DeployPreview {
        writes: record["wanted"]
            .as_array()
            .unwrap()
            .iter()
            .map(write)
            .collect(),
        ..DeployPreview::default()
    }
}

fn stack(more: &str) -> StackResource {
    let files = TrialFiles(
        [
            ("rich.yml", b"services:\n  app:\n    image: x\n".to_vec()),
            ("pw", b"hunter2".to_vec()),
        ]
        .into(),
    );
    let mut stack: StackResource = toml::from_str(&format!("{TABLE}\n{more}")).unwrap();
    let host = HostName::new("one");
    let mut roster = crate::inventory::Roster::default();
    let entry = crate::inventory::RosterEntry {
        groups: vec!["all".into()],
        ..Default::default()
    };
    roster.hosts.insert(host.clone(), entry);
    let context = HostContext {
        host: &host,
        login_user: "root",
        roster: &roster,
        files: &files,
    };
    stack.bind(&context).unwrap();
    stack
}

fn planned(
    stack: &StackResource,
    live: LiveStack,
    preview: DeployPreview,
) -> Result<Option<Change>, Refusal> {
    let found = ClusterState::Live(live, vec![HostName::new("one")]);
    stack.plan(&StackState {
        found,
        preview: Some(StackAnswer::Previewed(preview)),
        data: Vec::new(),
    })
}

fn fields(change: &Change) -> Vec<String> {
    trial::fields(change)
}

fn acts(change: &Change) -> Vec<String> {
    change
        .steps
        .iter()
        .map(|step: &Step| format!("{:?}", step.act))
        .collect()
}

#[test]
fn values_filled_in_by_the_engine_are_not_differences() {
    let record = recorded();
    assert!(
        planned(&stack(""), live(&record), updates(&record))
            .unwrap()
            .is_none()
    );
}

#[test]
fn equivalent_specifications_are_not_differences() {
    let mut record = recorded();
    for service in record["live"].as_array_mut().unwrap() {
        let task = &mut service["Spec"]["TaskTemplate"];
        task["ForceUpdate"] = json!(7);
        task["Placement"]["Platforms"] = json!([{"Architecture": "amd64", "OS": "linux"}]);
        let image = format!(
            "{}@sha256:{}",
            task["ContainerSpec"]["Image"].as_str().unwrap(),
            "a".repeat(64)
        );
        task["ContainerSpec"]["Image"] = json!(image);
        for list in ["Env", "Mounts", "Hosts"] {
            if let Some(list) = task["ContainerSpec"][list].as_array_mut() {
                list.reverse();
            }
        }
        if let Some(list) = task["Placement"]["Constraints"].as_array_mut() {
            list.reverse();
        }
    }
    assert!(
        planned(&stack(""), live(&record), updates(&record))
            .unwrap()
            .is_none()
    );
}

#[test]
fn tampering_is_reported_field_by_field() {
    for (pointer, value, expected, replaced) in [
        (
            "/Mode/Replicated/Replicas",
            json!(5),
            "rich_app replicas: 5 => 2",
            false,
        ),
        (
            "/TaskTemplate/ContainerSpec/Image",
            json!("tiny:9@sha256:ab"),
            "rich_app image: tiny:9@sha256:ab => tiny:1",
            true,
        ),
        (
            "/TaskTemplate/ContainerSpec/Env",
            json!(["A=1", "B=hunter2"]),
            "rich_app environment B: (secret) => (secret)",
            true,
        ),
        (
            "/TaskTemplate/ContainerSpec/Args",
            json!(["sh", "-c", "a b"]),
            "rich_app command: sh -c \"a b\" => sleep 3600",
            true,
        ),
        (
            "/TaskTemplate/Resources/Limits/MemoryBytes",
            json!(1 << 30),
            "rich_app resources limits memory: 1 GiB => 64 MiB",
            true,
        ),
        (
            "/TaskTemplate/Resources/Limits/NanoCPUs",
            json!(0),
            "rich_app resources limits cpus: - => 0.5",
            true,
        ),
        (
            "/TaskTemplate/Placement/Constraints",
            json!(["node.role==manager"]),
            "rich_app constraints: node.role==manager => node.labels.x!=y, node.role==worker",
            false,
        ),
        (
            "/EndpointSpec/Ports/0/PublishedPort",
            json!(9),
            "rich_app port 9->80/tcp: 9->80/tcp on the node itself => -",
            true,
        ),
        (
            "/TaskTemplate/ContainerSpec/Mounts/1/ReadOnly",
            json!(false),
            "rich_app mount /srv: bind /srv => bind /srv read-only",
            true,
        ),
        (
            "/Labels/outer",
            json!("no"),
            "rich_app label outer: no => yy",
            false,
        ),
        (
            "/UpdateConfig/FailureAction",
            json!("pause"),
            "rich_app update failure action: - => rollback",
            false,
        ),
        (
            "/UpdateConfig/Parallelism",
            json!(0),
            "rich_app update parallelism: 0 => 1",
            false,
        ),
        (
            "/TaskTemplate/RestartPolicy/Delay",
            json!(60_000_000_000_u64),
            "rich_app restart delay: 1m => 2s",
            true,
        ),
        (
            "/TaskTemplate/ContainerSpec/Secrets",
            json!([]),
            "rich_app secret rich_pw: - => pw 0:0 0444",
            true,
        ),
        (
            "/TaskTemplate/ContainerSpec/StopGracePeriod",
            json!(5_000_000_000_u64),
            "rich_app stop grace period: 5s => 1s",
            true,
        ),
        (
            "/TaskTemplate/Networks",
            json!([]),
            "rich_app network rich_back: - => as app",
            true,
        ),
    ] {
        let mut record = recorded();
        let services = record["live"].as_array_mut().unwrap();
        let app = services
            .iter_mut()
            .find(|service| service["Spec"]["Name"] == "rich_app")
            .unwrap();
        *app["Spec"]
            .pointer_mut(pointer)
            .unwrap_or_else(|| panic!("{pointer}")) = value;
        let change = planned(&stack(""), live(&record), updates(&record))
            .unwrap()
            .unwrap();
        assert!(
            fields(&change).contains(&expected.to_owned()),
            "{expected}: {:?}",
            fields(&change)
        );
        assert_eq!(
            change
                .notes
                .iter()
                .any(|note| note == "rich_app: tasks are replaced"),
            replaced,
            "{pointer}"
        );
        assert_eq!(
            acts(&change),
            [
                "Deploy(Deployment(rich, 1 files, 0 variables))",
                "Converge(rich)"
            ]
        );
        assert!(!format!("{change:?}").contains("hunter2"));
    }
}

#[test]
fn new_stack_is_described_and_waits_only_if_declared() {
    let record = recorded();
    let mut preview = updates(&record);
    for write in &mut preview.writes {
        write.path = "/services/create".into();
    }
    let network = StackWrite {
        method: "POST".into(),
        path: "/networks/create".into(),
        body: json!({"Name": "rich_back", "Attachable": true}),
    };
    preview.writes.push(network);
    let change = planned(
        &stack("wait = false"),
        LiveStack::default(),
        preview.clone(),
    )
    .unwrap()
    .unwrap();
    assert_eq!((change.action, change.steps.len()), (Action::Create, 1));
    let text = fields(&change).join("\n");
    for expected in [
        "network rich_back: - => overlay, attachable",
        "service rich_every: - => tiny:1, global",
        "service rich_app: - => tiny:1, 2 replicas",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    // Without a swarm, the same plan applies later.
    let observed = StackState {
        found: ClusterState::NoSwarm,
        preview: Some(StackAnswer::Previewed(preview)),
        data: Vec::new(),
    };
    let later = stack("").plan(&observed).unwrap().unwrap();
    assert_eq!(
        (fields(&later), acts(&later)),
        (fields(&change), vec!["KnownAfterApply".to_owned()])
    );
}

#[test]
fn undeclared_services_are_removed_only_with_prune() {
    let record = recorded();
    let mut preview = updates(&record);
    preview
        .writes
        .retain(|write| write.body["Name"] != "rich_plain");
    assert!(
        planned(&stack(""), live(&record), preview.clone())
            .unwrap()
            .is_none(),
        "docker leaves it, too"
    );
    let change = planned(&stack("prune = true"), live(&record), preview)
        .unwrap()
        .unwrap();
    assert_eq!(
        fields(&change),
        ["service rich_plain: tiny:1, 1 replica => -"]
    );
}

#[test]
fn missing_external_object_blocks_the_deploy_but_not_the_plan() {
    let record = recorded();
    let preview = DeployPreview {
        missing: vec!["secret db".into()],
        ..updates(&record)
    };
    let there = LiveStack {
        networks: live(&record).networks,
        ..LiveStack::default()
    };
    let change = planned(&stack(""), there, preview).unwrap().unwrap();
    let [
        Step {
            act: Operation::Blocked { why, .. },
            ..
        },
    ] = change.steps.as_slice()
    else {
        panic!("{:?}", acts(&change))
    };
    assert!(
        why.contains("secret db") && change.notes.iter().any(|note| note.contains("secret db")),
        "{why}"
    );
}

#[test]
fn conflicting_ports_and_networks_are_refused() {
    let record = recorded();
    let with = |path: &str, body: Value| {
        let mut preview = updates(&record);
        preview.writes.push(StackWrite {
            method: "POST".into(),
            path: path.into(),
            body,
        });
        preview
    };
    let mut there = live(&record);
    there.configs = vec![json!({"ID": "c1", "Spec": {"Name": "rich_conf", "Data": "YQ=="}})];
    there.networks.push(
        json!({"Id": "n9", "Name": "shared", "Labels": {"com.docker.stack.namespace": "blog"}}),
    );
    let ports = |port: u64| json!({"Ports": [{"PublishedPort": port, "TargetPort": 80, "Protocol": "tcp", "PublishMode": "ingress"}]});
    there
        .services
        .push(json!({"Spec": {"Name": "blog_web", "Labels": {}, "EndpointSpec": ports(8080)}}));

    let same = with(
        "/configs/c1/update?version=3",
        json!({"Name": "rich_conf", "Data": "YQ=="}),
    );
    assert!(planned(&stack(""), there.clone(), same).unwrap().is_none());
    for (preview, word) in [
        (
            with(
                "/configs/c1/update?version=3",
                json!({"Name": "rich_conf", "Data": "Yg=="}),
            ),
            "config rich_conf",
        ),
        (
            with("/networks/create", json!({"Name": "shared"})),
            "belongs to the stack blog",
        ),
        (
            with(
                "/secrets/create",
                json!({"Name": "rich_big", "DataLength": 800_000}),
            ),
            "the secret rich_big has 586 KiB; the swarm accepts at most 500",
        ),
        (
            with(
                "/configs/create",
                json!({"Name": "rich_long", "Data": "A".repeat(1_400_000)}),
            ),
            "the config rich_long",
        ),
        (
            with(
                "/services/create",
                json!({"Name": "rich_new", "EndpointSpec": ports(8080)}),
            ),
            "8080/tcp for rich_new, but blog_web",
        ),
    ] {
        let refusal = planned(&stack(""), there.clone(), preview).unwrap_err();
        assert!(refusal.why.contains(word), "{refusal:?}");
    }
    let observed = StackState {
        found: ClusterState::NoSwarm,
        preview: Some(StackAnswer::Refused(
            "services.app Additional property x is not allowed".into(),
        )),
        data: Vec::new(),
    };
    assert!(
        stack("")
            .plan(&observed)
            .unwrap_err()
            .why
            .starts_with("rich.yml")
    );
}

#[test]
fn shared_host_mode_ports_are_noted() {
    let record = recorded();
    let host = json!({"Ports": [{"PublishedPort": 81, "TargetPort": 80, "Protocol": "tcp", "PublishMode": "host"}]});
    let mut preview = updates(&record);
    let body = json!({"Name": "rich_new", "EndpointSpec": host});
    preview.writes.push(StackWrite {
        method: "POST".into(),
        path: "/services/create".into(),
        body,
    });
    let mut there = live(&record);
    there
        .services
        .push(json!({"Spec": {"Name": "blog_web", "Labels": {}, "EndpointSpec": host}}));
    let change = planned(&stack(""), there, preview).unwrap().unwrap();
    assert!(
        change.notes.contains(
            &"rich_new and blog_web publish 81/tcp of their nodes: no node can run both".to_owned()
        ),
        "{:?}",
        change.notes
    );
}

#[test]
fn services_that_lack_tasks_differ_without_a_deploy() {
    let mut record = recorded();
    for service in record["live"].as_array_mut().unwrap() {
        service["ServiceStatus"] = json!({"RunningTasks": 1, "DesiredTasks": if service["Spec"]["Name"] == "rich_app" { 2 } else { 1 }});
    }
    let change = planned(&stack(""), live(&record), updates(&record))
        .unwrap()
        .unwrap();
    assert_eq!(
        (fields(&change), acts(&change)),
        (
            vec!["rich_app running tasks: 1 => 2".to_owned()],
            vec!["Converge(rich)".to_owned()]
        )
    );
    assert!(
        planned(&stack("wait = false"), live(&record), updates(&record))
            .unwrap()
            .is_none()
    );
}

#[test]
fn tasks_of_a_lost_node_do_not_count_as_running() {
    let mut lost = node("n2", "docker02", "192.168.56.12");
    lost["Status"]["State"] = "down".into();
    let nodes = json!([node("n1", "docker01", "192.168.56.11"), lost]);
    let task = |node: &str, state: &str| json!({"ServiceID": "s1", "NodeID": node, "Status": {"State": state}});
    let read = |tasks: Value| {
        LiveStack::read(&[
            json!([]),
            json!([]),
            json!([]),
            json!([]),
            nodes.clone(),
            json!([]),
            tasks,
        ])
    };
    let live = read(json!([
        task("n1", "running"),
        task("n2", "running"),
        task("n1", "pending")
    ]));
    assert!(live.has_lost_a_node());
    assert_eq!(live.running_tasks, Some([("s1".to_owned(), 1)].into()));
    let service = json!({"ID": "s1", "Spec": {"Name": "web_app", "Labels": {STACK_LABEL: "web"}}, "ServiceStatus": {"RunningTasks": 2, "DesiredTasks": 2}});
    let mut change = Change::new(Action::Update);
    assert!(running::compare(
        "web",
        &LiveStack {
            services: vec![service.clone()],
            ..live
        },
        &mut change
    ));
    assert_eq!(fields(&change), ["web_app running tasks: 1 => 2"]);
    // The Engine's number is used when no node is lost.
    assert!(!running::compare(
        "web",
        &LiveStack {
            services: vec![service],
            ..LiveStack::default()
        },
        &mut Change::new(Action::Update)
    ));
}

#[test]
fn absent_stack_removes_services_first_and_waits_for_their_tasks() {
    let record = recorded();
    let mut there = live(&record);
    there.secrets = vec![json!({"ID": "s1", "Spec": {"Name": "rich_pw"}})];
    let mut gone: StackResource = toml::from_str("name = 'rich'\nstate = 'absent'").unwrap();
    gone.site = stack("").site;
    let change = planned(&gone, there, DeployPreview::default())
        .unwrap()
        .unwrap();
    let acts = acts(&change);
    assert_eq!(
        acts.iter().position(|act| act.starts_with("Wait")),
        Some(3),
        "{acts:?}"
    );
    assert!(
        acts[4].contains("DELETE /secrets/s1") && acts.len() == 7,
        "{acts:?}"
    );
    assert!(
        planned(&gone, LiveStack::default(), DeployPreview::default())
            .unwrap()
            .is_none()
    );
}

#[test]
fn invalid_tables_are_refused() {
    for (table, word) in [
        ("name = 'a b'\nsources = ['rich.yml']", "name of a stack"),
        ("name = '-a'\nsources = ['rich.yml']", "name of a stack"),
        ("name = 'a'", "no host"),
        ("name = 'a'\ntimeout = 'soon'", "not a duration"),
    ] {
        let error = trial::invalid::<StackResource>(table);
        assert!(error.contains(word), "{table}: {error}");
    }
    for variables in [
        "DOCKER_HOST = 'x'",
        "PATH = 'x'",
        "'a b' = 'x'",
        "A = ['x']",
    ] {
        let stack: StackResource =
            toml::from_str(&format!("name = 'a'\n[variables]\n{variables}")).unwrap();
        assert!(stack.variables().is_err(), "{variables}");
    }
    assert!(toml::from_str::<StackResource>("name = 'a'\nsource = 'x'").is_err());
}
