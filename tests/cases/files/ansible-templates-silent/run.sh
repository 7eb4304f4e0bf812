. "$(dirname "$0")/../../library.sh"
INVENTORY_ARG= SYSTEM_PATH=$PATH
rm -rf "$WORK/inputs"
cp -r "$HERE" "$WORK/inputs"
cd "$WORK/inputs" || exit 2
skep inventory -i ansible:hosts.yml --toml
expect "become is on" says "become = true"
expect "the path of the key is rendered" mentions 'identity_file = \["/[^{]*/keys/id"\]'
KEEP=1 finish
