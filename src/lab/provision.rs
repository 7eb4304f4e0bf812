//! The script that adapts a booted node to its environment: authorized keys, package sources and
//! `/etc/os-release`.
//! The script is passed over stdin at every `up`. It only repairs differences.

use super::options::PresentedOs;
use super::record::LabRecord;

/// Path of the key of the lab's repositories, on a node.
const KEY_PATH: &str = "/etc/apt/keyrings/skep-lab.asc";

const UBUNTU: &str = r#"PRETTY_NAME="Ubuntu 24.04.3 LTS"
NAME="Ubuntu"
VERSION_ID="24.04"
VERSION="24.04.3 LTS (Noble Numbat)"
VERSION_CODENAME=noble
ID=ubuntu
ID_LIKE=debian
HOME_URL="https://www.ubuntu.com/"
SUPPORT_URL="https://help.ubuntu.com/"
BUG_REPORT_URL="https://bugs.launchpad.net/ubuntu/"
PRIVACY_POLICY_URL="https://www.ubuntu.com/legal/terms-and-policies/privacy-policy"
UBUNTU_CODENAME=noble
LOGO=ubuntu-logo
"#;

const UBUNTU_26_04: &str = r#"PRETTY_NAME="Ubuntu 26.04 LTS"
NAME="Ubuntu"
VERSION_ID="26.04"
VERSION="26.04 LTS (Resolute Raccoon)"
VERSION_CODENAME=resolute
ID=ubuntu
ID_LIKE=debian
HOME_URL="https://www.ubuntu.com/"
SUPPORT_URL="https://help.ubuntu.com/"
BUG_REPORT_URL="https://bugs.launchpad.net/ubuntu/"
PRIVACY_POLICY_URL="https://www.ubuntu.com/legal/terms-and-policies/privacy-policy"
UBUNTU_CODENAME=resolute
LOGO=ubuntu-logo
"#;

/// Puts uutils coreutils and sudo-rs in the places of GNU coreutils and sudo.
const RUST_USERLAND: &str = include_str!("rust_userland.sh");

/// Returns the script for a node of this environment.
pub(crate) fn script(record: &LabRecord, authorized_key: &str, repository_key: &str) -> String {
    let sources = format!(
        "# The mirror of this lab environment: a part of Debian, nothing else.\n\
         Types: deb\nURIs: {}/debian\nSuites: {}\nComponents: main\nSigned-By: {KEY_PATH}\n",
        record.mirror,
        record.suite.name()
    );
    let mut script = String::from("umask 022\n");
    for (user, home) in [("root", "/root"), ("vagrant", "/home/vagrant")] {
        script.push_str(&format!(
            "install -d -m 0700 -o {user} -g {user} {home}/.ssh\n"
        ));
        let path = format!("{home}/.ssh/authorized_keys");
        // Keys that a test added are kept.
        script.push_str(&format!(
            "touch {path}; grep -qxF '{authorized_key}' {path} || echo '{authorized_key}' >>{path}\n\
             chown {user}:{user} {path}; chmod 0600 {path}\n"
        ));
    }
    script.push_str("mkdir -p /etc/apt/keyrings\n");
    script.push_str(&file(KEY_PATH, repository_key));
    script.push_str(&file("/etc/apt/sources.list.d/skep-lab.sources", &sources));
    let release = match record.present_as {
        PresentedOs::Debian => None,
        PresentedOs::Ubuntu => Some(UBUNTU),
        PresentedOs::Ubuntu2604 => Some(UBUNTU_26_04),
    };
    if let Some(release) = release {
        // The link to Debian's own file is replaced, not followed.
        script.push_str("[ ! -L /etc/os-release ] || rm /etc/os-release\n");
        script.push_str(&file("/etc/os-release", release));
    }
    if record.present_as == PresentedOs::Ubuntu2604 {
        script.push_str(RUST_USERLAND);
    }
    script
}

fn file(path: &str, content: &str) -> String {
    format!(
        "cat >{path} <<'SKEP_LAB_END'\n{}\nSKEP_LAB_END\n",
        content.trim_end()
    )
}
