//! The facts of a host: the probe's script, and its parser.

use crate::model::HostFacts;

/// Prints `key=value` lines, then os-release behind a line `--`. The files are read by the shell
/// itself, which starts no process for them.
pub(super) const SCRIPT: &str = r#"fact() { f=; [ ! -r "$2" ] || IFS= read -r f <"$2" || :; echo "$1=$f"; }
fact hostname /proc/sys/kernel/hostname
fact kernel /proc/sys/kernel/osrelease
fact machine_id /etc/machine-id
echo "architecture=$(dpkg --print-architecture)"
echo "processors=$(nproc)"
while read -r k v u; do [ "$k" = MemTotal: ] && echo "memory_kib=$v" && break; done </proc/meminfo
read -r up rest </proc/uptime; echo "uptime=$up"
echo "clock=$(date +%s)"
ip -o address show scope global 2>/dev/null | while read -r n i f a r; do echo "address=${a%%/*}"; done
echo --
while IFS= read -r f || [ -n "$f" ]; do printf '%s\n' "$f"; done </etc/os-release"#;

/// Parses what [`SCRIPT`] printed.
pub(super) fn parse(text: &str) -> HostFacts {
    let mut facts = HostFacts::default();
    let (own, release) = text.split_once("\n--\n").unwrap_or((text, ""));
    for (key, value) in own.lines().filter_map(|line| line.split_once('=')) {
        let value = value.trim().to_owned();
        match key {
            "hostname" => facts.hostname = value,
            "kernel" => facts.kernel = value,
            "architecture" => facts.architecture = value,
            "machine_id" => facts.machine_id = value,
            "processors" => facts.processors = value.parse().unwrap_or_default(),
            "memory_kib" => facts.memory_mib = value.parse::<u64>().unwrap_or_default() / 1024,
            "uptime" => {
                facts.uptime = value
                    .split('.')
                    .next()
                    .and_then(|part| part.parse().ok())
                    .unwrap_or_default();
            }
            "clock" => facts.clock = value.parse().unwrap_or_default(),
            "address" => facts.addresses.push(value),
            _ => {}
        }
    }
    let (mut ubuntu, mut debian) = (String::new(), String::new());
    for (key, value) in release.lines().filter_map(|line| line.split_once('=')) {
        // os-release(5): values may stand in quotes.
        let value = value.trim().trim_matches(['"', '\'']).to_owned();
        match key {
            "ID" => facts.id = value,
            "VERSION_ID" => facts.version = value,
            "VERSION_CODENAME" => facts.codename = value,
            "PRETTY_NAME" => facts.pretty_name = value,
            "UBUNTU_CODENAME" => ubuntu = value,
            "DEBIAN_CODENAME" => debian = value,
            _ => {}
        }
    }
    // A distribution that derives from Ubuntu or Debian names the release in a key of its own:
    // Linux Mint and Pop!_OS, or LMDE. Raspbian has repositories of its own.
    let (base_id, base_codename) = match facts.id.as_str() {
        "debian" | "ubuntu" | "raspbian" => (facts.id.clone(), facts.codename.clone()),
        _ if !ubuntu.is_empty() => ("ubuntu".to_owned(), ubuntu),
        _ if !debian.is_empty() => ("debian".to_owned(), debian),
        _ => (String::new(), String::new()),
    };
    (facts.base_id, facts.base_codename) = (base_id, base_codename);
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_from_what_a_debian_prints() {
        let text = "hostname=docker01\nkernel=6.1.0\narchitecture=amd64\nmachine_id=abc\nprocessors=2\nmemory_kib=2048000\n\
                    uptime=12.34\nclock=1700000000\naddress=192.168.56.11\n--\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n\
                    VERSION_ID=\"13\"\nVERSION_CODENAME=trixie\nID=debian\n";
        let facts = parse(text);
        assert_eq!(facts.hostname, "docker01");
        assert_eq!(facts.memory_mib, 2000);
        assert_eq!(
            (
                facts.id.as_str(),
                facts.version.as_str(),
                facts.codename.as_str()
            ),
            ("debian", "13", "trixie")
        );
        assert_eq!(facts.addresses, ["192.168.56.11"]);
        assert_eq!((facts.uptime, facts.clock), (12, 1_700_000_000));
    }

    #[test]
    fn derived_distributions_have_the_release_that_they_derive_from() {
        let base = |release: &str| {
            let facts = parse(&format!("hostname=a\n--\n{release}"));
            (facts.base_id, facts.base_codename)
        };
        for (release, id, codename) in [
            ("ID=debian\nVERSION_CODENAME=trixie\n", "debian", "trixie"),
            (
                "ID=ubuntu\nVERSION_CODENAME=noble\nUBUNTU_CODENAME=noble\n",
                "ubuntu",
                "noble",
            ),
            (
                "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\nVERSION_CODENAME=wilma\nUBUNTU_CODENAME=noble\n",
                "ubuntu",
                "noble",
            ),
            (
                "ID=pop\nID_LIKE=\"ubuntu debian\"\nVERSION_CODENAME=jammy\nUBUNTU_CODENAME=jammy\n",
                "ubuntu",
                "jammy",
            ),
            (
                "ID=linuxmint\nID_LIKE=debian\nVERSION_CODENAME=faye\nDEBIAN_CODENAME=bookworm\n",
                "debian",
                "bookworm",
            ),
            (
                "ID=raspbian\nID_LIKE=debian\nVERSION_CODENAME=bookworm\n",
                "raspbian",
                "bookworm",
            ),
            (
                "ID=kali\nID_LIKE=debian\nVERSION_CODENAME=kali-rolling\n",
                "",
                "",
            ),
        ] {
            assert_eq!(
                base(release),
                (id.to_owned(), codename.to_owned()),
                "{release}"
            );
        }
    }
}
