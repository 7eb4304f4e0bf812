. "$(dirname "$0")/../../library.sh"
INVENTORY_ARG= SYSTEM_PATH=$PATH
rm -rf "$WORK/inputs"
cp -r "$HERE" "$WORK/inputs"
cd "$WORK/inputs" || exit 2
PATH=/nonexistent
OUT=$(/usr/bin/timeout 30 /usr/bin/unshare -n "$SKEP" ping -v -i inv.toml -F cfg 2>&1)
PATH=$SYSTEM_PATH
expect "the line is refused" mentions "hots.*not an option"
expect "the block below holds for nobody" silent "10.0.0.1"
KEEP=1 finish
