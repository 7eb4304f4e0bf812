//! Turns queries into one POSIX sh script. Queries of one sort share a process (`find`,
//! `dpkg-query`, `systemctl show`);
//! values stand in the script only inside single quotes. The script reads and prints; it writes no
//! file, not even a
//! temporary one, and keeps apt from refreshing its caches.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::parse::ABSENT;
use crate::base::{RUN_SHELL_TEXT, path_walk, script_without_comments, sh_quote};
use crate::model::{CONTENT_LIMIT, ShellQuery};
use crate::transport::LOOK_AT_LOCK;

/// Reading of paths; see the file.
const PATHS: &str = include_str!("paths.sh");

/// Fields of a path for `find -printf`, behind its name.
const PATH_FORMAT: &str = r"%y\t%m\t%u\t%U\t%g\t%G\t%s\t%T@\t%l";

/// A part of the script whose output is framed and parsed as one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ScriptSection<'a> {
    /// `stat` of all paths.
    Paths(Vec<(&'a str, &'a ShellQuery)>),
    /// Content of one file.
    Content(&'a str, &'a ShellQuery),
    /// All packages' states.
    Packages(Vec<(&'a str, &'a ShellQuery)>),
    /// All units' properties.
    Units(Vec<(&'a str, &'a ShellQuery)>),
    /// Any other query, alone.
    Single(&'a ShellQuery),
}

impl<'a> ScriptSection<'a> {
    /// The queries that the section answers.
    pub(super) fn queries(&self) -> Vec<&'a ShellQuery> {
        match self {
            Self::Paths(queries) | Self::Packages(queries) | Self::Units(queries) => {
                queries.iter().map(|(_, query)| *query).collect()
            }
            Self::Content(_, query) | Self::Single(query) => vec![query],
        }
    }
}

/// Groups queries into sections.
pub(super) fn sections<'a>(queries: &[&'a ShellQuery]) -> Vec<ScriptSection<'a>> {
    let mut paths = Vec::new();
    let mut packages = Vec::new();
    let mut units = Vec::new();
    let mut rest = Vec::new();
    for query in queries {
        match query {
            ShellQuery::Path { path, content } => {
                paths.push((path.as_str(), *query));
                if *content {
                    rest.push(ScriptSection::Content(path, query));
                }
            }
            ShellQuery::Package(name) => packages.push((name.as_str(), *query)),
            ShellQuery::Unit(name) => units.push((name.as_str(), *query)),
            other => rest.push(ScriptSection::Single(other)),
        }
    }
    let mut sections = Vec::new();
    if !paths.is_empty() {
        sections.push(ScriptSection::Paths(paths));
    }
    if !packages.is_empty() {
        sections.push(ScriptSection::Packages(packages));
    }
    if !units.is_empty() {
        sections.push(ScriptSection::Units(units));
    }
    // Contents come behind the paths' section, which tells whether there is anything to read.
    sections.extend(rest);
    sections
}

/// The whole script.
pub(super) fn text(marker: &str, sections: &[ScriptSection<'_>]) -> String {
    let mut script = String::from("export LC_ALL=C TZ=UTC0\numask 077\ncd /\n");
    // A section is framed by lines with the marker; its status and standard error follow its
    // output.
    let _ = write!(
        script,
        "section() {{ i=$1; shift; printf '\\n%s begin %s\\n' {marker} \"$i\"; "
    );
    let _ = writeln!(
        script,
        "e=$( {{ \"$@\" </dev/null >&3; }} 2>&1 ); s=$?; printf '\\n%s end %s %s\\n%s\\n%s done %s\\n' {marker} \"$i\" \"$s\" \"$e\" {marker} \"$i\"; }}"
    );
    script.push_str("exec 3>&1\n");
    script.push_str(&path_functions(sections));
    for (index, section) in sections.iter().enumerate() {
        // Functions are defined one by one, so that a failing probe fails alone.
        let _ = writeln!(
            script,
            "probe() {{\n{}\n}}\nsection {index} probe",
            body(section)
        );
    }
    script
}

fn body(section: &ScriptSection<'_>) -> String {
    match section {
        ScriptSection::Paths(queries) => {
            // Neighbours share the walk to their folder.
            let mut paths: Vec<&str> = queries.iter().map(|(path, _)| *path).collect();
            paths.sort_unstable_by_key(|path| path.rsplit_once('/'));
            stat_paths(paths.into_iter())
        }
        ScriptSection::Content(path, _) => {
            format!("file_content {} {}", sh_quote(path), CONTENT_LIMIT + 1)
        }
        ScriptSection::Packages(queries) => show_packages(queries.iter().map(|(name, _)| *name)),
        ScriptSection::Units(queries) => show_units(queries.iter().map(|(name, _)| *name)),
        ScriptSection::Single(query) => single(query),
    }
}

fn stat_paths<'a>(paths: impl Iterator<Item = &'a str>) -> String {
    format!("path_states {}", list(paths))
}

/// Returns the functions that read paths, if a section needs them, and the search for directories
/// above the paths that root must not simply pass through.
fn path_functions(sections: &[ScriptSection<'_>]) -> String {
    let mut above = BTreeSet::new();
    let mut walks = false;
    for query in sections.iter().flat_map(ScriptSection::queries) {
        match query {
            ShellQuery::Path { path, .. } => above.extend(directories_above(path)),
            ShellQuery::Holding { .. } | ShellQuery::Catalogue { .. } => walks = true,
            _ => {}
        }
    }
    if above.is_empty() && !walks {
        return String::new();
    }
    let suspects = if above.is_empty() {
        String::new()
    } else {
        format!(
            "$(find {} -maxdepth 0 \\( -type l -o ! -uid 0 ! -uid \"$own_uid\" -o -perm /022 \\) -print 2>/dev/null)",
            list(above.into_iter())
        )
    };
    format!(
        "{}{}path_format={}\nsuspects={suspects}\n",
        path_walk(),
        script_without_comments(PATHS),
        sh_quote(PATH_FORMAT)
    )
}

/// Returns the directories above a path, from `/` down.
fn directories_above(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('/').map(|(end, _)| end);
    ends.map(|end| if end == 0 { "/" } else { &path[..end] })
}

fn show_packages<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let format = r"${Package}\t${db:Status-Want}\t${db:Status-Status}\t${Version}\n";
    format!(
        "dpkg-query --show --showformat={} -- {}",
        sh_quote(format),
        list(names)
    )
}

fn show_units<'a>(names: impl Iterator<Item = &'a str>) -> String {
    format!(
        "systemctl show --no-pager --property={UNIT_PROPERTIES} -- {}",
        list(names)
    )
}

/// Properties of [`crate::model::UnitState`].
const UNIT_PROPERTIES: &str = "LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,FragmentPath,MainPID,\
ExecMainStartTimestamp,ActiveEnterTimestamp,Result";

/// apt copies a signed Release file without its signature into a temporary file that has no name
/// (`O_TMPFILE`): in memory,
/// not on a disk. Where /dev/shm is not there it takes /tmp.
const APT_MEMORY: &str = "TMPDIR=/dev/shm";

/// apt's own options for reading only: no locks, caches in memory.
const APT_READ_ONLY: &str =
    "-o Debug::NoLocking=1 -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=";

fn single(query: &ShellQuery) -> String {
    match query {
        ShellQuery::Facts => super::facts::SCRIPT.into(),
        ShellQuery::AptSources => {
            "for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do \
             [ -f \"$f\" ] || continue; printf '%s\\0' \"$f\"; tr -d '\\000' <\"$f\" || exit 1; printf '\\0'; done"
                .into()
        }
        ShellQuery::AptLists => "for f in /var/lib/apt/lists/*_InRelease /var/lib/apt/lists/*_Release; do \
             [ ! -e \"$f\" ] || printf '%s\\n' \"${f##*/}\"; done"
            .into(),
        ShellQuery::PackageVersions(name) => format!("{APT_MEMORY} apt-cache {APT_READ_ONLY} madison -- {}", sh_quote(name)),
        // The arguments may begin with options of the later run, so that both decide alike; names
        // that begin with `-` never get
        // here. Downgrades alone are always simulated: the plan names and refuses them. 2>&1: apt's
        // reasons are part of the answer.
        ShellQuery::AptSimulation { arguments } => format!(
            "{APT_MEMORY} apt-get --simulate --quiet=2 {APT_READ_ONLY} -o APT::Get::Show-User-Simulation-Note=false --allow-downgrades install {} 2>&1",
            list(arguments.iter().map(String::as_str))
        ),
        ShellQuery::PackageUpdates => format!(
            "{APT_MEMORY} apt-get --simulate --quiet=2 {APT_READ_ONLY} -o APT::Get::Show-User-Simulation-Note=false dist-upgrade"
        ),
        // A container has no kernel of its own, and nothing in /boot.
        ShellQuery::RebootState => "uname -r && { uname -r; for f in /boot/vmlinuz-*; do [ ! -e \"$f\" ] || printf '%s\\n' \"${f#/boot/vmlinuz-}\"; done; } | \
             sort -V | tail -n 1; [ ! -e /run/reboot-required ] || echo requested"
            .into(),
        // A manager without a leader asks for votes every few seconds. Of the lines about votes,
        // only this one has the position of the manager itself.
        ShellQuery::RaftPosition => "journalctl --unit=docker --output=cat --no-pager --lines=5000 --quiet | \
             grep -E '\\] sent Msg(Pre)?Vote request' | tail -n 1"
            .into(),
        // Only names of digits are pending updates; dpkg leaves others there (tmp.i) while it works
        // and when it is killed.
        // A program that works with dpkg holds one of two locks (fcntl); dpkg itself says so only
        // beside a complaint.
        ShellQuery::DpkgAudit => "for f in lock lock-frontend; do \
             if i=$(stat -c %i /var/lib/dpkg/$f 2>/dev/null) && grep -q \":$i \" /proc/locks; then \
             echo 'Another process has locked the database'; break; fi; done; \
             dpkg --audit; for f in /var/lib/dpkg/updates/*; do case ${f##*/} in *[!0-9]*) ;; \
             *) echo 'dpkg was interrupted: updates are pending'; break;; esac; done"
            .into(),
        ShellQuery::User(name) => format!(
            "getent passwd {name}; s=$?; [ $s -eq 2 ] && exit 0; [ $s -eq 0 ] || exit $s; id -Gn -- {name}",
            name = sh_quote(name)
        ),
        ShellQuery::Group(name) => format!("getent group {}; s=$?; [ $s -eq 2 ] && exit 0; exit $s", sh_quote(name)),
        ShellQuery::Sysctl(key) => {
            let path = sh_quote(&format!("/proc/sys/{}", sysctl_path(key)));
            format!("if [ -e {path} ]; then cat -- {path}; else exit 44; fi")
        }
        // The layout of registry 2's storage (distribution's docs/spec): a tag is a file that holds
        // a digest.
        ShellQuery::Catalogue { directory } => {
            let inside = format!("{directory}/docker/registry/v2/repositories");
            // dd(1) does not follow a link that takes the place of a file.
            format!(
                "{}{}find . -path '*/_manifests/tags/*/current/link' -type f -printf '%P\\t' \
                 -execdir dd if={{}} iflag=nofollow,nonblock,count_bytes bs=200 count=200 status=none \\; -exec echo \\;",
                enter(directory, ABSENT),
                enter(&inside, 0)
            )
        }
        // Counting stops somewhere: a database may have very many files, and whether there are any
        // is what matters.
        ShellQuery::Holding { directory } => {
            format!(
                "{}find . ! -type d ! -name .skep-volume -printf '%s\\n' | head -n 100000 | \
                 awk '{{ files++; bytes += $1 }} END {{ printf \"%.0f %.0f\\n\", files, bytes }}'",
                enter(directory, ABSENT)
            )
        }
        ShellQuery::OtherRun => LOOK_AT_LOCK.into(),
        ShellQuery::Program(name) => format!("command -v {} || :", sh_quote(name)),
        // The subshell keeps the probe's own shell, which `exec` would replace.
        ShellQuery::Test { script } => format!(
            "set -- {}\n( {RUN_SHELL_TEXT} ) >/dev/null 2>&1",
            sh_quote(script)
        ),
        ShellQuery::Path { path, .. } => stat_paths(std::iter::once(path.as_str())),
        ShellQuery::Package(name) => show_packages(std::iter::once(name.as_str())),
        ShellQuery::Unit(name) => show_units(std::iter::once(name.as_str())),
    }
}

/// Enters a directory; ends the probe with the status `absent` if it is not there, and with a
/// reason if root does not follow its path.
fn enter(directory: &str, absent: i32) -> String {
    format!(
        "status=0; enter {} || status=$?; case $status in 0) ;; 2) exit {absent} ;; *) give_up ;; esac; ",
        sh_quote(directory)
    )
}

/// sysctl.d(5): dots and slashes both separate, and which of them comes first does; the other is
/// then part of a name.
fn sysctl_path(key: &str) -> String {
    if key
        .find(['.', '/'])
        .is_some_and(|first| key[first..].starts_with('/'))
    {
        return key.to_owned();
    }
    let swap = |character| match character {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    key.chars().map(swap).collect()
}

fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.map(sh_quote).collect::<Vec<_>>().join(" ")
}
