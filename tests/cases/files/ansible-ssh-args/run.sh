. "$(dirname "$0")/../../library.sh"
INVENTORY_ARG= SYSTEM_PATH=$PATH
rm -rf "$WORK/inputs"
cp -r "$HERE" "$WORK/inputs"
cd "$WORK/inputs" || exit 2
skep inventory -i ansible:hosts.ini --toml
expect "m1 has the proxy command" says "proxy_command"
expect "m2 has the jump host" says "proxy_jump"
expect "m3 has the known hosts" says "known_hosts"
KEEP=1 finish
