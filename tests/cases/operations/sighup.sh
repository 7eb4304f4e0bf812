. "$(dirname "$0")/../library.sh"
environment 1 0 bare
B=$(playbook steps '{ command = { run = "sleep 4; date >/root/s1", always = true } }, { command = { run = "date >/root/s2", always = true } },')
setsid "$SKEP" apply -y "$B" -i "$INV" >"$WORK/out" 2>&1 & 
for i in $(seq 50); do on docker01 'test -d /run/skep.lock' 2>/dev/null && break; sleep 0.1; done
sleep 0.5; kill -HUP "$(pgrep -f "$SKEP apply -y $B" | head -1)"; wait $!; RC=$?
OUT=$(cat "$WORK/out")
expect "the terminal went away: the running step is finished, as with Ctrl-C" is "$(on docker01 'ls /root/s1 2>/dev/null')" /root/s1
expect "the lock is released" is "$(on docker01 'ls -d /run/skep.lock 2>/dev/null')" ""
finish
