. "$(dirname "$0")/../../library.sh"
inputs
skep inventory -i ansible:hosts.ini --toml
expect "m1 has the proxy command" says "proxy_command"
expect "m2 has the jump host" says "proxy_jump"
expect "m3 has the known hosts" says "known_hosts"
finish
