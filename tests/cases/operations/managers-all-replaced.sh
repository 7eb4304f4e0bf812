. "$(dirname "$0")/../library.sh"
environment 1 1
on docker01 'docker secret create keep /etc/hostname' >/dev/null
sed -i -e '/hosts.docker01/,/vars/s/groups = .*/groups = ["workers"]/' -e '/hosts.docker02/,/vars/s/groups = .*/groups = ["managers"]/' "$INV"
skep apply -y "$CLUSTER"
expect "no hint tells to run docker swarm leave --force on the only manager" silent 'leave --force'
expect "docker01, a host of the inventory, is not called another swarm" silent 'already in another swarm'
finish
