. "$(dirname "$0")/../../library.sh"
INVENTORY_ARG= SYSTEM_PATH=$PATH
rm -rf "$WORK/inputs"
cp -r "$HERE" "$WORK/inputs"
cd "$WORK/inputs" || exit 2
skep inventory -i ansible:hosts.ini
expect "the IPv6 address is one" says "2001:db8::1"
expect "the login in the name is one" says "ann@10.0.0.7:22"
expect "exit 0" is "$RC" 0
KEEP=1 finish
