//! The package mirror of a Debian suite: the Debian packages that nodes need, the stand-in for
//! Docker's repository, and small images. Built once per recipe into the cache.

use std::fs;
use std::path::{Path, PathBuf};

use super::command::LocalCommand;
use super::error::LabError;
use super::local_machine;
use super::options::DebianSuite;
use super::progress::ProgressFn;
use super::recipe;
use super::repository::{RepositorySuite, SigningKey};
use super::state::{StateDirectory, make_folder};
use super::{package_download, stand_in, test_image};

/// A package mirror that has been built.
pub(crate) struct PackageMirror {
    /// Folder to serve.
    pub(crate) folder: PathBuf,
    /// First hex digits of the hash of the mirror's recipe.
    pub(crate) hash: String,
    /// Public key that signs the repositories, armoured.
    pub(crate) key: String,
}

/// Returns the mirror of a suite, and builds it if it is missing.
pub(crate) fn ensure(
    state: &StateDirectory,
    suite: DebianSuite,
    image: &str,
    progress: ProgressFn<'_>,
) -> Result<PackageMirror, LabError> {
    let _lock = state.lock("build", progress)?;
    let architecture = local_machine::architecture()?;
    let key = SigningKey::ensure(state)?;
    let (hash, folder) = place(state, suite, &architecture);
    if !folder.exists() {
        clear_half_built(&state.cache());
        build(state, suite, image, &architecture, &key, &folder, progress)
            .map_err(|error| error.while_doing(format!("building the {} mirror", suite.name())))?;
    }
    Ok(PackageMirror {
        folder,
        hash,
        key: key.public,
    })
}

/// Returns the mirror of a suite if it is built. Docker is not queried.
pub(crate) fn built(
    state: &StateDirectory,
    suite: DebianSuite,
) -> Result<Option<PackageMirror>, LabError> {
    let (hash, folder) = place(state, suite, &local_machine::architecture()?);
    if !folder.exists() {
        return Ok(None);
    }
    Ok(Some(PackageMirror {
        folder,
        hash,
        key: SigningKey::ensure(state)?.public,
    }))
}

/// Returns the hash of the mirror and the path of its folder, whether it exists or not.
fn place(state: &StateDirectory, suite: DebianSuite, architecture: &str) -> (String, PathBuf) {
    let hash = recipe::mirror_hash(suite, architecture);
    let folder = state
        .cache()
        .join(format!("mirror-{}-{hash}", suite.name()));
    (hash, folder)
}

fn build(
    state: &StateDirectory,
    suite: DebianSuite,
    image: &str,
    architecture: &str,
    key: &SigningKey,
    folder: &Path,
    progress: ProgressFn<'_>,
) -> Result<(), LabError> {
    make_folder(&state.cache())?;
    let work = tempfile::Builder::new()
        .prefix("mirror-work-")
        .tempdir_in(state.cache())
        .map_err(LabError::file("create", &state.cache()))?;
    progress(&format!(
        "downloading the packages that {} nodes may install",
        suite.name()
    ));
    let downloads = work.path().join("downloads");
    let files = package_download::download(suite, image, recipe::MIRROR_PACKAGES, &downloads)?;
    let tree = work.path().join("tree");
    let (debian, docker) = (tree.join("debian"), tree.join("docker"));
    for path in [debian.join("pool"), docker.clone()] {
        make_folder(&path)?;
    }
    progress("repacking Debian's packages as a stand-in for Docker's repository");
    stand_in::build(&docker, suite, &files, architecture, key)?;
    progress("building small images for tests (busybox, registry)");
    test_image::build(image, &downloads.join("archives"), &tree.join("images"))?;
    for file in &files {
        let name = file.file_name().unwrap_or_default();
        let place = debian.join("pool").join(name);
        fs::rename(file, &place).map_err(LabError::file("move", file))?;
    }
    let repository = RepositorySuite {
        root: &debian,
        suite: suite.name(),
        component: "main",
        pool: "pool",
        origin: "Debian",
        label: "Debian (part of it, mirrored by skep lab)",
    };
    repository.write(architecture, key)?;
    let readable = LocalCommand::new("chmod")
        .arguments(["-R", "a+rX,u+w"])
        .arguments([&tree]);
    readable.run()?;
    // Only a complete mirror gets the final name, so a killed build leaves no partial mirror
    // behind.
    fs::rename(&tree, folder).map_err(LabError::file("rename", folder))
}

/// Removes leftovers of killed builds. The caller holds the build lock.
fn clear_half_built(cache: &Path) {
    let Ok(entries) = fs::read_dir(cache) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("mirror-work-") || name.starts_with("image-") {
            // A leftover that stays only uses disk space.
            let _ = super::state::remove_folder(&entry.path());
        }
    }
}
