. "$(dirname "$0")/../../library.sh"
INVENTORY_ARG= SYSTEM_PATH=$PATH
rm -rf "$WORK/inputs"
cp -r "$HERE" "$WORK/inputs"
cd "$WORK/inputs" || exit 2
cd project || exit 2
skep inventory -i ansible:inventories/hosts.ini --toml
expect "the key is an absolute path" mentions 'identity_file = \["/.*/keys/id"\]'
KEEP=1 finish
