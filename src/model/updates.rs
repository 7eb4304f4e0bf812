//! Updates that wait on a host: packages with a newer version, and a reboot that is due.

/// An installed package for which apt offers a newer version.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PackageUpdate {
    /// Name of the package.
    pub name: String,
    /// Installed version.
    pub from: String,
    /// Version that apt offers.
    pub to: String,
    /// True if a security archive of the distribution offers it.
    pub is_security: bool,
}

/// Reasons for a reboot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RebootState {
    /// True if a package asked for a reboot: `/run/reboot-required` exists (Debian policy 12.10).
    pub is_requested: bool,
    /// Release of the running kernel, as `uname -r` prints it.
    pub running_kernel: String,
    /// Highest release among the running kernel and those in `/boot`.
    pub newest_kernel: String,
}

impl RebootState {
    /// Returns the reason why a reboot is due; `None` if it is not.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        if self.newest_kernel != self.running_kernel {
            return Some(format!(
                "kernel {} is installed, {} runs",
                self.newest_kernel, self.running_kernel
            ));
        }
        let asked = || "an installed package asks for it (/run/reboot-required)".to_owned();
        self.is_requested.then(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_for_a_reboot() {
        let state = |is_requested, newest: &str| RebootState {
            is_requested,
            running_kernel: "6.12.1-amd64".into(),
            newest_kernel: newest.into(),
        };
        assert_eq!(state(false, "6.12.1-amd64").reason(), None);
        assert_eq!(
            state(true, "6.12.1-amd64").reason().as_deref(),
            Some("an installed package asks for it (/run/reboot-required)")
        );
        assert_eq!(
            state(true, "6.12.9-amd64").reason().as_deref(),
            Some("kernel 6.12.9-amd64 is installed, 6.12.1-amd64 runs")
        );
    }
}
