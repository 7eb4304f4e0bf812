. "$(dirname "$0")/../../library.sh"
INPUTS=$HERE
environment 1 1
cd "$INPUTS" || exit 2
skep plan pb.toml
expect "the note names what is ignored" mentions "ignoring.*container_name"
finish
