. "$(dirname "$0")/../../library.sh"
INVENTORY_ARG= SYSTEM_PATH=$PATH
rm -rf "$WORK/inputs"
cp -r "$HERE" "$WORK/inputs"
cd "$WORK/inputs" || exit 2
export PATH=$PWD/bin:$PATH FAKE=$PWD/out.json
skep inventory -i terraform:infra --toml
expect "become is a boolean" says "become = true"
expect "the group is kept" says "managers"
KEEP=1 finish
