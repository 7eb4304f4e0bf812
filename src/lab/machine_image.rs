//! The node image for others that make machines of containers, such as Vagrant: with a key that may log in, and the
//! options that such a container must be started with.

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

/// A container that is a whole machine, as its maker needs to know it.
#[derive(Debug, Serialize)]
pub struct MachineImage {
    /// The image.
    pub image: String,
    /// Options of `docker create`.
    pub create_args: Vec<String>,
    /// Shell text to be run in it once as root: where packages come from.
    pub script: String,
    /// Variables for the inventory.
    pub vars: std::collections::BTreeMap<String, String>,
}

/// Describes the image, and builds it on request. `authorized` is the text of public keys that may log in as `vagrant`; packages
/// come from the mirror of `lot`, else from Debian.
///
/// # Errors
/// When the lot does not exist, or the image cannot be built.
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
        let digest = Sha256::digest(authorized.as_bytes());
        digest
            .iter()
            .take(3)
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
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
        // The Engine inside needs a file system that is no overlay.
        "--volume=/var/lib/docker",
    ]
    .map(str::to_owned)
    .to_vec();
    create_args.extend(local_machine::privileges());
    if let Some(lab) = lab {
        // What lives on a lot's packages goes with the lot.
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

/// Copies only: a build that runs a program would need what the machine below may not give.
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
