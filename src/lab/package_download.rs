//! Downloads packages with all their dependencies as a node of the suite would resolve them.
//! This machine's apt does the work with its own proxies and certificates; its package status is
//! replaced by that of the node image.

use std::fs;
use std::path::{Path, PathBuf};

use super::command::LocalCommand;
use super::docker::docker;
use super::error::LabError;
use super::local_machine;
use super::mmdebstrap::ARCHIVE_KEYS;
use super::options::DebianSuite;
use super::state::{make_folder, write_file};

/// Downloads into `folder/archives` and returns the `.deb` files found there.
pub(crate) fn download(
    suite: DebianSuite,
    image: &str,
    packages: &[&str],
    folder: &Path,
) -> Result<Vec<PathBuf>, LabError> {
    let archives = folder.join("archives");
    for path in [folder.join("lists/partial"), archives.join("partial")] {
        make_folder(&path)?;
    }
    let installed = docker(
        60,
        [
            "run",
            "--rm",
            "--network=none",
            image,
            "cat",
            "/var/lib/dpkg/status",
        ],
    )?;
    write_file(&folder.join("status"), installed.as_bytes(), 0o644)?;
    let source = format!(
        "deb [signed-by={ARCHIVE_KEYS}] {} {} main\n",
        local_machine::debian_mirror(),
        suite.name()
    );
    write_file(&folder.join("sources.list"), source.as_bytes(), 0o644)?;
    apt("apt-get", folder)
        .arguments(["-o", &check_date(suite), "update"])
        .seconds(300)
        .run()?;
    let known = known_packages(folder, packages)?;
    apt("apt-get", folder)
        .arguments([
            "install",
            "--yes",
            "--no-install-recommends",
            "--download-only",
        ])
        .arguments(known)
        .seconds(600)
        .run()?;
    let entries = fs::read_dir(&archives).map_err(LabError::file("read", &archives))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    files.sort();
    Ok(files)
}

/// Returns the option that lets apt take an index that is past its date.
fn check_date(suite: DebianSuite) -> String {
    format!(
        "Acquire::Check-Valid-Until={}",
        !suite.may_be_past_its_date()
    )
}

/// Returns the packages that exist in the suite.
fn known_packages<'a>(folder: &Path, packages: &[&'a str]) -> Result<Vec<&'a str>, LabError> {
    let listed = apt("apt-cache", folder).arguments(["pkgnames"]).run()?;
    let names: std::collections::HashSet<&str> = listed.lines().collect();
    Ok(packages
        .iter()
        .copied()
        .filter(|name| names.contains(name))
        .collect())
}

fn apt(program: &str, folder: &Path) -> LocalCommand {
    let at = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let options = [
        format!("Dir::State={}", at("")),
        format!("Dir::State::lists={}", at("lists")),
        format!("Dir::State::status={}", at("status")),
        format!("Dir::Cache={}", at("")),
        format!("Dir::Cache::archives={}", at("archives")),
        format!("Dir::Etc::sourcelist={}", at("sources.list")),
        "Dir::Etc::sourceparts=/dev/null".to_owned(),
        "Dir::Etc::preferences=/dev/null".to_owned(),
        "Dir::Etc::preferencesparts=/dev/null".to_owned(),
        "APT::Sandbox::User=root".to_owned(),
        "APT::Keep-Downloaded-Packages=true".to_owned(),
        // Descriptions for graphical package managers are a third of the download.
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
        "Acquire::Languages=none".to_owned(),
    ];
    LocalCommand::new(program).arguments(options.iter().flat_map(|option| ["-o", option.as_str()]))
}
