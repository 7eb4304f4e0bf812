//! The node image for other programs that make machines out of containers, such as Vagrant: adds a
//! key that may log in, and describes the options that such a container needs.

use std::path::Path;

use serde::Serialize;

use super::error::LabError;
use super::name::LabName;
use super::options::DebianSuite;
use super::progress::ProgressFn;
use super::record::LabRecord;
use super::repository::SigningKey;
use super::state::{StateDirectory, write_file};
use super::{daemon, docker, key, local_machine, node_image, provision};
use crate::base::hex;

/// Description of a container that acts as a whole machine.
#[derive(Debug, Serialize)]
pub struct MachineImage {
    /// Name of the image.
    pub image: String,
    /// Options of `docker create`.
    pub create_args: Vec<String>,
    /// Shell text to run once as root inside the container; sets the package sources.
    pub script: String,
    /// Variables for the inventory.
    pub vars: std::collections::BTreeMap<String, String>,
}

/// Describes the image, and builds it if `build` is true. `authorized` is the text of public keys
/// that may log in as `vagrant`. Packages come from the mirror of `lab`, or from Debian if it is
/// `None`.
///
/// # Errors
/// If the environment does not exist, or the image cannot be built.
pub fn machine_image(
    state: &StateDirectory,
    suite: DebianSuite,
    lab: Option<&LabName>,
    authorized: &str,
    build: bool,
    progress: ProgressFn<'_>,
) -> Result<MachineImage, LabError> {
    let mut vars = std::collections::BTreeMap::new();
    let script = match lab {
        Some(name) => {
            let lab = LabRecord::load(state, name)?.ok_or_else(|| LabError::NoSuchLab {
                lab: name.to_string(),
            })?;
            vars.insert(
                "docker_repository".to_owned(),
                format!("{}/docker", lab.mirror),
            );
            provision::script(
                &lab,
                &key::ensure(&lab, state)?,
                &SigningKey::ensure(state)?.public,
            )
        }
        None => debian_sources(suite),
    };
    let base = node_image::name(suite)?;
    let digest = {
        use sha2::{Digest as _, Sha256};
        hex(&Sha256::digest(authorized.as_bytes())[..3])
    };
    let name = format!("{base}-{digest}");
    if build {
        daemon::ensure_docker(state, progress)?;
        if docker::inspect("image", &name, "{{.Id}}")?.is_none() {
            let base = node_image::ensure(state, suite, progress)?;
            derive(state, &base, &name, authorized)?;
        }
    }
    let mut create_args: Vec<String> = [
        "--tty",
        "--env=container=docker",
        "--cgroupns=private",
        "--stop-signal=SIGRTMIN+3",
        "--tmpfs=/run:exec,mode=755",
        "--tmpfs=/tmp:exec,mode=1777",
        // The Docker Engine inside needs a file system that is not an overlay.
        "--volume=/var/lib/docker",
    ]
    .map(str::to_owned)
    .to_vec();
    create_args.extend(local_machine::privileges());
    if let Some(lab) = lab {
        // A container that uses the packages of an environment is removed with the environment.
        create_args.push(format!("--label={}={lab}", docker::LABEL_LAB));
        create_args.push(format!(
            "--label={}={}",
            docker::LABEL_STATE,
            state.path().display()
        ));
    }
    Ok(MachineImage {
        image: name,
        create_args,
        script,
        vars,
    })
}

/// Builds the derived image by copying only: a build step that runs a program may need privileges
/// that this machine does not have.
fn derive(
    state: &StateDirectory,
    base: &str,
    name: &str,
    authorized: &str,
) -> Result<(), LabError> {
    let folder = tempfile::Builder::new()
        .prefix("image-")
        .tempdir_in(state.cache())
        .map_err(LabError::file("create", &state.cache()))?;
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("ssh")).map_err(LabError::file("create", &at("ssh")))?;
    write_file(&at("ssh/authorized_keys"), authorized.as_bytes(), 0o600)?;
    let text = format!("FROM {base}\nCOPY --chown=1000:1000 ssh /home/vagrant/.ssh\n");
    write_file(&at("Dockerfile"), text.as_bytes(), 0o644)?;
    docker::docker(
        120,
        ["build", "--quiet", "--tag", name, &path(folder.path())],
    )
    .map(drop)
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn debian_sources(suite: DebianSuite) -> String {
    let (mirror, suite) = (local_machine::debian_mirror(), suite.name());
    format!(
        "cat >/etc/apt/sources.list.d/debian.sources <<'SKEP_END'\nTypes: deb\nURIs: {mirror}\nSuites: {suite} {suite}-updates\n\
         Components: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\nSKEP_END\n"
    )
}
