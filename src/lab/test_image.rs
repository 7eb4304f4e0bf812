//! Small container images for tests, made of Debian's packages: no registry is needed, or asked.
//! The mirror serves them as `/images/NAME.tar`, for `docker import`.

use std::path::Path;

use super::command::LocalCommand;
use super::docker::docker_fed;
use super::error::LabError;
use super::state::make_folder;

/// Changes when what is made here does.
pub(crate) const RECIPE: &str = include_str!("test_images.sh");

/// Makes the images in `folder` of the packages in `archives`, inside the node image.
pub(crate) fn build(image: &str, archives: &Path, folder: &Path) -> Result<(), LabError> {
    make_folder(folder)?;
    let archives = format!("{}:/archives:ro", archives.display());
    let out = format!("{}:/out", folder.display());
    let arguments = [
        "run",
        "--rm",
        "-i",
        "--network=none",
        "-v",
        &archives,
        "-v",
        &out,
        image,
        "sh",
        "-s",
    ];
    docker_fed(120, &arguments, RECIPE)?;
    LocalCommand::new("chmod")
        .arguments(["0755"])
        .arguments([folder])
        .run()
        .map(drop)
}
