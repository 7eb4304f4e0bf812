. "$(dirname "$0")/../../library.sh"
inputs
ping_without_ssh
expect "no warning" silent "only the program"
expect "the block of web holds" says "10.0.0.1"
finish
