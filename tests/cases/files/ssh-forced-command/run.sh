. "$(dirname "$0")/../../library.sh"
INVENTORY_ARG= SYSTEM_PATH=$PATH
rm -rf "$WORK/inputs"
cp -r "$HERE" "$WORK/inputs"
cp "$ROOT/tests/cases/sshd.sh" "$WORK/inputs/"
cd "$WORK/inputs" || exit 2
OPTIONS='command="echo Please log in as the user ann rather than root.; sleep 2; exit 142"' sh sshd.sh
skep ping -i inv.toml -F cfg
sh sshd.sh stop
expect "the host's own words are shown" says "Please log in as the user"
expect "the remedy is the other user" mentions 'user = "ann"'
KEEP=1 finish
