//! Traces the sshd of a node and all its descendants, and finds the calls that change the node.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::test_lab::TestLab;

/// Every call by which a process changes a file system, the kernel or the clock, and the calls that
/// show programs and connections.
const CALLS: &str = "open,openat,openat2,creat,unlink,unlinkat,rename,renameat,renameat2,mkdir,mkdirat,rmdir,mknod,mknodat,link,linkat,\
symlink,symlinkat,truncate,ftruncate,fallocate,chmod,fchmod,fchmodat,fchmodat2,chown,fchown,lchown,fchownat,utime,utimes,utimensat,\
futimesat,setxattr,lsetxattr,fsetxattr,removexattr,lremovexattr,fremovexattr,mount,umount2,move_mount,pivot_root,swapon,swapoff,reboot,\
init_module,finit_module,delete_module,sethostname,setdomainname,settimeofday,clock_settime,adjtimex,clock_adjtime,io_uring_setup,\
connect,execve,write,writev,sendto,sendmsg,close";

/// Calls that are no change by themselves: they show programs and connections.
const HARMLESS: [&str; 7] = [
    "connect", "execve", "write", "writev", "sendto", "sendmsg", "close",
];

/// Paths that any login writes: pam_loginuid, sshd's protection from the OOM killer, pam_motd's
/// text, and the records of logins.
const LOGIN: [&str; 11] = [
    "/proc/",
    "/dev/null",
    "/dev/tty",
    "/run/motd.dynamic",
    "/run/utmp",
    "/var/run/utmp",
    "/var/log/wtmp",
    "/var/log/lastlog",
    "/var/log/btmp",
    "/var/lib/wtmpdb/",
    "/var/lib/lastlog/",
];

/// Sockets for queries and for notices of a login.
const SOCKETS: [&str; 8] = [
    "/dev/log",
    "/run/systemd/journal/",
    "/run/systemd/private",
    "/run/systemd/userdb/",
    "/run/dbus/system_bus_socket",
    "/var/run/dbus/system_bus_socket",
    "/var/run/nscd/socket",
    "/run/nscd/socket",
];

/// Content of a trace.
#[derive(Debug, Default)]
pub struct Trace {
    /// Programs that ran.
    pub programs: BTreeSet<String>,
    /// First lines of the requests to the Engine: method and path.
    pub requests: Vec<String>,
    /// Lines that would change the node.
    pub writes: Vec<String>,
}

/// Calls `work` while sshd and all its descendants are traced.
pub fn while_traced(lab: &TestLab, node: &str, work: impl FnOnce()) -> Trace {
    let start = format!(
        "pid=$(systemctl show -p MainPID --value ssh); rm -f /tmp/trace /tmp/tracer; \
         nohup strace -f -qq -yy -s 200 -e trace={CALLS} -o /tmp/trace -p \"$pid\" >/tmp/tracer 2>&1 & echo $! >/tmp/tracer.pid"
    );
    lab.on(node, &start);
    let attached = "pid=$(systemctl show -p MainPID --value ssh); ! grep -q '^TracerPid:\t0$' /proc/$pid/status";
    lab.until(node, attached, Duration::from_secs(10));
    work();
    lab.on(node, "kill -INT $(cat /tmp/tracer.pid)");
    lab.until(
        node,
        "! kill -0 $(cat /tmp/tracer.pid) 2>/dev/null",
        Duration::from_secs(10),
    );
    read(&lab.on(node, "cat /tmp/trace"))
}

/// Parses strace's output: `PID call(arguments) = result`. A call that another process interrupts
/// is printed in two halves.
fn read(text: &str) -> Trace {
    let mut trace = Trace::default();
    // The open connections to the Engine, by the numbers of their sockets: a thread of `docker` may
    // write what another one has opened.
    let mut engine: BTreeSet<&str> = BTreeSet::new();
    for line in text.lines() {
        let Some(call) = line.split_once(' ').map(|(_, rest)| rest.trim_start()) else {
            continue;
        };
        let Some((name, arguments)) = call.split_once('(') else {
            continue;
        };
        if !name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        {
            continue;
        }
        let socket = socket_of(arguments);
        match name {
            "execve" if !line.contains("ENOENT") => {
                trace.programs.insert(
                    quoted(arguments)
                        .rsplit('/')
                        .next()
                        .unwrap_or_default()
                        .to_owned(),
                );
            }
            "execve" => {}
            "connect" if arguments.contains("AF_UNIX") => {
                let path = arguments
                    .split("sun_path=")
                    .nth(1)
                    .map(quoted)
                    .unwrap_or_default();
                if path.ends_with("/docker.sock") {
                    engine.extend(socket);
                } else if !SOCKETS.iter().any(|known| path.starts_with(known)) {
                    trace.writes.push(line.to_owned());
                }
            }
            "close" => {
                if let Some(socket) = socket {
                    engine.remove(socket);
                }
            }
            "write" | "writev" | "sendto" | "sendmsg"
                if socket.is_some_and(|socket| engine.contains(socket)) =>
            {
                let request = quoted(arguments).split("\\r\\n").next().unwrap_or_default();
                trace
                    .requests
                    .push(request.trim_end_matches(" HTTP/1.1").to_owned());
            }
            name if HARMLESS.contains(&name) => {}
            // An unnamed file in memory: apt's copy of a signed list while apt reads it.
            "openat" if quoted(arguments) == "/dev/shm" && arguments.contains("O_TMPFILE") => {}
            "open" | "openat" | "openat2" if !opens_for_writing(arguments) => {}
            _ => {
                let path = if arguments.contains('"') {
                    quoted(arguments)
                } else {
                    pointed(arguments)
                };
                if !LOGIN.iter().any(|known| path.starts_with(known)) {
                    trace.writes.push(line.to_owned());
                }
            }
        }
    }
    trace
}

/// Returns the number of the Unix socket that the first descriptor is: strace prints
/// `3<UNIX-STREAM:[12345->12346]>`.
fn socket_of(arguments: &str) -> Option<&str> {
    let descriptor = arguments.split([',', ')']).next()?;
    let (_, rest) = descriptor.split_once("<UNIX-STREAM:[")?;
    rest.split(['-', ']', ',']).next()
}

fn opens_for_writing(arguments: &str) -> bool {
    [
        "O_WRONLY",
        "O_RDWR",
        "O_CREAT",
        "O_TRUNC",
        "O_APPEND",
        "O_TMPFILE",
    ]
    .iter()
    .any(|flag| arguments.contains(flag))
}

/// Returns the first text in double quotes.
fn quoted(arguments: &str) -> &str {
    arguments.split('"').nth(1).unwrap_or_default()
}

/// Returns the file of the first descriptor: `6</run/file>`.
fn pointed(arguments: &str) -> &str {
    arguments
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map_or("", |(path, _)| path)
}
