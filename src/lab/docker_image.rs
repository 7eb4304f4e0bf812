//! The node image with Docker: the bare node image on which Docker Engine, Buildx and Compose are
//! already installed from the stand-in for Docker's repository. Built once per mirror.

use super::docker::{docker, docker_fed, docker_finish, inspect};
use super::error::LabError;
use super::mirror::PackageMirror;
use super::node_image;
use super::options::{DebianSuite, PresentedOs};
use super::progress::ProgressFn;
use super::state::StateDirectory;

/// Script that installs the packages inside the bare image. It is part of the image's name.
const INSTALL: &str = include_str!("install_docker.sh");

/// Returns the name of the image, and builds the image if it is missing.
pub(crate) fn ensure(
    state: &StateDirectory,
    suite: DebianSuite,
    present_as: PresentedOs,
    mirror: &PackageMirror,
    progress: ProgressFn<'_>,
) -> Result<String, LabError> {
    let bare = node_image::name(suite)?;
    let script = super::recipe::hash(&[INSTALL]);
    let image = format!(
        "{bare}-docker-{}-{}-{script}",
        present_as.name(),
        mirror.hash
    );
    let _lock = state.lock("build", progress)?;
    if inspect("image", &image, "{{.Id}}")?.is_some() {
        return Ok(image);
    }
    progress(&format!("building the node image {image} with Docker"));
    let container = format!("skep-build-{}", std::process::id());
    let built = build(&container, &bare, &image, suite, present_as, mirror);
    // A container that stays would only use disk space.
    let _ = docker_finish(60, ["rm", "--force", "--volumes", &container]);
    built.map_err(|error| error.while_doing(format!("building the node image {image}")))?;
    Ok(image)
}

fn build(
    container: &str,
    bare: &str,
    image: &str,
    suite: DebianSuite,
    present_as: PresentedOs,
    mirror: &PackageMirror,
) -> Result<(), LabError> {
    let name = format!("--name={container}");
    let folder = format!("--volume={}:/mirror:ro", mirror.folder.display());
    let (distribution, release) = present_as.docker_release(suite);
    let arguments = [
        "run",
        "-i",
        "--network=none",
        &name,
        &folder,
        bare,
        "sh",
        "-s",
        suite.name(),
        distribution,
        release,
    ];
    docker_fed(300, &arguments, INSTALL)?;
    // A commit would keep the command of this container, not that of the bare image.
    let command = inspect("image", bare, "{{json .Config.Cmd}}")?.unwrap_or_default();
    let change = format!("CMD {command}");
    docker(120, ["commit", "--change", &change, container, image]).map(drop)
}
