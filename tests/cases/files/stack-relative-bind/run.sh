. "$(dirname "$0")/../../library.sh"
INPUTS=$HERE
environment 1 1
cd "$INPUTS" || exit 2
skep plan pb.toml
expect "a path beside the compose file is refused" mentions "site.conf"
expect "nothing of a temporary folder is shown" silent "/tmp/skep-"
expect "the plan fails" isnt "$RC" 0
finish
