//! Small container images for tests, built from Debian's packages without any registry.
//! The mirror serves them as `/images/NAME.tar`, for `docker import`.

use std::path::Path;

use super::command::LocalCommand;
use super::docker::docker_fed;
use super::error::LabError;
use super::state::make_folder;

/// Part of the mirror's recipe: the script that builds the images.
pub(crate) const RECIPE: &str = include_str!("test_images.sh");

/// Builds the images in `folder` from the packages in `archives`, inside the node image.
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
