. "$(dirname "$0")/../library.sh"
environment 3 1
B=$(playbook restart '{ daemon_json = { log-driver = "json-file", log-opts = { max-size = "33m" } } },')
setsid "$SKEP" apply -y "$B" -i "$INV" >"$WORK/out" 2>&1 & 
for i in $(seq 100); do grep -q 'waiting: another' "$WORK/out" && break; sleep 0.1; done
kill -INT "$(pgrep -f "$SKEP apply -y $B" | head -1)"; wait
OUT=$(cat "$WORK/out")
changed=0; for n in 01 02 03 04; do on docker$n 'grep -q 33m /etc/docker/daemon.json' && changed=$((changed + 1)); done
echo "hosts changed after one Ctrl-C at the first Engine: $changed of 4"
expect "hosts that only waited for their turn are left out" below "$changed" 3
finish
