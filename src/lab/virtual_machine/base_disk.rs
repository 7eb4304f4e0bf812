//! The base disk of all virtual machines of a Debian release, its kernel and its initial RAM disk.
//! Built once per recipe.

use std::fs;
use std::path::{Path, PathBuf};

use super::recipe::{self, DISK_SIZE, PACKAGES, SETUP};
use crate::base::sh_quote;
use crate::lab::command::LocalCommand;
use crate::lab::error::LabError;
use crate::lab::mmdebstrap::{date_options, proxy_options};
use crate::lab::options::DebianSuite;
use crate::lab::progress::ProgressFn;
use crate::lab::state::{StateDirectory, make_folder, write_file};
use crate::lab::{local_machine, recipe as node_recipe};

/// Files of a base disk.
pub(super) struct BaseDisk {
    folder: PathBuf,
}

impl BaseDisk {
    /// Returns the base disk in this folder.
    pub(super) fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
        }
    }

    /// Returns the folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the path of the raw file system image, which is never written to.
    pub(super) fn file_system(&self) -> PathBuf {
        self.folder.join("disk.raw")
    }

    /// Returns the path of the kernel.
    pub(super) fn kernel(&self) -> PathBuf {
        self.folder.join("kernel")
    }

    /// Returns the path of the initial RAM disk.
    pub(super) fn initial_ram_disk(&self) -> PathBuf {
        self.folder.join("initrd")
    }
}

/// Returns the base disk of a suite, and builds it if it is missing.
pub(super) fn ensure(
    state: &StateDirectory,
    suite: DebianSuite,
    progress: ProgressFn<'_>,
) -> Result<BaseDisk, LabError> {
    let hash = recipe::hash(suite, &local_machine::architecture()?);
    let place = state
        .cache()
        .join(format!("machine-{}-{hash}", suite.name()));
    let _lock = state.lock("build", progress)?;
    if !place.exists() {
        build(state, suite, &place, progress).map_err(|error| {
            error.while_doing(format!("building the disk of {} machines", suite.name()))
        })?;
    }
    Ok(BaseDisk { folder: place })
}

fn build(
    state: &StateDirectory,
    suite: DebianSuite,
    place: &Path,
    progress: ProgressFn<'_>,
) -> Result<(), LabError> {
    let mirror = local_machine::debian_mirror();
    progress(&format!(
        "building the disk of virtual machines from {mirror} (mmdebstrap, mkfs.ext4), some minutes"
    ));
    make_folder(&state.cache())?;
    let work = tempfile::Builder::new()
        .prefix("image-machine-")
        .tempdir_in(state.cache())
        .map_err(LabError::file("create", &state.cache()))?;
    let at = |name: &str| work.path().join(name);
    let (setup, tree, built) = (at("setup"), at("tree"), at("built"));
    write_file(
        &setup,
        format!("{}\n{SETUP}", node_recipe::TREE_SETUP).as_bytes(),
        0o644,
    )?;
    make_folder(&built)?;
    let packages: Vec<&str> = node_recipe::node_packages(suite)
        .iter()
        .chain(PACKAGES)
        .copied()
        .collect();
    LocalCommand::new("mmdebstrap")
        .arguments(["--quiet", "--variant=minbase", "--format=directory"])
        .arguments([format!("--include={}", packages.join(","))])
        .arguments([format!(
            "--customize-hook=chroot \"$1\" sh -s < {}",
            sh_quote(&setup.to_string_lossy())
        )])
        .arguments(proxy_options())
        .arguments(date_options(suite))
        .arguments([suite.name(), &tree.to_string_lossy(), &mirror])
        .seconds(1800)
        .run()?;
    // mmdebstrap copies these files from this machine for the build; each machine gets its own.
    for name in ["etc/resolv.conf", "etc/hostname", "etc/hosts"] {
        let path = tree.join(name);
        fs::remove_file(&path)
            .or_else(absent)
            .map_err(LabError::file("remove", &path))?;
    }
    let disk = BaseDisk { folder: built };
    // A new tree has exactly one kernel and one RAM disk.
    for (pattern, target) in [
        ("vmlinuz-", disk.kernel()),
        ("initrd.img-", disk.initial_ram_disk()),
    ] {
        let found = boot_file(&tree.join("boot"), pattern)?;
        fs::copy(&found, &target).map_err(LabError::file("copy", &found))?;
    }
    LocalCommand::new("mkfs.ext4")
        .arguments(["-q", "-F", "-L", "skep-lab", "-m", "0", "-d"])
        .arguments([&tree, &disk.file_system()])
        .arguments([DISK_SIZE])
        .install_hint("apt-get install e2fsprogs")
        .seconds(900)
        .run()?;
    // Only a complete disk gets the final name, so a killed build leaves no partial disk behind.
    fs::rename(disk.folder(), place).map_err(LabError::file("rename", place))
}

fn absent(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound {
        Ok(())
    } else {
        Err(error)
    }
}

fn boot_file(folder: &Path, prefix: &str) -> Result<PathBuf, LabError> {
    let entries = fs::read_dir(folder).map_err(LabError::file("read", folder))?;
    let found = entries
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    found
        .map(|entry| entry.path())
        .ok_or_else(|| LabError::File {
            action: "find",
            path: folder.join(format!("{prefix}*")),
            cause: std::io::ErrorKind::NotFound.into(),
        })
}
