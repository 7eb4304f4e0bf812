//! Images of single services, taken from `services:lab` with the libraries that they need. The
//! whole image has hundreds of megabytes, which a registry compresses and each node unpacks.

use std::fs::File;
use std::process::Stdio;

use crate::test_lab::TestLab;

/// Files of a service in `services:lab`.
pub struct ServicePart {
    /// Name of the new image.
    pub image: &'static str,
    /// Paths and patterns of the shell.
    paths: &'static str,
}

/// Python with the packages of the image: Flask, gunicorn and the clients of the databases.
pub const PYTHON: ServicePart = ServicePart {
    image: "python:lab",
    paths: "/usr/lib/python3* /usr/bin/python3* /usr/bin/gunicorn /usr/share/python3",
};

/// nginx and php-fpm.
pub const NGINX_PHP: ServicePart = ServicePart {
    image: "nginx-php:lab",
    paths: "/usr/sbin/nginx /etc/nginx /usr/lib/nginx /usr/share/nginx /usr/sbin/php-fpm* /usr/lib/php /etc/php /usr/share/zoneinfo/UTC /usr/share/zoneinfo/Etc/UTC",
};

/// Apache.
pub const APACHE: ServicePart = ServicePart {
    image: "apache:lab",
    paths: "/usr/sbin/apache2 /usr/lib/apache2 /etc/apache2 /etc/mime.types",
};

/// MariaDB: the server, its client, and the programs that create a database.
pub const MARIADB: ServicePart = ServicePart {
    image: "mariadb:lab",
    paths: "/usr/sbin/mariadbd /usr/bin/mariadb /usr/bin/mariadb-admin /usr/bin/mariadb-install-db /usr/bin/my_print_defaults /usr/bin/resolveip /usr/share/mariadb /usr/lib/mysql /etc/mysql /etc/alternatives/my.cnf",
};

/// PostgreSQL.
pub const POSTGRESQL: ServicePart = ServicePart {
    image: "postgresql:lab",
    paths: "/usr/lib/postgresql /usr/share/postgresql /usr/share/zoneinfo /usr/lib/locale/C.utf8",
};

/// Redis.
pub const REDIS: ServicePart = ServicePart {
    image: "redis-server:lab",
    paths: "/usr/bin/redis-*",
};

/// Builds the image of a part. The shell and its usual programs are in each of them.
const BUILD: &str = r#"set -e
mkdir -p /root/part && cd /root/part
cat >make-tree <<'END'
set -eu
mkdir -p /tree/usr/bin /tree/usr/sbin /tree/usr/lib /tree/usr/lib64 /tree/tmp /tree/run /tree/var/log/nginx /tree/var/lib/nginx
for name in bin sbin lib lib64; do ln -s usr/$name /tree/$name; done
chmod 1777 /tree/tmp
cp -a --parents /etc/passwd /etc/group /etc/nsswitch.conf PATHS /tree
# The C library loads this one itself, when a thread ends.
cp -L --parents /usr/lib/*/libgcc_s.so.1 /tree
for name in dash basename cat chmod chown cp cut date dirname env find grep head hostname id ln ls mawk mkdir mktemp mv rm sed sleep sort stat tail touch tr uname wc whoami; do
  cp -L "/usr/bin/$name" /tree/usr/bin
done
ln -s dash /tree/usr/bin/sh
ln -s mawk /tree/usr/bin/awk
find /tree/usr -name '*.so' -o -path '*bin/*' -type f | xargs ldd 2>/dev/null | grep -o '/[^ ]*lib[^ ]*\.so[^ ]*' | grep -v ':$' | sort -u |
  while read -r library; do cp -L --parents "$library" /tree; done
END
printf 'FROM services:lab AS all\nCOPY make-tree /\nRUN sh /make-tree\nFROM scratch\nCOPY --from=all /tree /\n' >Dockerfile
docker build -q -t IMAGE ."#;

impl ServicePart {
    /// Builds the image on a node that has `services:lab`.
    #[track_caller]
    pub fn build(&self, lab: &TestLab, node: &str) {
        let script = BUILD
            .replace("PATHS", self.paths)
            .replace("IMAGE", self.image);
        lab.on(node, &script);
    }
}

/// Copies an image from the Engine of a node into the Engines of others.
#[track_caller]
pub fn copy_image(lab: &TestLab, image: &str, from: &str, to: &[&str]) {
    let archive = lab.path("image.tar");
    let saved = lab
        .shell(from, &format!("docker save {image}"))
        .stdout(File::create(&archive).expect("a file"))
        .status()
        .expect("nsenter starts");
    assert!(saved.success(), "{image} cannot be saved on {from}");
    for node in to {
        let loaded = lab
            .shell(node, "docker load -q")
            .stdin(File::open(&archive).expect("a file"))
            .stdout(Stdio::null())
            .status()
            .expect("nsenter starts");
        assert!(loaded.success(), "{image} cannot be loaded on {node}");
    }
}
