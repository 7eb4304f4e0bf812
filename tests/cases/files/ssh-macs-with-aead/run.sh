. "$(dirname "$0")/../../library.sh"
INVENTORY_ARG= SYSTEM_PATH=$PATH
rm -rf "$WORK/inputs"
cp -r "$HERE" "$WORK/inputs"
cp "$ROOT/tests/cases/sshd.sh" "$WORK/inputs/"
cd "$WORK/inputs" || exit 2
sh sshd.sh
skep ping -i inv.toml -F cfg
sh sshd.sh stop
expect "a cipher with its own authentication needs no MAC" is "$RC" 0
KEEP=1 finish
