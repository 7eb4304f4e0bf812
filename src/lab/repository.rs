//! Turns a folder of packages into a signed apt repository. The signing key belongs to the state
//! directory.

use std::fs;
use std::path::{Path, PathBuf};

use super::command::LocalCommand;
use super::error::LabError;
use super::state::{StateDirectory, make_folder, write_file};

/// Part of the mirror's recipe; to be changed with the layout of the repository.
pub(crate) const RECIPE: &str =
    "repository 1: Packages, Packages.gz, Release, Release.gpg, InRelease";

/// A suite of a repository.
pub(crate) struct RepositorySuite<'a> {
    /// Folder that contains `dists`.
    pub(crate) root: &'a Path,
    /// Suite and code name.
    pub(crate) suite: &'a str,
    /// Name of the only component.
    pub(crate) component: &'a str,
    /// Folder of the packages, relative to the root.
    pub(crate) pool: &'a str,
    /// Origin of the release file.
    pub(crate) origin: &'a str,
    /// Label of the release file.
    pub(crate) label: &'a str,
}

/// Key pair that signs the lab's repositories.
pub(crate) struct SigningKey {
    secret: PathBuf,
    /// Public key, armoured.
    pub(crate) public: String,
}

impl SigningKey {
    /// Returns the key of this state directory, and generates it if it is missing.
    pub(crate) fn ensure(state: &StateDirectory) -> Result<Self, LabError> {
        let folder = state.keys();
        let (secret, public) = (
            folder.join("repository.secret.asc"),
            folder.join("repository.asc"),
        );
        if !(secret.exists() && public.exists()) {
            make_folder(&folder)?;
            let ring = GpgHome::new()?;
            ring.gpg()
                .arguments(["--passphrase", "", "--quick-generate-key"])
                .arguments([
                    "skep lab, throwaway <lab@skep.invalid>",
                    "rsa3072",
                    "sign",
                    "never",
                ])
                .run()?;
            let text = ring
                .gpg()
                .arguments(["--armor", "--export-secret-keys"])
                .run()?;
            write_file(&secret, text.as_bytes(), 0o600)?;
            let text = ring.gpg().arguments(["--armor", "--export"]).run()?;
            write_file(&public, text.as_bytes(), 0o644)?;
        }
        let public = fs::read_to_string(&public).map_err(LabError::file("read", &public))?;
        Ok(Self { secret, public })
    }
}

impl RepositorySuite<'_> {
    /// Writes and signs the indexes of the packages in the pool.
    pub(crate) fn write(&self, architecture: &str, key: &SigningKey) -> Result<(), LabError> {
        let dists = self.root.join("dists").join(self.suite);
        let binary = dists
            .join(self.component)
            .join(format!("binary-{architecture}"));
        make_folder(&binary)?;
        let packages = LocalCommand::new("apt-ftparchive")
            .arguments(["packages", self.pool])
            .folder(self.root)
            .install_hint("apt-get install apt-utils")
            .seconds(300)
            .run()?;
        write_file(&binary.join("Packages"), packages.as_bytes(), 0o644)?;
        LocalCommand::new("gzip")
            .arguments(["--force", "--keep", "--no-name", "Packages"])
            .folder(&binary)
            .run()?;
        let about = [
            ("Origin", self.origin),
            ("Label", self.label),
            ("Suite", self.suite),
            ("Codename", self.suite),
            ("Architectures", architecture),
            ("Components", self.component),
        ];
        let options =
            about.map(|(name, value)| format!("APT::FTPArchive::Release::{name}={value}"));
        let indexes = ["Packages", "Packages.gz"]
            .map(|name| format!("APT::FTPArchive::Release::Patterns::={name}"));
        let release = LocalCommand::new("apt-ftparchive")
            .arguments(
                options
                    .iter()
                    .chain(&indexes)
                    .flat_map(|option| ["-o", option]),
            )
            .arguments(["release", "."])
            .folder(&dists)
            .run()?;
        write_file(&dists.join("Release"), release.as_bytes(), 0o644)?;
        let ring = GpgHome::new()?;
        ring.gpg()
            .arguments(["--import"])
            .arguments([&key.secret])
            .run()?;
        for (how, signed) in [
            ("--detach-sign", "Release.gpg"),
            ("--clearsign", "InRelease"),
        ] {
            ring.gpg()
                .arguments(["--armor", how, "--output", signed, "Release"])
                .folder(&dists)
                .run()?;
        }
        Ok(())
    }
}

/// A temporary GNUPGHOME: its path is short enough for the agent's socket, and the agent ends with
/// it.
struct GpgHome(tempfile::TempDir);

impl GpgHome {
    fn new() -> Result<Self, LabError> {
        let folder = tempfile::Builder::new().prefix("skep-gpg-").tempdir();
        folder
            .map(Self)
            .map_err(LabError::file("create", &std::env::temp_dir()))
    }

    fn gpg(&self) -> LocalCommand {
        LocalCommand::new("gpg")
            .environment("GNUPGHOME", self.0.path())
            .arguments(["--batch", "--yes", "--quiet", "--pinentry-mode", "loopback"])
            .install_hint("apt-get install gnupg")
    }
}

impl Drop for GpgHome {
    fn drop(&mut self) {
        // An agent that outlives its folder is idle, so a failure is not reported.
        let _ = LocalCommand::new("gpgconf")
            .environment("GNUPGHOME", self.0.path())
            .arguments(["--kill", "all"])
            .finish();
    }
}
