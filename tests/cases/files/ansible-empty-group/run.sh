. "$(dirname "$0")/../../library.sh"
INVENTORY_ARG= SYSTEM_PATH=$PATH
rm -rf "$WORK/inputs"
cp -r "$HERE" "$WORK/inputs"
cd "$WORK/inputs" || exit 2
skep validate -i ansible:hosts.yml site.toml
expect "an empty group is a group" is "$RC" 0
PATH=/nonexistent skep validate -i ansible:hosts.ini site.toml
expect "also without Ansible" is "$RC" 0
KEEP=1 finish
