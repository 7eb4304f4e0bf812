. "$(dirname "$0")/../library.sh"
environment 1 1 docker
a=$(sed -n '/hosts.docker02/,/address/s/address = //p' "$INV" | tr -d '"')
on docker01 "iptables -A INPUT -p tcp --dport 2377 -s $a -j DROP"
skep apply -y "$CLUSTER"; printf "%s\n" "$OUT" >"$WORK/applied"
expect "the error names the way that is closed: 2377 of the manager" says 2377
skep status
expect "a node that is half-way in is not said to be in another swarm" silent 'in another swarm'
finish
