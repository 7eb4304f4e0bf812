//! Serves a mirror on the bridge address of an environment: busybox httpd in a container on the
//! host network, so that removing the container ends the server.

use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use super::docker::{LABEL_LAB, LABEL_STATE, container_state, docker, docker_finish, inspect};
use super::error::LabError;
use super::mirror::PackageMirror;
use super::name::LabName;
use super::progress::ProgressFn;
use super::state::StateDirectory;

/// Repository of the server's image.
pub(crate) const REPOSITORY: &str = "skep-mirror";
/// Ports tried in order: another program on this machine may use the first one on all addresses.
const PORTS: [u16; 3] = [80, 8480, 8481];
const LABEL_MIRROR: &str = "skep.mirror";

/// Returns the name of the container that serves the mirror of an environment.
pub(crate) fn name(lab: &LabName) -> String {
    format!("skep-{lab}-mirror")
}

/// Serves the mirror and returns its URL, such as `http://10.213.10.1`.
pub(crate) fn ensure(
    lab: &LabName,
    state: &StateDirectory,
    gateway: Ipv4Addr,
    mirror: &PackageMirror,
    progress: ProgressFn<'_>,
) -> Result<String, LabError> {
    let name = name(lab);
    let image = ensure_image(mirror)?;
    if container_state(&name)?.as_deref() == Some("running") {
        let format = format!("{{{{index .Config.Labels \"{LABEL_MIRROR}\"}}}}");
        let served = inspect("container", &name, &format)?.unwrap_or_default();
        let (hash, port) = served.split_once(':').unwrap_or_default();
        if let (true, Ok(port)) = (hash == mirror.hash, port.parse())
            && listens(gateway, port, Duration::from_millis(200))
        {
            return Ok(url(gateway, port));
        }
    }
    let mut reason = String::new();
    for port in PORTS {
        docker_finish(30, ["rm", "--force", &name])?;
        progress(&format!("serving packages on {}", url(gateway, port)));
        docker(
            60,
            [
                "run",
                "--detach",
                "--network=host",
                "--init",
                &format!("--name={name}"),
                &format!("--label={LABEL_LAB}={lab}"),
                &format!("--label={LABEL_STATE}={}", state.path().display()),
                &format!("--label={LABEL_MIRROR}={}:{port}", mirror.hash),
                &format!("--volume={}:/srv:ro", mirror.folder.display()),
                &image,
                "/bin/busybox",
                "httpd",
                "-f",
                "-p",
                &format!("{gateway}:{port}"),
                "-h",
                "/srv",
            ],
        )?;
        if listens(gateway, port, Duration::from_secs(5))
            && container_state(&name)?.as_deref() == Some("running")
        {
            return Ok(url(gateway, port));
        }
        let logs = docker_finish(30, ["logs", "--tail", "5", &name])?;
        reason = format!("{}{}", logs.stdout, logs.stderr).trim().to_owned();
    }
    docker_finish(30, ["rm", "--force", &name])?;
    Err(LabError::PackageMirror {
        address: format!("{gateway}, ports {PORTS:?}"),
        reason,
    })
}

fn ensure_image(mirror: &PackageMirror) -> Result<String, LabError> {
    let image = format!("{REPOSITORY}:{}", mirror.hash);
    if inspect("image", &image, "{{.Id}}")?.is_none() {
        let tree = mirror.folder.join("images/busybox.tar");
        docker(60, ["import", &tree.to_string_lossy(), &image])?;
    }
    Ok(image)
}

fn url(gateway: Ipv4Addr, port: u16) -> String {
    if port == 80 {
        format!("http://{gateway}")
    } else {
        format!("http://{gateway}:{port}")
    }
}

/// Waits until a server listens at this address and port. Returns false after `limit`.
pub(crate) fn listens(address: Ipv4Addr, port: u16, limit: Duration) -> bool {
    let started = Instant::now();
    loop {
        let attempt = TcpStream::connect_timeout(&(address, port).into(), Duration::from_secs(1));
        if attempt.is_ok() {
            return true;
        }
        if started.elapsed() >= limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
