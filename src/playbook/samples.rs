//! Sample facts of every supported release. Resources that use `facts` are checked against them
//! without a network.

use crate::model::HostFacts;

/// Facts of a fresh host of one release.
#[derive(Debug, Clone)]
pub struct SampleFacts {
    /// Name of the release: `Ubuntu 24.04`.
    pub release: String,
    /// Facts of the release.
    pub facts: HostFacts,
}

const RELEASES: &[(&str, &str, &str)] = &[
    ("ubuntu", "22.04", "jammy"),
    ("ubuntu", "24.04", "noble"),
    ("ubuntu", "26.04", "resolute"),
    ("debian", "12", "bookworm"),
    ("debian", "13", "trixie"),
];

/// Returns the facts of every supported release, for a host with this name and address.
#[must_use]
pub fn sample_facts(hostname: &str, address: &str) -> Vec<SampleFacts> {
    let sample = |(id, version, codename): &(&str, &str, &str)| {
        let system = if *id == "ubuntu" { "Ubuntu" } else { "Debian" };
        let release = format!("{system} {version}");
        let facts = HostFacts {
            hostname: hostname.to_owned(),
            id: (*id).to_owned(),
            version: (*version).to_owned(),
            codename: (*codename).to_owned(),
            base_id: (*id).to_owned(),
            base_codename: (*codename).to_owned(),
            pretty_name: release.clone(),
            architecture: "amd64".to_owned(),
            kernel: "6.8.0-31-generic".to_owned(),
            machine_id: "0123456789abcdef0123456789abcdef".to_owned(),
            processors: 2,
            memory_mib: 2048,
            addresses: vec![address.to_owned()],
            clock: 1_767_225_600,
            uptime: 3600,
        };
        SampleFacts { release, facts }
    };
    RELEASES.iter().map(sample).collect()
}
