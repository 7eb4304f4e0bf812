. "$(dirname "$0")/../../library.sh"
inputs
PATH=/nonexistent skep inventory -i ansible:hosts.ini
expect "group_vars is named" says "group_vars"
expect "the inventory is refused" is "$RC" 2
finish
