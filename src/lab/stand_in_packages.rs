//! Which packages the stand-in for Docker's repository has, and which of Debian's each is made of.

const DOCKER_CE_POSTINST: &str = include_str!("docker_ce_postinst.sh");
const CONTAINERD_POSTINST: &str = include_str!("containerd_postinst.sh");

/// One package of the stand-in.
pub(crate) struct StandInPackage {
    /// Its name, as Docker calls it.
    pub(crate) name: &'static str,
    /// Debian's packages that it is made of; the first gives the version. None found: an empty package.
    pub(crate) from: &'static [&'static str],
    /// How many of those to take, in their order.
    pub(crate) takes: usize,
    /// The version where Debian has no such package.
    pub(crate) fallback: &'static str,
    /// Before the version: Docker's Engine has `5:`.
    pub(crate) epoch: &'static str,
    /// Needed besides what Debian's packages need.
    pub(crate) depends: &'static str,
    /// Other fields of the control file.
    pub(crate) relations: &'static [(&'static str, &'static str)],
    /// Its units, and the script run when it is installed.
    pub(crate) unit: Option<(&'static str, &'static str)>,
}

/// All packages of the stand-in, in two versions each.
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
