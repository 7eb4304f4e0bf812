//! A large image of real services from Debian's packages, for end-to-end tests: one build, one
//! transfer, many commands. Built at the first use and kept in the cache.

use std::path::PathBuf;

use super::command::LocalCommand;
use super::error::LabError;
use super::local_machine;
use super::mmdebstrap::proxy_options;
use super::options::DebianSuite;
use super::progress::ProgressFn;
use super::state::StateDirectory;

/// Packages of the image. The services have Debian's configuration; a test sets all else by the
/// command that it runs.
pub(crate) const PACKAGES: &[&str] = &[
    "adminer",
    "apache2",
    "apache2-utils",
    "caddy",
    "curl",
    "docker-registry",
    "gunicorn",
    "mariadb-server",
    "nginx-light",
    "openssl",
    // Without php-fpm, WordPress would pull in Apache's module, which changes the configuration of
    // Apache.
    "php",
    "php-fpm",
    "php-mysql",
    "postgresql",
    "prometheus",
    "prometheus-blackbox-exporter",
    "python3-flask",
    "python3-psycopg2",
    "python3-pymongo",
    "python3-pymysql",
    "python3-redis",
    "redis-server",
    "wordpress",
    // Every release has this theme; the newest WordPress uses the newest theme that it finds.
    "wordpress-theme-twentytwentythree",
];

/// Script that runs in the new tree. Databases are created by the container that starts a service,
/// package lists are useless without a route to the outside, and the largest files that no service
/// needs (PostgreSQL's compiler, promtool, tools of MariaDB, modules of Perl) are more than half of
/// the size.
pub(crate) const SETUP: &str = r#"cd "$1" && rm -rf var/lib/apt/lists/* var/cache/apt/*.bin var/cache/apt/archives/*.deb \
var/lib/mysql/* var/lib/postgresql/*/main etc/postgresql/*/main usr/bin/promtool usr/lib/*/libLLVM* usr/lib/*/libz3* \
usr/lib/postgresql/*/lib/bitcode usr/lib/postgresql/*/lib/llvmjit* usr/share/javascript/* usr/lib/*/perl usr/share/perl usr/share/i18n \
usr/bin/aria_* usr/bin/myisam* usr/bin/perror usr/bin/replace usr/bin/resolve_stack_dump \
usr/bin/mariadb-binlog usr/bin/mariadb-check usr/bin/mariadb-conv usr/bin/mariadb-dump usr/bin/mariadb-import usr/bin/mariadb-plugin \
usr/bin/mariadb-show usr/bin/mariadb-slap usr/bin/mariadb-tzinfo-to-sql usr/bin/mariadb-upgrade usr/bin/mariadb-waitpid"#;

/// Files that no test needs.
pub(crate) const LEFT_OUT: &[&str] = &[
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/locale/*",
    "/usr/share/info/*",
    "/usr/share/mysql/mysql-test/*",
];

/// Returns the path of the image's tar in the cache, and builds the image if it is missing. The
/// caller holds the build lock.
pub(crate) fn ensure(
    state: &StateDirectory,
    suite: DebianSuite,
    hash: &str,
    progress: ProgressFn<'_>,
) -> Result<PathBuf, LabError> {
    let place = state
        .cache()
        .join(format!("services-{}-{hash}.tar", suite.name()));
    if place.exists() {
        return Ok(place);
    }
    let mirror = local_machine::debian_mirror();
    progress(&format!(
        "building the image of services from {mirror} (mmdebstrap), about a minute"
    ));
    let half = tempfile::Builder::new()
        .prefix("image-services-")
        .suffix(".tar")
        .tempfile_in(state.cache());
    let half = half.map_err(LabError::file("create", &place))?;
    LocalCommand::new("mmdebstrap")
        .arguments(["--quiet", "--variant=minbase", "--format=tar"])
        .arguments(
            LEFT_OUT
                .iter()
                .map(|path| format!("--dpkgopt=path-exclude={path}")),
        )
        .arguments([
            format!("--include={}", PACKAGES.join(",")),
            format!("--customize-hook={SETUP}"),
        ])
        .arguments(proxy_options())
        .arguments([suite.name(), &half.path().to_string_lossy(), &mirror])
        .seconds(1800)
        .run()?;
    LocalCommand::new("chmod")
        .arguments(["0644"])
        .arguments([half.path()])
        .run()?;
    // Only a complete image gets the final name, so a killed build leaves no partial image behind.
    half.persist(&place)
        .map_err(|error| LabError::file("rename", &place)(error.error))?;
    Ok(place)
}
