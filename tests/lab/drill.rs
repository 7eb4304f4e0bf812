//! The five drills on real nodes: machines lose power, the swarm reacts as expected, and recovers.

use crate::skep::skep;
use crate::test_lab::TestLab;

const NODES: [&str; 5] = ["docker01", "docker02", "docker03", "docker04", "docker05"];

#[test]
fn all_drills() {
    let lab = TestLab::with_docker("drill", &["--managers", "3", "--workers", "2"]);
    lab.run(
        "apply",
        "playbooks/docker.toml",
        &["playbooks/swarm.toml", "--yes"],
    )
    .exits(0);
    let inventory = lab.inventory();
    let text = std::fs::read_to_string(&inventory).unwrap();
    let mirror = text
        .split("docker_repository = \"")
        .nth(1)
        .unwrap()
        .split("/docker\"")
        .next()
        .unwrap();
    for node in NODES {
        lab.on(
            node,
            &format!("curl -sSf {mirror}/images/busybox.tar | docker import - drill:1"),
        );
    }
    // A task on each machine behind a published port, and two tasks on any machine.
    lab.on(
        "docker01",
        "docker service create --detach --no-resolve-image --name web --mode global \
           --publish mode=host,target=80,published=8080 drill:1 /bin/httpd -f -p 80 -h /etc &&
         docker service create --no-resolve-image --name pair --replicas 2 drill:1 /bin/sleep 1000000",
    );
    lab.until(
        "docker01",
        "[ \"$(docker service ps web --filter desired-state=running --format '{{.CurrentState}}' | grep -c ^Running)\" = 5 ]",
        std::time::Duration::from_secs(60),
    );
    let drill = |arguments: &[&str]| skep(&[&["drill"], arguments, &["-i", &inventory]].concat());

    // Without the mark `disposable`, the drill is refused and no machine is stopped.
    let marked = text.replace("disposable = true\n", "");
    assert_ne!(marked, text);
    std::fs::write(&inventory, &marked).unwrap();
    drill(&["worker-loss"])
        .exits(2)
        .says("docker01 is not disposable");
    std::fs::write(&inventory, &text).unwrap();
    drill(&["load-balancer-host"])
        .exits(2)
        .says("a host of the group `load_balancers` (or --host)");
    lab.on("docker04", "true");

    let held = |arguments: &[&str]| {
        let said = drill(arguments).exits(0).says("What should happen:");
        for line in ["requests to the others lost", "whole again after the start"] {
            assert!(
                said.stdout
                    .lines()
                    .any(|row| row.starts_with(line) && row.ends_with("yes")),
                "{}",
                said.stdout
            );
        }
        said
    };
    held(&["worker-loss"]).says("docker04 will be stopped");
    held(&["two-workers"]).says("docker04, docker05 will be stopped");
    held(&["manager-loss"]).says("they choose a new leader");
    held(&["load-balancer-host", "--host", "docker05"])
        .says("clients that know only the lost machine's address");
    held(&["two-managers"])
        .says("no majority")
        .says("none for ");
    let nodes = lab.on(
        "docker01",
        "docker node ls --format '{{.Hostname}} {{.Status}}' | sort",
    );
    assert_eq!(nodes, NODES.map(|node| format!("{node} Ready")).join("\n"));
}
