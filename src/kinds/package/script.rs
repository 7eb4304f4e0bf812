//! The steps of `package`: apt gets the same arguments as its simulation. Package names and
//! versions are arguments; only versions that apt did not know yet are selected by the shell, after
//! `apt-get update`.
//!
//! Apt judges whether its binary cache is fresh by the size and the modification time, in seconds,
//! of the source files. A package that dpkg changed within that second to a version of equal length
//! would be missed; therefore the steps and the simulation read without the cache.

use super::super::apt::apt_step;
use crate::model::Step;

/// Arguments: `$1` is `update` or `-`, then the arguments of `apt-get install`. `name?pattern`
/// becomes `name=version`.
const INSTALL: &str = r#"uncached="-o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache="
version_of() {
  known=$(apt-cache $uncached madison "$1" 2>/dev/null | grep ' Packages *$' | cut -d '|' -f 2) || known=
  for version in $known; do
    case $version in
      $2 | *:$2 | $2-* | *:$2-*)
        printf '%s\n' "$version"
        return 0
        ;;
    esac
  done
  printf 'no version of %s matches %s; apt knows:' "$1" "$2" >&2
  printf ' %s' ${known:-none} >&2
  printf '\n' >&2
  return 1
}
[ "$1" != update ] || patiently apt-get -q update
shift
left=$#
while [ "$left" -gt 0 ]; do
  argument=$1
  shift
  left=$((left - 1))
  case $argument in
    *\?*)
      version=$(version_of "${argument%%\?*}" "${argument#*\?}")
      set -- "$@" "${argument%%\?*}=$version"
      ;;
    *) set -- "$@" "$argument" ;;
  esac
done
patiently apt-get -y -q $uncached -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=60 \
  -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold install "$@"
"#;

const REPAIR: &str = r"patiently dpkg --configure -a --force-confdef --force-confold
";

/// Arguments: `$1` is `hold` or `unhold`, then package names.
const MARK: &str = r#"patiently apt-mark -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= "$@"
"#;

/// Returns the step that installs and removes in one transaction.
pub(super) fn install(summary: String, update: bool, arguments: &[String]) -> Step {
    let update = if update { "update" } else { "-" };
    apt_step(
        summary,
        INSTALL,
        [update.to_owned()]
            .into_iter()
            .chain(arguments.iter().cloned()),
    )
}

/// Returns the step that completes the interrupted work of dpkg.
pub(super) fn repair() -> Step {
    apt_step(
        "complete the interrupted work of dpkg",
        REPAIR,
        Vec::<String>::new(),
    )
}

/// Returns the step that sets or releases the hold of packages.
pub(super) fn mark(hold: bool, names: &[&str]) -> Step {
    let (verb, summary) = if hold {
        ("hold", "hold")
    } else {
        ("unhold", "release the hold of")
    };
    let arguments: Vec<&str> = [verb].into_iter().chain(names.iter().copied()).collect();
    apt_step(format!("{summary} {}", names.join(", ")), MARK, arguments)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::super::trial::{self, ScratchFolder};
    use super::*;
    use crate::model::Operation;

    /// Runs the install step with substitutes for apt's programs that record their arguments.
    fn try_it(update: bool, arguments: &[&str]) -> (Result<String, String>, String) {
        let scratch = ScratchFolder::new();
        let log = scratch.path("log");
        let madison = "printf ' docker-ce | %s | https://x noble/stable amd64 Packages\\n' 5:29.0.0-1~u 5:28.3.1-1~u \
                       5:28.0.0-1~u; echo ' docker-ce | 5:28.9.9-1 | https://x noble/stable Sources'";
        for (name, answer) in [("apt-get", ""), ("apt-cache", madison)] {
            let text = format!(
                "#!/bin/sh\n[ {name} = apt-cache ] || printf '[%s]' \"$@\" >>'{log}'\n{answer}\n"
            );
            std::fs::write(scratch.path(name), text).unwrap();
            trial::run("chmod 755 \"$1\"", &[scratch.path(name)], b"", &[]).unwrap();
        }
        let arguments: Vec<String> = arguments.iter().map(|one| (*one).to_owned()).collect();
        let Operation::Script(script) = install(String::new(), update, &arguments).act else {
            panic!("a script")
        };
        let path = format!("{}:/usr/bin:/bin", scratch.path("").trim_end_matches('/'));
        let result = trial::run(&script.script, &script.arguments, b"", &[("PATH", &path)]);
        (result, std::fs::read_to_string(log).unwrap_or_default())
    }

    #[test]
    fn apt_gets_the_arguments_of_the_simulation() {
        let (result, log) = try_it(
            false,
            &[
                "--no-install-recommends",
                "docker-ce=5:28.3.1-1~u",
                "docker.io-",
            ],
        );
        result.unwrap();
        assert!(
            log.ends_with("[install][--no-install-recommends][docker-ce=5:28.3.1-1~u][docker.io-]"),
            "{log}"
        );
        assert!(log.starts_with("[-y]"), "no update was asked for: {log}");
    }

    #[test]
    fn version_pattern_is_resolved_after_the_update() {
        let (result, log) = try_it(true, &["docker-ce?28.*", "jq"]);
        result.unwrap();
        assert!(
            log.starts_with("[-q][update]")
                && log.ends_with("[install][docker-ce=5:28.3.1-1~u][jq]"),
            "{log}"
        );
        for pattern in ["28.0.0", "5:28.0.0-1~u"] {
            let (result, log) = try_it(false, &[&format!("docker-ce?{pattern}")]);
            result.unwrap();
            assert!(log.ends_with("[docker-ce=5:28.0.0-1~u]"), "{log}");
        }
    }

    #[test]
    fn pattern_without_match_fails_and_lists_known_versions() {
        let (result, log) = try_it(true, &["docker-ce?27.*"]);
        let error = result.unwrap_err();
        assert!(
            error.contains(
                "no version of docker-ce matches 27.*; apt knows: 5:29.0.0-1~u 5:28.3.1-1~u"
            ),
            "{error}"
        );
        assert_eq!(log, "[-q][update]", "nothing is installed");
    }
}
