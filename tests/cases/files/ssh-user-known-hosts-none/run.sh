. "$(dirname "$0")/../../library.sh"
INVENTORY_ARG= SYSTEM_PATH=$PATH
rm -rf "$WORK/inputs"
cp -r "$HERE" "$WORK/inputs"
cp "$ROOT/tests/cases/sshd.sh" "$WORK/inputs/"
cd "$WORK/inputs" || exit 2
sh sshd.sh
echo "# of the administrator" >t/global
skep ping -i inv.toml -F cfg
global=$(cat t/global)
sh sshd.sh stop
expect "the global file stays as it is" is "$global" "# of the administrator"
KEEP=1 finish
