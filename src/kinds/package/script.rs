//! The steps of `package`: what is given to apt is what was given to its simulation. Package names and versions are
//! arguments; only versions that apt did not know yet are looked up by the shell, after `apt-get update`.
//!
//! Apt takes its binary cache as fresh by the size and the second of the files it came from. A package that dpkg changed
//! to a version of equal length within that second would be missed, so the steps read without it, as the simulation does.

use super::super::apt::apt_step;
use crate::model::Step;

/// `$1` `update` or `-`, then the arguments of `apt-get install`. `name?pattern` becomes `name=version`.
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

const REPAIR: &str = r#"patiently dpkg --configure -a --force-confdef --force-confold
"#;

/// `$1` `hold` or `unhold`, then names.
const MARK: &str = r#"patiently apt-mark -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= "$@"
"#;

/// Installs and removes in one transaction.
pub fn install(summary: String, update: bool, arguments: &[String]) -> Step {
    let update = if update { "update" } else { "-" };
    apt_step(
        summary,
        INSTALL,
        [update.to_owned()]
            .into_iter()
            .chain(arguments.iter().cloned()),
    )
}

/// Finishes what an interrupted dpkg left half-done.
pub fn repair() -> Step {
    apt_step(
        "finish the interrupted work of dpkg",
        REPAIR,
        Vec::<String>::new(),
    )
}

/// Sets or takes away the hold of packages.
pub fn mark(hold: bool, names: &[&str]) -> Step {
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

    /// Runs the install step against programs that answer as apt does and write down how they were called.
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
    fn apt_gets_the_very_arguments() {
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
    fn a_pattern_is_looked_up_after_the_update() {
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
    fn a_pattern_without_a_match_fails_and_says_what_there_is() {
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
