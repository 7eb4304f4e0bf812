. "$(dirname "$0")/../../library.sh"
two_nodes
on docker02 "cat >/etc/docker/daemon.json; systemctl reload docker; sleep 1" <slash.json
skep plan -l docker02 pb.toml
expect "the two spellings are the same mirror" silent "m.example"
expect "nothing is to change" is "$RC" 0
finish
