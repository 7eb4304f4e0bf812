. "$(dirname "$0")/../../library.sh"
two_nodes
skep plan pb.toml
expect "the note names what is ignored" mentions "ignoring.*container_name"
finish
