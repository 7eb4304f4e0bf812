. "$(dirname "$0")/../../library.sh"
INVENTORY_ARG= SYSTEM_PATH=$PATH
rm -rf "$WORK/inputs"
cp -r "$HERE" "$WORK/inputs"
cd "$WORK/inputs" || exit 2
PATH=/nonexistent skep inventory -i ansible:hosts.ini
expect "group_vars is named" says "group_vars"
expect "the inventory is refused" is "$RC" 2
KEEP=1 finish
