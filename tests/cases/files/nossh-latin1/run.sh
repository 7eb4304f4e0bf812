. "$(dirname "$0")/../../library.sh"
inputs
ping_without_ssh
expect "the file is read" says "10.0.0.1"
finish
