. "$(dirname "$0")/../library.sh"
environment 3 1
for n in 01 02; do on docker$n 'systemctl stop docker.socket docker' 2>/dev/null; done; sleep 10
skep apply -y "$CLUSTER"
expect "apply starts the two Engines, which is in its own plan" is "$(on docker01 'systemctl is-active docker') $(on docker02 'systemctl is-active docker')" 'active active'
expect "and so ends well" is "$RC" 0
finish
