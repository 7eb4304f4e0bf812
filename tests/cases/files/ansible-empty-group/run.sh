. "$(dirname "$0")/../../library.sh"
inputs
skep validate -i ansible:hosts.yml site.toml
expect "an empty group is a group" is "$RC" 0
PATH=/nonexistent skep validate -i ansible:hosts.ini site.toml
expect "also without Ansible" is "$RC" 0
finish
