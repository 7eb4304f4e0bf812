. "$(dirname "$0")/../library.sh"
environment 1 1
# The Engine takes live-restore by a reload, also in a swarm, and does not start with it the next time.
sed -i 's/^daemon_json = { /daemon_json = { live-restore = true, /' "$DOCKER"
skep apply -y "$CLUSTER"
expect "live-restore on nodes of a swarm is refused (or the change is a restart, which is rolled back)" isnt "$RC" 0
on docker02 'systemctl restart docker' 2>/dev/null; sleep 2
expect "the Engine survives its next start" is "$(on docker02 'systemctl is-active docker')" active
skep check "$DOCKER"
expect "check does not say in sync while docker02's Engine is down" silent 'In sync'
finish
