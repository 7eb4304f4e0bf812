. "$(dirname "$0")/../library.sh"
environment 1 1 bare
a=$(sed -n '/hosts.docker01/,/address/s/address = //p' "$INV"); b=$(sed -n '/hosts.docker02/,/address/s/address = //p' "$INV")
sed -i "s/address = $b/address = $a/" "$INV"
B=$(playbook two '{ command = { run = "sleep 2", always = true } },')
skep apply -y "$B"
expect "two hosts with one address are told as such" mentions 'docker0[12] and docker0[12]|same (machine|address)'
expect "a host is not said to be locked by this very run" silent 'wait for that run with --lock-wait'
finish
