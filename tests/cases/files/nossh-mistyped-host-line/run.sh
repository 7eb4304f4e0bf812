. "$(dirname "$0")/../../library.sh"
inputs
ping_without_ssh
expect "the line is refused" mentions "hots.*not an option"
expect "the block below holds for nobody" silent "10.0.0.1"
finish
