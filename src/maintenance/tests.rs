//! Tables of nodes, services and tasks, and what a drain makes of them.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::assess::{ServiceImpact, assess, assess_begun};
use super::balance::balance;
use super::drain_watch::{progress, settling_time};
use super::placement::{PlacementObstacle, obstacle, place};
use super::workload::SwarmWorkload;

fn node(id: &str) -> Value {
    json!({
        "ID": id,
        "Spec": {"Role": "worker", "Availability": "active", "Labels": {"disk": "SSD"}},
        "Description": {
            "Hostname": format!("host-{id}"),
            "Platform": {"OS": "linux", "Architecture": "x86_64"},
            "Resources": {"NanoCPUs": 2_000_000_000_u64, "MemoryBytes": 1000},
            "Engine": {"Labels": {"Zone": "a"}},
        },
        "Status": {"State": "ready", "Addr": "10.0.0.7"},
    })
}

fn service(id: &str, mode: Value) -> Value {
    json!({"ID": id, "Spec": {"Name": format!("svc-{id}"), "Mode": mode, "TaskTemplate": {}}})
}

fn replicated(id: &str, replicas: u64) -> Value {
    service(id, json!({"Replicated": {"Replicas": replicas}}))
}

fn task(service: &str, node: &str, slot: u64, state: &str) -> Value {
    let desired = if state == "shutdown" {
        state
    } else {
        "running"
    };
    json!({
        "ServiceID": service, "NodeID": node, "Slot": slot, "DesiredState": desired,
        "Status": {"State": state},
    })
}

fn workload(nodes: &[Value], services: &[Value], tasks: &[Value]) -> SwarmWorkload {
    SwarmWorkload::read(&json!(nodes), &json!(services), &json!(tasks))
}

/// Returns the impact in short: name, tasks, moving, elsewhere, and whether it is interrupted.
fn short(impacts: &[ServiceImpact]) -> Vec<(String, usize, usize, usize, bool)> {
    let short = |one: &ServiceImpact| {
        let interrupted = one.interruption.is_some();
        (
            one.service.clone(),
            one.tasks,
            one.moving,
            one.elsewhere,
            interrupted,
        )
    };
    impacts.iter().map(short).collect()
}

#[test]
fn tasks_move_stop_or_interrupt() {
    let nodes = [node("a"), node("b"), node("c")];
    let mut bound = replicated("bound", 1);
    bound["Spec"]["TaskTemplate"]["Placement"]["Constraints"] = json!(["node.id == a"]);
    let services = [
        replicated("two", 2),
        replicated("one", 1),
        service("every", json!({"Global": {}})),
        bound,
        service("job", json!({"ReplicatedJob": {}})),
        replicated("other", 1),
    ];
    let tasks = [
        task("two", "a", 1, "running"),
        task("two", "b", 2, "running"),
        task("one", "a", 1, "running"),
        task("every", "a", 0, "running"),
        task("every", "b", 0, "running"),
        task("bound", "a", 1, "running"),
        task("job", "a", 1, "running"),
        task("other", "b", 1, "running"),
        // An old task is nobody's concern.
        task("other", "a", 1, "shutdown"),
    ];
    let impacts = assess(&workload(&nodes, &services, &tasks), "a", &[]);
    assert_eq!(
        short(&impacts),
        [
            ("svc-bound".to_owned(), 1, 0, 0, true),
            ("svc-every".to_owned(), 1, 0, 1, false),
            ("svc-job".to_owned(), 1, 1, 0, false),
            ("svc-one".to_owned(), 1, 1, 0, true),
            ("svc-two".to_owned(), 1, 1, 1, false),
        ]
    );
    assert_eq!(
        impacts[0].interruption.as_deref(),
        Some("its only running task stops: no other node meets `node.id == a`")
    );
}

#[test]
fn a_volume_of_the_node_is_no_place_to_leave() {
    let nodes = [node("a"), node("b")];
    let mounts = |options: Value| {
        let mut service = replicated("db", 2);
        service["Spec"]["TaskTemplate"]["ContainerSpec"]["Mounts"] =
            json!([{"Type": "volume", "Source": "data", "VolumeOptions": options}]);
        service
    };
    let tasks = [task("db", "a", 1, "running"), task("db", "b", 2, "running")];
    for (options, interrupted) in [
        (json!({}), true),
        (json!({"DriverConfig": {"Name": "local"}}), true),
        (
            json!({"DriverConfig": {"Name": "local", "Options": {"type": "nfs"}}}),
            false,
        ),
        (json!({"DriverConfig": {"Name": "rexray"}}), false),
    ] {
        let state = workload(&nodes, &[mounts(options.clone())], &tasks);
        let impacts = assess(&state, "a", &[]);
        assert_eq!(impacts[0].interruption.is_some(), interrupted, "{options}");
    }
}

#[test]
fn moved_tasks_use_up_the_places_of_other_nodes() {
    let mut service = replicated("web", 3);
    service["Spec"]["TaskTemplate"]["Placement"]["MaxReplicas"] = json!(2);
    let tasks = [
        task("web", "a", 1, "running"),
        task("web", "a", 2, "running"),
        task("web", "b", 3, "running"),
    ];
    let state = workload(&[node("a"), node("b")], &[service], &tasks);
    let impacts = assess(&state, "a", &[]);
    assert_eq!(short(&impacts), [("svc-web".to_owned(), 2, 1, 1, false)]);
    assert_eq!(
        impacts[0].stops.as_deref(),
        Some("every other node has its 2 tasks of this service")
    );
    // A node that is drained as well takes nothing.
    let both = assess(&state, "a", &["b".to_owned()]);
    assert_eq!(both[0].moving, 0);
    assert_eq!(
        both[0].stops.as_deref(),
        Some("no other node is ready and active")
    );
}

#[test]
fn obstacles_of_a_node() {
    use PlacementObstacle::{
        Constraint, HostPort, Platform, Reservation, TasksPerNode, Unavailable,
    };
    let with = |pointer: &str, value: Value| {
        let mut service = replicated("web", 1);
        let mut place = &mut service["Spec"];
        for key in pointer.split('/') {
            place = &mut place[key];
        }
        *place = value;
        service
    };
    let constraint = |text: &str| with("TaskTemplate/Placement/Constraints", json!([text]));
    let unmet = |text: &str| Some(Constraint(text.to_owned()));
    let port = || {
        with(
            "EndpointSpec/Ports",
            json!([{"PublishMode": "host", "PublishedPort": 80, "Protocol": "tcp"}]),
        )
    };
    let ingress = with(
        "EndpointSpec/Ports",
        json!([{"PublishMode": "ingress", "PublishedPort": 80, "Protocol": "tcp"}]),
    );
    let platform = |architecture: &str| {
        with(
            "TaskTemplate/Placement/Platforms",
            json!([{"OS": "linux", "Architecture": architecture}]),
        )
    };
    let reserved = |name: &str, amount: u64| {
        let mut reservations = json!({});
        reservations[name] = json!(amount);
        with("TaskTemplate/Resources/Reservations", reservations)
    };
    for (service, expected) in [
        (constraint("node.role==worker"), None),
        (
            constraint("node.role == MANAGER"),
            unmet("node.role == MANAGER"),
        ),
        (constraint("node.role != manager"), None),
        (constraint("node.labels.disk == ssd"), None),
        (
            constraint("node.labels.Disk==ssd"),
            unmet("node.labels.Disk==ssd"),
        ),
        (constraint("node.labels.none != x"), None),
        (constraint("engine.labels.Zone==a"), None),
        (constraint("node.hostname==host-a"), None),
        (constraint("node.ip==10.0.0.0/24"), None),
        (constraint("node.ip!=10.0.0.7"), unmet("node.ip!=10.0.0.7")),
        (
            constraint("node.ip==10.0.1.0/24"),
            unmet("node.ip==10.0.1.0/24"),
        ),
        (constraint("node.platform.arch==amd64"), None),
        (
            constraint("node.platform.os!=linux"),
            unmet("node.platform.os!=linux"),
        ),
        (
            constraint("node.weather==fine"),
            unmet("node.weather==fine"),
        ),
        (constraint("nonsense"), unmet("nonsense")),
        (port(), Some(HostPort(80))),
        (ingress, None),
        (platform("amd64"), None),
        (platform("arm64"), Some(Platform("linux/arm64".into()))),
        (
            with("TaskTemplate/Placement/MaxReplicas", json!(1)),
            Some(TasksPerNode(1)),
        ),
        (with("TaskTemplate/Placement/MaxReplicas", json!(2)), None),
        (reserved("MemoryBytes", 500), None),
        (reserved("MemoryBytes", 501), Some(Reservation)),
        (reserved("NanoCPUs", 1_000_000_000), None),
        (reserved("NanoCPUs", 1_000_000_001), Some(Reservation)),
    ] {
        // One task of the same service is on the node already.
        let tasks = [task("web", "a", 1, "running")];
        let state = workload(&[node("a")], std::slice::from_ref(&service), &tasks);
        let found = obstacle(&state, state.service("web").unwrap(), &state.nodes[0]);
        assert_eq!(found, expected, "{service}");
    }
    for (pointer, value) in [("State", "down"), ("Availability", "pause")] {
        let mut away = node("a");
        let part = if pointer == "State" { "Status" } else { "Spec" };
        away[part][pointer] = json!(value);
        let state = workload(&[away], &[replicated("web", 1)], &[]);
        let found = obstacle(&state, state.service("web").unwrap(), &state.nodes[0]);
        assert_eq!(found, Some(Unavailable), "{value}");
    }
}

#[test]
fn tasks_are_spread_as_the_scheduler_does() {
    let services = [replicated("web", 2), replicated("other", 9)];
    let tasks = [
        task("web", "a", 1, "running"),
        task("other", "b", 1, "running"),
        task("other", "b", 2, "running"),
    ];
    let state = workload(&[node("a"), node("b")], &services, &tasks);
    // Node a has fewer tasks, but one of this service.
    let placed = place(&state, state.service("web").unwrap(), &[]);
    assert_eq!(placed, Ok("b".to_owned()));
    let placed = place(&state, state.service("other").unwrap(), &[]);
    assert_eq!(placed, Ok("a".to_owned()));
}

#[test]
fn a_drain_waits_for_the_end_of_the_tasks_and_for_their_replacements() {
    let nodes = [node("a"), node("b")];
    let mut web = replicated("web", 2);
    web["Spec"]["UpdateConfig"]["Monitor"] = json!(9_000_000_000_u64);
    let services = [web, service("every", json!({"Global": {}}))];
    let before = [
        task("web", "a", 1, "running"),
        task("web", "b", 2, "running"),
        task("every", "a", 0, "running"),
    ];
    let impacts = assess(&workload(&nodes, &services, &before), "a", &[]);
    assert_eq!(settling_time(&impacts).as_secs(), 9);
    let words = |tasks: &[Value]| {
        let progress = progress(&workload(&nodes, &services, tasks), "a", &impacts);
        (progress.is_complete(), progress.words())
    };
    let stopping = |mut task: Value| {
        task["DesiredState"] = json!("shutdown");
        task
    };
    let mut failing = task("web", "b", 1, "preparing");
    failing["Status"]["Err"] = json!("No such image");
    let mut tasks = vec![
        stopping(before[0].clone()),
        before[1].clone(),
        stopping(before[2].clone()),
        failing,
    ];
    assert_eq!(
        words(&tasks),
        (
            false,
            "svc-every: 1 task not stopped yet; svc-web: 1 task not stopped yet; \
             svc-web: 1 of 2 tasks run on other nodes (No such image)"
                .to_owned()
        )
    );
    tasks[0]["Status"]["State"] = json!("shutdown");
    tasks[2]["Status"]["State"] = json!("shutdown");
    assert!(!words(&tasks).0);
    tasks[3]["Status"]["State"] = json!("running");
    assert_eq!(words(&tasks), (true, String::new()));

    // Another run continues after a kill: it finds the replacements by their slots.
    tasks[3]["Status"]["State"] = json!("preparing");
    tasks.push(task("every", "b", 0, "running"));
    let state = workload(&nodes, &services, &tasks);
    let begun = assess_begun(&state, "a");
    assert_eq!(short(&begun), [("svc-web".to_owned(), 0, 1, 1, false)]);
    assert!(!progress(&state, "a", &begun).is_complete());
    tasks[3]["Status"]["State"] = json!("running");
    assert!(progress(&workload(&nodes, &services, &tasks), "a", &begun).is_complete());
    // A service that was removed meanwhile is not waited for.
    let none = workload(&nodes, &services[1..], &tasks[..1]);
    assert!(progress(&none, "a", &begun).is_complete());
}

#[test]
fn tasks_that_are_about_to_start_are_waited_for() {
    let settling = |replicas: u64, tasks: &[Value]| {
        workload(&[node("a")], &[replicated("web", replicas)], tasks).is_settling()
    };
    assert!(settling(1, &[]));
    assert!(settling(1, &[task("web", "a", 1, "starting")]));
    assert!(settling(
        2,
        &[
            task("web", "a", 1, "running"),
            task("web", "a", 2, "shutdown")
        ]
    ));
    assert!(!settling(1, &[task("web", "a", 1, "running")]));
    assert!(!settling(0, &[]));
    // No node can take the task.
    assert!(!settling(1, &[task("web", "", 1, "pending")]));
    let global = [service("agent", json!({"Global": {}}))];
    assert!(!workload(&[node("a")], &global, &[]).is_settling());
}

#[test]
fn tasks_on_one_node_are_spread_before_its_drain() {
    let (mut full, nodes) = (node("b"), [node("a"), node("b")]);
    full["Spec"]["Availability"] = json!("drain");
    let tasks = [
        task("two", "a", 1, "running"),
        task("two", "a", 2, "running"),
    ];
    let first = |service: &Value, nodes: &[Value], without: &[String]| {
        let impacts = assess(
            &workload(nodes, std::slice::from_ref(service), &tasks),
            "a",
            without,
        );
        (impacts[0].spread_first, impacts[0].interruption.is_some())
    };
    let two = replicated("two", 2);
    assert_eq!(first(&two, &nodes, &[]), (true, false));
    // The other node takes no tasks, or is drained as well.
    assert_eq!(first(&two, &[node("a"), full], &[]), (false, true));
    assert_eq!(first(&two, &nodes, &["b".into()]), (false, true));
    // The tasks must stay where they are.
    let mut slots = two.clone();
    slots["Spec"]["TaskTemplate"]["ContainerSpec"] = json!({"Env": ["ID={{.Task.Slot}}"]});
    assert_eq!(first(&slots, &nodes, &[]), (false, true));
}

#[test]
fn a_service_is_uneven_if_a_node_has_two_tasks_more_than_another_that_takes_one() {
    let nodes = [node("a"), node("b"), node("c")];
    let moving = |service: &Value, at: &[&str]| {
        let tasks: Vec<Value> = at
            .iter()
            .enumerate()
            .map(|(slot, node)| task("s", node, slot as u64, "running"))
            .collect();
        let workload = workload(&nodes, std::slice::from_ref(service), &tasks);
        balance(&workload, &workload.services[0])
            .map(|found| (found.moving, found.obstacle.is_some()))
    };
    let four = replicated("s", 4);
    assert_eq!(moving(&four, &["a", "a", "b", "c"]), Some((0, false)));
    assert_eq!(moving(&four, &["a", "a", "b", "b"]), Some((1, false)));
    assert_eq!(moving(&four, &["a", "a", "a", "a"]), Some((2, false)));
    assert_eq!(
        moving(&replicated("s", 6), &["a", "a", "a", "a", "a", "b"]),
        Some((3, false))
    );
    // One task cannot be uneven; a global service has its place.
    assert_eq!(moving(&replicated("s", 1), &["a"]), None);
    assert_eq!(moving(&service("s", json!({"Global": {}})), &["a"]), None);
    // Only two nodes meet the constraint.
    let mut bound = replicated("s", 3);
    bound["Spec"]["TaskTemplate"]["Placement"]["Constraints"] = json!(["node.id != c"]);
    assert_eq!(moving(&bound, &["a", "a", "b"]), Some((0, false)));
    assert_eq!(moving(&bound, &["a", "a", "a"]), Some((1, false)));
    // Uneven, and it stays.
    let with = |pointer: &str, value: Value| {
        let mut service = replicated("s", 2);
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        if service.pointer(parent).is_none() {
            let (grand, name) = parent.rsplit_once('/').unwrap();
            service.pointer_mut(grand).unwrap()[name] = json!({});
        }
        service.pointer_mut(parent).unwrap()[key] = value;
        service
    };
    for service in [
        with("/UpdateStatus/State", json!("paused")),
        with("/Spec/TaskTemplate/Placement/Preferences", json!([{}])),
        with(
            "/Spec/TaskTemplate/ContainerSpec/Hostname",
            json!("{{.Task.Name}}"),
        ),
        with(
            "/Spec/TaskTemplate/ContainerSpec/Mounts",
            json!([{"Type": "volume", "Source": "data"}]),
        ),
    ] {
        assert_eq!(moving(&service, &["a", "a"]), Some((1, true)), "{service}");
    }
    assert_eq!(
        moving(&four, &["a", "a"]),
        Some((1, true)),
        "two are missing"
    );
    // A rebalance that was killed is finished, whatever the spread is.
    let mut begun = replicated("s", 1);
    begun["Spec"]["Labels"] = json!({"skep.rebalanced-from": "1"});
    assert_eq!(moving(&begun, &["a"]), Some((0, false)));
}
