//! The node image: a bare Debian machine with systemd and sshd, built once per recipe.
//! mmdebstrap builds the tree. If it is not installed, a `FROM debian` build is tried, which needs
//! a reachable registry.

use base64ct::{Base64, Encoding as _};

use super::command::LocalCommand;
use super::docker::{docker, docker_fed, inspect};
use super::error::LabError;
use super::local_machine;
use super::mmdebstrap::{date_options, proxy_options};
use super::options::DebianSuite;
use super::progress::ProgressFn;
use super::recipe;
use super::state::{StateDirectory, make_folder, write_file};
use crate::base::sh_quote;

const FIRST_PROGRAM_PATH: &str = "/usr/local/sbin/skep-lab-first-program";

/// Repository of the lab's node images.
pub(crate) const REPOSITORY: &str = "skep-node";

/// Returns the name of the node image, whether it exists or not.
pub(crate) fn name(suite: DebianSuite) -> Result<String, LabError> {
    let architecture = local_machine::architecture()?;
    Ok(format!(
        "{REPOSITORY}:{}-{}",
        suite.name(),
        recipe::node_hash(suite, &architecture)
    ))
}

/// Returns the name of the node image, and builds the image if it is missing.
pub(crate) fn ensure(
    state: &StateDirectory,
    suite: DebianSuite,
    progress: ProgressFn<'_>,
) -> Result<String, LabError> {
    let image = name(suite)?;
    if exists(&image)? {
        return Ok(image);
    }
    let _lock = state.lock("build", progress)?;
    if exists(&image)? {
        return Ok(image);
    }
    let built = match from_debian(state, suite, &image, progress) {
        Err(LabError::ProgramMissing { .. }) => {
            progress(&format!(
                "mmdebstrap is not installed: building {image} FROM debian"
            ));
            from_registry(suite, &image)
        }
        built => built,
    };
    built.map_err(|error| error.while_doing(format!("building the node image {image}")))?;
    Ok(image)
}

fn exists(image: &str) -> Result<bool, LabError> {
    inspect("image", image, "{{.Id}}").map(|id| id.is_some())
}

fn from_debian(
    state: &StateDirectory,
    suite: DebianSuite,
    image: &str,
    progress: ProgressFn<'_>,
) -> Result<(), LabError> {
    let mirror = local_machine::debian_mirror();
    progress(&format!(
        "building the node image {image} from {mirror} (mmdebstrap)"
    ));
    if suite.may_be_past_its_date() {
        progress(&format!(
            "the package index of {} is taken even if it is past its date (Acquire::Check-Valid-Until=false)",
            suite.name()
        ));
    }
    make_folder(&state.cache())?;
    let folder = tempfile::Builder::new()
        .prefix("image-")
        .tempdir_in(state.cache())
        .map_err(LabError::file("create", &state.cache()))?;
    let at = |name: &str| folder.path().join(name);
    let (first, setup, tree) = (at("first"), at("setup"), at("tree.tar"));
    write_file(&first, recipe::FIRST_PROGRAM.as_bytes(), 0o755)?;
    write_file(&setup, recipe::TREE_SETUP.as_bytes(), 0o644)?;
    LocalCommand::new("mmdebstrap")
        .arguments(["--quiet", "--variant=minbase"])
        .arguments([
            format!("--include={}", recipe::node_packages(suite).join(",")),
            format!(
                "--customize-hook=upload {} {FIRST_PROGRAM_PATH}",
                sh_quote(&first.to_string_lossy())
            ),
            format!("--customize-hook=chmod 0755 \"$1{FIRST_PROGRAM_PATH}\""),
            format!(
                "--customize-hook=chroot \"$1\" sh -s < {}",
                sh_quote(&setup.to_string_lossy())
            ),
        ])
        .arguments(proxy_options())
        .arguments(date_options(suite))
        .arguments([suite.name(), &tree.to_string_lossy(), &mirror])
        .seconds(900)
        .run()?;
    progress(&format!("importing {image}"));
    let command = format!("CMD [\"{FIRST_PROGRAM_PATH}\"]");
    docker(
        300,
        [
            "import",
            "--change",
            &command,
            &tree.to_string_lossy(),
            image,
        ],
    )?;
    Ok(())
}

fn from_registry(suite: DebianSuite, image: &str) -> Result<(), LabError> {
    let dockerfile = format!(
        "FROM debian:{suite}\n\
         RUN apt-get update && apt-get install -y --no-install-recommends {packages}\n\
         RUN printf '%s' '{first}' | base64 -d >{FIRST_PROGRAM_PATH} && chmod 0755 {FIRST_PROGRAM_PATH}\n\
         RUN printf '%s' '{setup}' | base64 -d | sh\n\
         CMD [\"{FIRST_PROGRAM_PATH}\"]\n",
        suite = suite.name(),
        packages = recipe::node_packages(suite).join(" "),
        first = Base64::encode_string(recipe::FIRST_PROGRAM.as_bytes()),
        setup = Base64::encode_string(recipe::TREE_SETUP.as_bytes()),
    );
    let built = docker_fed(900, &["build", "--tag", image, "-"], &dockerfile);
    built.map(drop).map_err(|error| {
        error.while_doing(
            "without mmdebstrap, a registry is needed; try: apt-get install mmdebstrap",
        )
    })
}
