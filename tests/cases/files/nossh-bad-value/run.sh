. "$(dirname "$0")/../../library.sh"
inputs
ping_without_ssh
expect "the value is refused" mentions "stricthostkeychecking.*maybe"
expect "nothing is connected to" silent "host_keys"
finish
