. "$(dirname "$0")/../library.sh"
environment 3 0
B=$(playbook restart '{ daemon_json = { log-driver = "json-file", log-opts = { max-size = "33m" } } },')
for n in 01 02 03; do "$SKEP" apply -y "$B" -i "$INV" -l docker$n >"$WORK/out$n" 2>&1 & done; wait
for n in 01 02 03; do
  on docker$n 'journalctl -u docker -o short-unix --no-pager | grep -E "Stopping docker.service|Started docker.service" | tail -2' | awk '/Stopping/ {print $1, 1} /Started/ {print $1, -1}'
done | sort -n >"$WORK/spans"
most=$(awk '{ n += $2; if (n > m) m = n } END { print m + 0 }' "$WORK/spans")
OUT=$(cat "$WORK/spans" "$WORK"/out0?)
expect "at most one of three managers' Engines was away at a time ($most were)" below "$most" 2
finish
