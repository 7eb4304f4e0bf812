//! The control file of a downloaded package: its version, dependencies and configuration files.

use std::path::Path;

use super::command::LocalCommand;
use super::error::LabError;

/// Fields of a Debian package that the stand-in repository needs.
pub(crate) struct ControlFile {
    version: String,
    depends: String,
    /// List of the configuration files, one per line; empty if the package has none.
    pub(crate) conffiles: String,
}

impl ControlFile {
    /// Reads the fields from a `.deb`.
    pub(crate) fn of(archive: &Path) -> Result<Self, LabError> {
        let field = |name: &str| {
            let read = LocalCommand::new("dpkg-deb")
                .arguments(["-f"])
                .arguments([archive])
                .arguments([name]);
            read.run().map(|value| value.trim().to_owned())
        };
        // dpkg-deb fails if the package has no such file; the package then has no configuration
        // files.
        let conffiles = LocalCommand::new("dpkg-deb")
            .arguments(["-I"])
            .arguments([archive])
            .arguments(["conffiles"]);
        let conffiles = conffiles.finish()?;
        Ok(Self {
            version: field("Version")?,
            depends: field("Depends")?,
            conffiles: if conffiles.success {
                conffiles.stdout
            } else {
                String::new()
            },
        })
    }

    /// Returns the upstream version: `5:26.1.5+dfsg1-9` gives `26.1.5`.
    pub(crate) fn upstream(&self) -> &str {
        let version = self
            .version
            .split_once(':')
            .map_or(self.version.as_str(), |(_, rest)| rest);
        version.split(['+', '-', '~']).next().unwrap_or(version)
    }

    /// Returns the dependencies without these packages.
    pub(crate) fn depends_without(&self, left_out: &[&str]) -> Vec<String> {
        let all = self
            .depends
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty());
        let name = |entry: &str| entry.split([' ', '(', '|']).next().unwrap_or("").to_owned();
        all.filter(|entry| !left_out.contains(&name(entry).as_str()))
            .map(str::to_owned)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_dependencies() {
        let control = ControlFile {
            version: "1:26.1.5+dfsg1-9+deb13u1".to_owned(),
            depends: "libc6 (>= 2.34), runc (>= 1.0~), tini, adduser | x".to_owned(),
            conffiles: String::new(),
        };
        assert_eq!(control.upstream(), "26.1.5");
        assert_eq!(
            control.depends_without(&["runc", "tini"]),
            ["libc6 (>= 2.34)", "adduser | x"]
        );
    }
}
