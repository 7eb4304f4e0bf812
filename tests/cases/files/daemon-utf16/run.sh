. "$(dirname "$0")/../../library.sh"
two_nodes
on docker02 "cat >/etc/docker/daemon.json" <utf16.json
skep plan -l docker02 pb.toml
expect "UTF-16 is read" silent "not valid JSON"
finish
