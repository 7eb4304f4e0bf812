//! The playbook of the link fault tests, and a snapshot of all that it changes on a node.

use crate::test_lab::TestLab;

pub const PLAYBOOK: &str = r#"[[plays]]
hosts = "all"
resources = [
  { directory = { path = "/srv/link", mode = "0750" } },
  { file = { path = "/srv/link/new", content = "{{ 'a line of text\n' * 400 }}", mode = "0640" } },
  { file = { path = "/srv/old", content = "{{ 'new\n' * 500 }}" } },
  { file = { path = "/srv/gone", state = "absent" } },
  { symlink = { path = "/srv/to", target = "/srv/link/new" } },
  { hosts_entry = { address = "10.9.9.9", names = ["link.lan"] } },
  { user_in_group = { user = "vagrant", group = "games" } },
  { sysctl = { key = "net.ipv4.conf.lo.log_martians", value = 1 } },
  { command = { run = "cat >/srv/said", stdin = "{{ 'what it reads\n' * 2000 }}", creates = "/srv/said" } },
]
"#;

/// Resets a node to its state before the playbook.
pub const RESET: &str = "
rm -rf /srv/* /var/lib/skep /run/skep.lock* /etc/sysctl.d/60-skep-*; echo old >/srv/old; echo old >/srv/gone
sed -i /link.lan/d /etc/hosts; ! id -nG vagrant | grep -qw games || gpasswd -d vagrant games >/dev/null
echo 0 >/proc/sys/net/ipv4/conf/lo/log_martians
";

/// Waits until no process of a run is left, and prints each thing that the run changes as one line;
/// then the files that must not exist; then the record. A remaining lock is made a minute older.
const SNAPSHOT: &str = "
for i in $(seq 200); do pgrep -f '^[s]shd-session' >/dev/null || pgrep -f '[t]imeout -k 5' >/dev/null || break; sleep 0.05; done
stat -c %a /srv/link 2>/dev/null || echo -
for file in /srv/link/new /srv/old /srv/gone /srv/said /etc/sysctl.d/60-skep-net.ipv4.conf.lo.log_martians.conf; do
  echo \"$file $(stat -c '%a %U %s' $file 2>/dev/null) $(cksum <$file 2>/dev/null)\"
done 2>/dev/null
tail -n +2 /etc/hosts | grep -vw \"$(hostname)\" | cksum
readlink /srv/to || echo -
id -nG vagrant
cat /proc/sys/net/ipv4/conf/lo/log_martians
echo left: $(find /srv /etc /var/lib/skep /run/skep.lock /root /tmp \\( -name '.skep*' -o -name '.applied*' -o -name '*.new' \\) 2>/dev/null)
if [ -d /run/skep.lock ]; then
  read -r now _ </proc/uptime; sed -i \"5s/.*/$((${now%%.*} - 70))/\" /run/skep.lock/owner
fi 2>/dev/null
cat /var/lib/skep/applied.json 2>/dev/null || :
";

/// State of a node.
#[derive(Debug, PartialEq)]
pub struct NodeSnapshot {
    pub things: Vec<String>,
    pub left: String,
    pub record: String,
}

pub fn snapshot(lab: &TestLab, node: &str) -> NodeSnapshot {
    let text = lab.on(node, SNAPSHOT);
    let (things, rest) = text.split_once("left:").unwrap();
    let (left, record) = rest.split_once('\n').unwrap_or((rest, ""));
    let things = things.lines().map(|line| line.trim().to_owned()).collect();
    NodeSnapshot {
        things,
        left: left.trim().to_owned(),
        record: record.to_owned(),
    }
}
