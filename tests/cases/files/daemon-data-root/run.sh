. "$(dirname "$0")/../../library.sh"
two_nodes
skep apply -y -l docker02 pb.toml
expect "the node is still in its swarm" is "$(on docker02 "docker info --format '{{.Swarm.LocalNodeState}}'")" active
expect "the setting is refused" isnt "$RC" 0
finish
