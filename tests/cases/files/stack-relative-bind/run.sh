. "$(dirname "$0")/../../library.sh"
two_nodes
skep plan pb.toml
expect "a path beside the compose file is refused" mentions "site.conf"
expect "nothing of a temporary folder is shown" silent "/tmp/skep-"
expect "the plan fails" isnt "$RC" 0
finish
