. "$(dirname "$0")/../../library.sh"
INVENTORY_ARG= SYSTEM_PATH=$PATH
rm -rf "$WORK/inputs"
cp -r "$HERE" "$WORK/inputs"
cp "$ROOT/tests/cases/sshd.sh" "$WORK/inputs/"
cd "$WORK/inputs" || exit 2
sh sshd.sh
echo "127.0.0.1 $(cut -d" " -f1,2 t/host.pub)" >t/kh
skep ping -i inv.toml -F cfg
sh sshd.sh stop
expect "a key known without the port is known" is "$RC" 0
KEEP=1 finish
