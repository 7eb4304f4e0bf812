. "$(dirname "$0")/../../library.sh"
INVENTORY_ARG= SYSTEM_PATH=$PATH
rm -rf "$WORK/inputs"
cp -r "$HERE" "$WORK/inputs"
cd "$WORK/inputs" || exit 2
PATH=/nonexistent skep inventory -i ansible:hosts.ini
expect "the comment ends the value" says "ann@10.0.0.1:22"
KEEP=1 finish
