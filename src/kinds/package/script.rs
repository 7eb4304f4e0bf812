//! The steps of `package`: apt gets the same arguments as its simulation. Package names and
//! versions are arguments; only versions that apt did not know yet are selected by the shell, after
//! `apt-get update`.
//!
//! Apt judges whether its binary cache is fresh by the size and the modification time, in seconds,
//! of the source files. A package that dpkg changed within that second to a version of equal length
//! would be missed; therefore the steps and the simulation read without the cache.

use super::super::apt::apt_step;
use super::hold::RECORD;
use crate::base::path_script;
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
# A source that cannot be fetched is no reason to give up: the packages may come from another one.
# The warnings explain why a package is not known, even if the update ends with success.
warnings=''
if [ "$1" = update ]; then
  warnings=$(patiently apt-get -q update 2>&1) || :
  warnings=$(printf '%s\n' "$warnings" | grep -E '^[EW]:' | tail -n 3) || :
fi
shift
left=$#
while [ "$left" -gt 0 ]; do
  argument=$1
  shift
  left=$((left - 1))
  case $argument in
    *\?*)
      version=$(version_of "${argument%%\?*}" "${argument#*\?}") || {
        [ -z "$warnings" ] || printf '%s\n' "$warnings" >&2
        exit 1
      }
      set -- "$@" "${argument%%\?*}=$version"
      ;;
    *) set -- "$@" "$argument" ;;
  esac
done
# `--allow-change-held-packages` allows apt to change every held package, also one that the resource
# does not name.
case " $* " in
*" --allow-change-held-packages "*)
  held=$(apt-mark $uncached showhold)
  [ -z "$held" ] || changed=$(apt-get -s -q $uncached install "$@" | sed -n 's/^\(Inst\|Remv\) \([^ ]*\) \[.*/\2/p')
  for name in $held; do
    case " $* " in *" $name "* | *" $name="* | *" $name- "*) continue ;; esac
    for one in $changed; do
      [ "$one" != "$name" ] || {
        printf '%s is on hold on this host and would be changed, but the resource does not name it\n' "$name" >&2
        exit 1
      }
    done
  done
  ;;
esac
patiently apt-get -y -q $uncached -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=60 \
  -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold install "$@" || {
  status=$?
  [ -z "$warnings" ] || printf '%s\n' "$warnings" >&2
  exit "$status"
}
"#;

const REPAIR: &str = r"patiently dpkg --configure -a --force-confdef --force-confold
";

/// Arguments: `$1` is `hold` or `unhold`, `$2` the record of the holds that skep has set, `$3` the
/// packages, `$4` those of them that enter or leave the record. The names are separated by spaces;
/// a name contains neither a space nor a wildcard. The record never lacks a hold that skep has set.
const MARK: &str = r#"verb=$1 record=$2 names=$3 own=$4
mark() { patiently apt-mark -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= "$verb" $names; }
[ "$verb" = hold ] || mark
if [ -n "$own" ]; then
  # Only root can replace names in this directory, so the names below may be used as they are.
  ensure_directory "${record%/*}" 0:0 0700
  only_root "${record%/*}"
  new=$(mktemp -- "$record.XXXXXXXX")
  trap 'rm -f -- "$new"' EXIT
  [ ! -e "$record" ] || cat -- "$record" >"$new"
  case $verb in
  hold) printf '%s\n' $own >>"$new" ;;
  *)
    printf '%s\n' $own | grep -v -x -F -f - -- "$new" >"$new.rest" || :
    cat <"$new.rest" >"$new"
    rm -f -- "$new.rest"
    ;;
  esac
  sort -u -o "$new" -- "$new"
  sync -- "$new"
  mv -fT -- "$new" "$record"
fi
[ "$verb" != hold ] || mark
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

/// Returns the step that puts packages on hold. `own` are those whose hold is skep's own.
pub(super) fn hold(names: &[&str], own: &[&str]) -> Step {
    apt_step(
        format!("hold {}", names.join(", ")),
        path_script(MARK),
        ["hold", RECORD, &names.join(" "), &own.join(" ")],
    )
}

/// Returns the step that releases the hold of packages.
pub(super) fn release(names: &[&str]) -> Step {
    let words = names.join(" ");
    apt_step(
        format!("release the hold of {}", names.join(", ")),
        path_script(MARK),
        ["unhold", RECORD, &words, &words],
    )
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

    /// Runs the install step with an apt-get of this text.
    fn install_with(apt_get: &str, update: bool, arguments: &[&str]) -> Result<String, String> {
        let scratch = ScratchFolder::new();
        let showhold = "[ \"$5\" != showhold ] || echo libheld";
        for (name, text) in [("apt-get", apt_get), ("apt-mark", showhold)] {
            std::fs::write(scratch.path(name), format!("#!/bin/sh\n{text}\n")).unwrap();
            trial::run("chmod 755 \"$1\"", &[scratch.path(name)], b"", &[]).unwrap();
        }
        let arguments: Vec<String> = arguments.iter().map(|one| (*one).to_owned()).collect();
        let Operation::Script(script) = install(String::new(), update, &arguments).act else {
            panic!("a script")
        };
        let path = format!("{}:/usr/bin:/bin", scratch.path("").trim_end_matches('/'));
        trial::run(&script.script, &script.arguments, b"", &[("PATH", &path)])
    }

    #[test]
    fn failed_update_stops_nothing_and_explains_a_failed_installation() {
        let dead = "case \"$*\" in\n\
            *update*) echo 'E: The repository http://gone has no Release file.' >&2; exit 100 ;;\n";
        install_with(&format!("{dead}esac"), true, &["tree"]).unwrap();
        // Apt ends with success if only some lists could not be fetched.
        let proxy = "case \"$*\" in\n\
            *update*) echo 'Get:1 x'; echo 'W: Failed to fetch http://m: Could not connect to 127.0.0.1:3128' >&2 ;;\n\
            *install*) echo 'E: Unable to locate package tree' >&2; exit 100 ;;\nesac";
        let said = install_with(proxy, true, &["tree"]).unwrap_err();
        assert!(
            said.contains("Unable to locate package tree") && said.contains("127.0.0.1:3128"),
            "{said}"
        );
        assert!(!said.contains("Get:1"), "{said}");
    }

    #[test]
    fn held_package_that_the_resource_does_not_name_is_never_changed() {
        let allow = "--allow-change-held-packages";
        let simulated =
            "[ \"$1\" != -s ] || { echo 'Inst libnew (1 x)'; echo 'Inst libheld [1] (2 x)'; }";
        let said = install_with(simulated, false, &[allow, "docker-ce"]).unwrap_err();
        assert!(said.contains("libheld is on hold"), "{said}");
        for named in ["libheld", "libheld=2", "libheld-"] {
            install_with(simulated, false, &[allow, "docker-ce", named]).unwrap();
        }
        let other = "[ \"$1\" != -s ] || echo 'Inst libheld (2 x)'";
        install_with(other, false, &[allow, "docker-ce"]).unwrap();
    }

    #[test]
    fn record_names_the_holds_that_skep_has_set() {
        let scratch = ScratchFolder::new();
        std::fs::write(scratch.path("apt-mark"), "#!/bin/sh\nexit 0\n").unwrap();
        trial::run("chmod 755 \"$1\"", &[scratch.path("apt-mark")], b"", &[]).unwrap();
        let path = format!("{}:/usr/bin:/bin", scratch.path("").trim_end_matches('/'));
        let record = scratch.path("skep/holds");
        let mark = |step: Step| {
            let Operation::Script(script) = step.act else {
                panic!("a script")
            };
            let mut arguments = script.arguments.clone();
            assert_eq!(arguments[1], RECORD);
            arguments[1].clone_from(&record);
            trial::run(&script.script, &arguments, b"", &[("PATH", &path)]).unwrap();
            std::fs::read_to_string(&record).unwrap_or_default()
        };
        assert_eq!(mark(hold(&["theirs"], &[])), "");
        assert_eq!(mark(hold(&["b", "theirs"], &["b"])), "b\n");
        assert_eq!(mark(hold(&["a", "b"], &["a", "b"])), "a\nb\n");
        assert_eq!(mark(release(&["b"])), "a\n");
        assert_eq!(mark(release(&["a"])), "");
        assert_eq!(std::fs::read_dir(scratch.path("skep")).unwrap().count(), 1);
        assert_eq!(trial::look(&record).unwrap().mode, 0o600);
    }
}
