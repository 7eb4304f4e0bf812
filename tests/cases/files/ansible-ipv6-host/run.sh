. "$(dirname "$0")/../../library.sh"
inputs
skep inventory -i ansible:hosts.ini
expect "the IPv6 address is one" says "2001:db8::1"
expect "the login in the name is one" says "ann@10.0.0.7:22"
expect "exit 0" is "$RC" 0
finish
