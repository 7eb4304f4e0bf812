. "$(dirname "$0")/../library.sh"
environment 1 1
on docker02 'systemctl stop docker.socket docker' 2>/dev/null
for i in $(seq 30); do on docker01 'docker node ls' | grep -q Down && break; sleep 1; done
skep check "$CLUSTER"
expect "commands of hints can be pasted" silent '`skep lab start docker02 ('
finish
