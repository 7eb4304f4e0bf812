. "$(dirname "$0")/../../library.sh"
INVENTORY_ARG= SYSTEM_PATH=$PATH
rm -rf "$WORK/inputs"
cp -r "$HERE" "$WORK/inputs"
cd "$WORK/inputs" || exit 2
skep inventory -i ansible:hosts.ini --toml
expect "five words mean true" is "$(grep -c "become = true" <<<"$OUT")" 5
expect "off means false" is "$(grep -c "become = false" <<<"$OUT")" 1
KEEP=1 finish
