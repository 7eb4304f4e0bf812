. "$(dirname "$0")/../../library.sh"
INVENTORY_ARG= SYSTEM_PATH=$PATH
rm -rf "$WORK/inputs"
cp -r "$HERE" "$WORK/inputs"
cd "$WORK/inputs" || exit 2
skep inventory -i ansible:hosts.ini --toml
expect "hosts that are not reached over SSH are left out" is "$(grep -c "^\[hosts" <<<"$OUT")" 1
expect "the sentence names the variable" says "ansible_connection is local"
KEEP=1 finish
