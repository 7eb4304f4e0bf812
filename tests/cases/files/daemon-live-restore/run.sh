. "$(dirname "$0")/../../library.sh"
two_nodes
skep apply -y -l docker02 pb.toml
expect "the setting is refused" isnt "$RC" 0
on docker02 "systemctl restart docker; sleep 2" 2>/dev/null
expect "the Engine starts again" is "$(on docker02 "systemctl is-active docker")" active
finish
