//! nginx and PHP from the shipped playbook with a kernel that mounts NFS: three machines, all of
//! them managers with a balancer, and one export that holds every page. nginx, PHP and the NFS
//! server are Debian's.

use super::{NODES, WAIT_LIMIT};
use crate::skep::Said;
use crate::test_lab::TestLab;

const ADDRESSES: [&str; 3] = ["192.168.56.11", "192.168.56.12", "192.168.56.13"];

/// nginx and php-fpm without the rest of `services:lab`; the result is served to the other
/// machines.
const BASE: &str = r#"mkdir -p /root/base && cd /root/base
cat >make-tree <<'END'
set -eu
mkdir -p /tree/usr/bin /tree/usr/sbin /tree/usr/lib /tree/usr/lib64 /tree/tmp /tree/run /tree/var/log/nginx /tree/var/lib/nginx
for name in bin sbin lib lib64; do ln -s usr/$name /tree/$name; done
chmod 1777 /tree/tmp
cp -a --parents /usr/sbin/nginx /etc/nginx /usr/sbin/php-fpm* /usr/lib/php /etc/php /etc/passwd /etc/group /usr/share/zoneinfo/UTC /usr/share/zoneinfo/Etc/UTC /tree
cp -L --parents /usr/bin/dash /usr/bin/sleep /usr/bin/find /usr/bin/head /tree
ln -s dash /tree/usr/bin/sh
find /tree/usr -name '*.so' -o -path '*bin/*' -type f | xargs ldd 2>/dev/null | grep -o '/[^ ]*lib[^ ]*\.so[^ ]*' | grep -v ':$' | sort -u |
  while read -r library; do cp -L --parents "$library" /tree; done
END
printf 'FROM services:lab AS all\nCOPY make-tree /\nRUN sh /make-tree\nFROM scratch\nCOPY --from=all /tree /\n' >Dockerfile
docker build -q -t nginx-php:lab . && docker save nginx-php:lab >base.tar
docker run -d --rm --name offer --network host -v /root/base:/base:ro busybox:lab httpd -f -p 9000 -h /base"#;

fn run(lab: &TestLab, verb: &str, more: &[&str]) -> Said {
    let values = [
        "registry_image=registry:lab",
        "nginx_php_base=nginx-php:lab",
        "nginx_php_install=:",
        "nginx_php_balancer_image=nginx-php:lab",
    ];
    let mut arguments: Vec<&str> = values.iter().flat_map(|value| ["-e", value]).collect();
    arguments.extend(more);
    lab.run(verb, "playbooks/nginx-php.toml", &arguments)
}

#[test]
#[ignore = "whole virtual machines take minutes: make test-vm"]
fn nginx_php_on_nfs() {
    let step = |what: &str| eprintln!("== {what}");
    step("three more machines boot");
    let lab = TestLab::up_with(
        "vm-nginx",
        &["--virtual-machines", "--managers", "3", "--workers", "0"],
    );
    step("Engines and images");
    lab.run(
        "apply",
        "playbooks/docker.toml",
        &["--yes", "-e", "insecure_registries=[\"docker01:5000\"]"],
    )
    .exits(0);
    for image in ["registry", "busybox", "services"] {
        lab.image(image, &["docker01"]);
    }
    lab.on("docker01", BASE);
    for node in ["docker02", "docker03"] {
        lab.on(
            node,
            "curl -sS --fail http://192.168.56.11:9000/base.tar | docker load -q",
        );
    }
    lab.on("docker01", "docker stop -t 1 offer");
    step("nginx and PHP on three managers");
    run(&lab, "apply", &["--yes"]).exits(0);
    run(&lab, "check", &[]).exits(0).says("In sync");
    step("pages from the export");
    lab.on(
        "docker03",
        "echo '<?php echo \"one place\";' >/srv/nginx-php/www/where.php",
    );
    for (node, address) in NODES.iter().zip(ADDRESSES) {
        let mounts = lab.on(node, "grep ' nfs4 ' /proc/mounts");
        assert!(
            mounts.contains(":/srv/nginx-php/www ") && mounts.contains("addr=192.168.56.13"),
            "{mounts}"
        );
        let said = lab.on(
            "docker01",
            &format!("curl -sS --fail --max-time 30 http://{address}:8081/"),
        );
        assert!(
            said.contains(&format!("You have reached {node}.")),
            "{said}"
        );
        lab.until(
            "docker01",
            &format!("curl -sS --fail --max-time 30 http://{address}:8081/where.php | grep -qx 'one place'"),
            WAIT_LIMIT,
        );
    }
    step("balancers");
    for address in ADDRESSES {
        let all = format!(
            "for i in $(seq 30); do curl -sS --fail --max-time 30 http://{address}/ | grep -o 'You have reached [a-z0-9]*'; done | sort -u | wc -l | grep -qx 3"
        );
        lab.until("docker02", &all, WAIT_LIMIT);
    }
}
