//! From bare nodes to a swarm: plan changes nothing, apply creates the cluster, check finds no
//! drift, and a second apply changes nothing.

use crate::test_lab::TestLab;

/// Checksums of everything that a plan must not change, and the list of running programs.
pub const FINGERPRINT: &str = "cd /; find etc home root srv opt usr/local var/lib/dpkg var/lib/apt var/cache/apt var/lib/systemd/linger \
     -xdev -type f -exec sha256sum {} + 2>/dev/null | sort -k 2; find etc home root srv opt run/skep* var/lib/skep -xdev -printf '%p %m %u %g %l\\n' 2>/dev/null | sort; \
     ps -eo user=,comm= | grep -v -e 'ps$' -e 'sh$' -e 'sort$' -e 'sshd' -e 'grep$' -e 'systemd' -e 'sd-pam' -e 'sed$' | sort -u";

pub fn plan_touches_nothing(lab: &TestLab) {
    let nodes = lab.nodes();
    let before: Vec<String> = nodes.iter().map(|node| lab.on(node, FINGERPRINT)).collect();
    assert!(
        before[0].contains("etc/passwd") && before[0].contains("var/lib/dpkg/status"),
        "the fingerprint sees something"
    );
    let said = lab.web2py("plan", &["--exit-code"]).exits(3);
    for expected in [
        "apt_repository[docker]",
        "docker-ce",
        "swarm_member",
        "web2py.tier.db",
        "symlink[/home/vagrant/web2py/mysql5/datadir]",
        "user_in_group",
        "insecure-registries",
    ] {
        assert!(
            said.stdout.contains(expected),
            "the plan lacks {expected}:\n{}",
            said.stdout
        );
    }
    lab.web2py("plan", &[]).exits(0);
    for (node, before) in nodes.iter().zip(before) {
        let after = lab.on(node, FINGERPRINT);
        let differing: Vec<&str> = after
            .lines()
            .filter(|line| !before.contains(line))
            .collect();
        assert_eq!(before, after, "plan touched {node}: {differing:?}");
    }
}

pub fn cluster_matches_playbook(lab: &TestLab, distribution: &str) {
    let nodes = lab.on(
        "docker01",
        "docker node ls --format '{{.Hostname}} {{.Status}} {{.ManagerStatus}}'",
    );
    let mut nodes: Vec<&str> = nodes.lines().map(str::trim).collect();
    nodes.sort_unstable();
    let wanted = ["docker01 Ready Leader", "docker02 Ready", "docker03 Ready"];
    assert_eq!(nodes, wanted[..lab.nodes().len()]);
    let label = |node: &str| {
        lab.on(
            "docker01",
            &format!("docker node inspect {node} --format '{{{{json .Spec.Labels}}}}'"),
        )
    };
    for node in &lab.nodes() {
        let labels = match node.as_str() {
            "docker02" => r#"{"web2py.tier.db":"true"}"#,
            _ => "{}",
        };
        assert_eq!(label(node), labels, "{node}");
        for package in [
            "docker-ce",
            "docker-ce-cli",
            "containerd.io",
            "docker-buildx-plugin",
            "docker-compose-plugin",
        ] {
            assert_eq!(
                lab.on(
                    node,
                    &format!("dpkg-query -W -f '${{db:Status-Status}}' {package}")
                ),
                "installed"
            );
        }
        let policy = lab.on(node, "apt-cache policy docker-ce");
        assert!(
            policy.contains(&format!("/linux/{distribution}")),
            "docker-ce came from the repository: {policy}"
        );
        assert!(
            lab.on(node, "id -nG vagrant")
                .split(' ')
                .any(|group| group == "docker")
        );
        lab.on(node, "su - vagrant -c 'docker version' >/dev/null");
        let registries = lab.on(
            node,
            "docker info --format '{{json .RegistryConfig.IndexConfigs}}'",
        );
        assert!(registries.contains("docker01:5000"), "{registries}");
        assert_eq!(
            lab.on(node, "stat -c %N /home/vagrant/web2py/mysql5/datadir"),
            "'/home/vagrant/web2py/mysql5/datadir' -> '/srv/web2py/mysql5/datadir'"
        );
        assert_eq!(
            lab.on(node, "stat -Lc '%u %a' /home/vagrant/web2py/mysql5/datadir"),
            "999 750"
        );
        for link in [
            "apache2/conf",
            "apache2/htdocs",
            "mysql5/mysql_cnf",
            "mysql5/init",
        ] {
            assert_eq!(
                lab.on(node, &format!("readlink /home/vagrant/web2py/{link}")),
                format!("/srv/web2py/{link}")
            );
        }
        // The variables of the stack must name the directories behind the links.
        lab.on(node, ". /home/vagrant/web2py/env_for_cluster.sh && test -d \"$MYSQL_DATA_DIR\" -a -d \"$MYSQL_CONF_DIR\" -a -d \"$APACHE_HTDOCS_DIR\"");
        assert!(
            lab.on(node, "getent hosts docker02").contains("10."),
            "nodes know each other by name"
        );
    }
}

pub fn nothing_is_left_to_do(lab: &TestLab) {
    let started = || -> Vec<String> {
        let show = "systemctl show -p ExecMainStartTimestamp,MainPID,NRestarts docker";
        let nodes = lab.nodes();
        nodes.iter().map(|node| lab.on(node, show)).collect()
    };
    let before = started();
    let said = lab.web2py("check", &[]).exits(0).says("In sync");
    assert!(
        !said.stdout.contains("  ~ ") && !said.stdout.contains("  + "),
        "{}",
        said.stdout
    );
    lab.web2py("apply", &["--yes"])
        .exits(0)
        .says("In sync, checked");
    assert_eq!(before, started(), "no Engine was restarted");
}

#[test]
fn bootstrap_debian_13() {
    let lab = TestLab::up("bootstrap");
    plan_touches_nothing(&lab);
    lab.web2py("apply", &["--yes"]).exits(0).says("Applied");
    cluster_matches_playbook(&lab, "debian");
    nothing_is_left_to_do(&lab);
    crate::drift_repair::drift_is_reported_and_repaired(&lab);
}
