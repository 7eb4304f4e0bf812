//! The packages of the stand-in for Docker's repository, and the Debian packages that each is built
//! from.

const DOCKER_CE_POSTINST: &str = include_str!("docker_ce_postinst.sh");
const CONTAINERD_POSTINST: &str = include_str!("containerd_postinst.sh");

/// A package of the stand-in.
pub(crate) struct StandInPackage {
    /// Name that Docker gives the package.
    pub(crate) name: &'static str,
    /// Debian packages that the content comes from; the first one gives the version. If none is
    /// found, the package is empty.
    pub(crate) from: &'static [&'static str],
    /// Number of those packages to use, in their order.
    pub(crate) takes: usize,
    /// Version if Debian has no such package.
    pub(crate) fallback: &'static str,
    /// Prefix of the version: Docker's Engine has `5:`.
    pub(crate) epoch: &'static str,
    /// Dependencies in addition to those of Debian's packages.
    pub(crate) depends: &'static str,
    /// Other fields of the control file.
    pub(crate) relations: &'static [(&'static str, &'static str)],
    /// Units of the package, and its postinst script.
    pub(crate) unit: Option<(&'static str, &'static str)>,
}

/// Packages of the stand-in, each built in two versions.
pub(crate) const PACKAGES: &[StandInPackage] = &[
    StandInPackage {
        name: "docker-ce",
        from: &["docker.io", "tini"],
        takes: 2,
        fallback: "0.0.0",
        epoch: "5:",
        depends: "containerd.io, docker-ce-cli, iptables",
        relations: &[
            ("Conflicts", "docker.io, docker-engine"),
            ("Replaces", "docker-engine, docker.io, tini"),
        ],
        unit: Some(("docker.service docker.socket", DOCKER_CE_POSTINST)),
    },
    StandInPackage {
        name: "docker-ce-cli",
        from: &["docker-cli", "docker.io"],
        takes: 1,
        fallback: "0.0.0",
        epoch: "5:",
        depends: "",
        relations: &[
            ("Recommends", "docker-buildx-plugin, docker-compose-plugin"),
            ("Conflicts", "docker-cli, docker.io"),
            // Debian moved manual pages from docker.io to docker-cli.
            ("Replaces", "docker-ce, docker-cli, docker.io"),
        ],
        unit: None,
    },
    StandInPackage {
        name: "containerd.io",
        from: &["containerd", "runc"],
        takes: 2,
        fallback: "0.0.0",
        epoch: "",
        depends: "",
        relations: &[
            ("Conflicts", "containerd, runc"),
            ("Replaces", "containerd, runc"),
            ("Provides", "containerd, runc"),
        ],
        unit: Some(("containerd.service", CONTAINERD_POSTINST)),
    },
    StandInPackage {
        name: "docker-buildx-plugin",
        from: &["docker-buildx"],
        takes: 1,
        fallback: "0.13.1",
        epoch: "",
        depends: "",
        relations: &[("Conflicts", "docker-buildx")],
        unit: None,
    },
    StandInPackage {
        name: "docker-compose-plugin",
        from: &["docker-compose"],
        takes: 1,
        fallback: "2.26.1",
        epoch: "",
        depends: "",
        relations: &[("Conflicts", "docker-compose")],
        unit: None,
    },
];
