. "$(dirname "$0")/../library.sh"
environment 3 0
on docker01 'docker swarm update --autolock=true' >/dev/null
B=$(playbook restart '{ daemon_json = { log-driver = "json-file", log-opts = { max-size = "33m" } } },')
skep plan "$B"
expect "the plan says that managers of this swarm stay locked after a restart, or refuses" mentions 'lock'
skep apply -y "$B"
locked=0; for n in 01 02 03; do on docker$n "docker info --format '{{.Swarm.LocalNodeState}}' 2>/dev/null" | grep -q locked && locked=$((locked + 1)); done
expect "no manager was locked out by apply ($locked)" is "$locked" 0
finish
