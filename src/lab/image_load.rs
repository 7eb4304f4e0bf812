//! Loads test images into the Docker Engines of nodes. Each node fetches the tar from the
//! environment's own mirror, so no registry is used.

use super::environment::Lab;
use super::error::LabError;
use super::progress::ProgressFn;
use super::{local_machine, recipe, service_image};

/// A test image built from Debian's packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestImage {
    /// A shell and small tools.
    Busybox,
    /// Busybox and Debian's docker-registry, which listens on port 5000 and keeps its data in
    /// `/var/lib/registry`.
    Registry,
    /// Many real services in one tree; built at the first use.
    Services,
}

impl TestImage {
    /// Returns the image's name; its tag is `lab`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Busybox => "busybox",
            Self::Registry => "registry",
            Self::Services => "services",
        }
    }

    /// Returns the Dockerfile instruction with the default command.
    fn command(self) -> &'static str {
        match self {
            Self::Registry => {
                r#"CMD ["/usr/bin/docker-registry", "serve", "/etc/docker/registry/config.yml"]"#
            }
            Self::Busybox | Self::Services => r#"CMD ["/bin/sh"]"#,
        }
    }
}

impl Lab {
    /// Loads the image `NAME:lab` into these nodes, or into all nodes if `nodes` is empty. A node
    /// that has the image is left as it is.
    ///
    /// # Errors
    /// If the image cannot be built, or no Docker Engine answers on a node.
    pub fn load_image(
        &self,
        image: TestImage,
        nodes: &[String],
        progress: ProgressFn<'_>,
    ) -> Result<(), LabError> {
        let file = self.image_file(image, progress)?;
        let all: Vec<String>;
        let nodes = if nodes.is_empty() {
            all = self.nodes().iter().map(|node| node.name.clone()).collect();
            &all
        } else {
            nodes
        };
        let script = script(image, &file, &self.record().mirror);
        // In parallel: each node unpacks for itself.
        let loaded: Vec<Result<String, LabError>> = std::thread::scope(|scope| {
            let load = |node: &str| {
                let seconds = if self.record().virtual_machines {
                    1800
                } else {
                    300
                };
                let loaded = self.shell(node, &script, seconds);
                loaded.map_err(|error| {
                    error.while_doing(format!("loading {} into {node}", image.name()))
                })
            };
            let threads: Vec<_> = nodes
                .iter()
                .map(|node| scope.spawn(move || load(node.as_str())))
                .collect();
            let joined = threads.into_iter();
            joined
                .map(|thread| {
                    thread
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect()
        });
        for (node, said) in nodes.iter().zip(loaded) {
            progress(&format!("{node}: {}:lab {}", image.name(), said?.trim()));
        }
        Ok(())
    }

    /// Returns the name of the image's file below `/images` of the mirror.
    fn image_file(&self, image: TestImage, progress: ProgressFn<'_>) -> Result<String, LabError> {
        if image != TestImage::Services {
            return Ok(format!("{}.tar", image.name()));
        }
        let (suite, architecture) = (self.record().suite, local_machine::architecture()?);
        let hash = recipe::services_hash(suite, &architecture);
        let file = format!("services-{hash}.tar");
        let mirror = format!(
            "mirror-{}-{}",
            suite.name(),
            recipe::mirror_hash(suite, &architecture)
        );
        let served = self.state().cache().join(mirror).join("images").join(&file);
        if !served.exists() {
            let _lock = self.state().lock("build", progress)?;
            let built = service_image::ensure(self.state(), suite, &hash, progress);
            let built =
                built.map_err(|error| error.while_doing("building the image of services"))?;
            match std::fs::hard_link(built, &served) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(LabError::file("link", &served)(error));
                }
                _ => {}
            }
        }
        Ok(file)
    }
}

/// Returns the script that loads the image. A label keeps the file's name, since the same name
/// means the same content.
fn script(image: TestImage, file: &str, mirror: &str) -> String {
    let (name, command) = (image.name(), image.command());
    format!(
        "have=$(docker image inspect --format '{{{{index .Config.Labels \"skep.lab.file\"}}}}' {name}:lab 2>/dev/null || :)\n\
         [ \"$have\" != '{mirror}/{file}' ] || {{ echo 'is there'; exit 0; }}\n\
         docker import --change '{command}' --change 'LABEL skep.lab.file=\"{mirror}/{file}\"' '{mirror}/images/{file}' {name}:lab >/dev/null\n\
         echo loaded\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_fetches_from_its_own_mirror_and_not_twice() {
        let script = script(TestImage::Services, "services-12.tar", "http://10.213.1.1");
        assert!(
            script.contains("'http://10.213.1.1/images/services-12.tar' services:lab"),
            "{script}"
        );
        assert!(
            script.contains(r#"index .Config.Labels "skep.lab.file""#),
            "{script}"
        );
    }
}
