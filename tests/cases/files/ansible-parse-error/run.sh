. "$(dirname "$0")/../../library.sh"
INVENTORY_ARG= SYSTEM_PATH=$PATH
rm -rf "$WORK/inputs"
cp -r "$HERE" "$WORK/inputs"
cd "$WORK/inputs" || exit 2
skep inventory -i ansible:hosts.ini
expect "the cause that Ansible printed is told" says "Expected key=value host variable assignment"
KEEP=1 finish
