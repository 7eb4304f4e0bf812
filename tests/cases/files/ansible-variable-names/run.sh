. "$(dirname "$0")/../../library.sh"
inputs
skep inventory -i ansible:hosts.ini
expect "the inventory is read" is "$RC" 0
expect "the variables are named" says "docker-version"
finish
