. "$(dirname "$0")/../../library.sh"
INVENTORY_ARG= SYSTEM_PATH=$PATH
rm -rf "$WORK/inputs"
cp -r "$HERE" "$WORK/inputs"
cd "$WORK/inputs" || exit 2
skep inventory -i ansible:hosts.ini -l 'managers[0]'
expect "the first manager is m1" mentions '^m1 '
KEEP=1 finish
