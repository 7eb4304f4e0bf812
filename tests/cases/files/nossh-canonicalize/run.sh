. "$(dirname "$0")/../../library.sh"
inputs
ping_without_ssh
expect "the last block holds" mentions "2222"
expect "the user is that of the last block" mentions "ann"
finish
