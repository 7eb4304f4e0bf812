. "$(dirname "$0")/../../library.sh"
inputs
skep inventory -i ansible:hosts.ini -l 'managers[0]'
expect "the first manager is m1" mentions '^m1 '
finish
