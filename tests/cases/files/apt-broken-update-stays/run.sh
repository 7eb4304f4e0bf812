. "$(dirname "$0")/../../library.sh"
two_nodes
skep apply -y -l docker02 right.toml
skep apply -y -l docker02 pb.toml
expect "the apply fails" isnt "$RC" 0
expect "the file has its old content again" is "$(on docker02 "grep -c forky /etc/apt/sources.list.d/docker.sources")" 0
expect "apt-get update works" on docker02 "apt-get update >/dev/null 2>&1"
finish
