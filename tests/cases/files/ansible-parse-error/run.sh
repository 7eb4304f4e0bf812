. "$(dirname "$0")/../../library.sh"
inputs
skep inventory -i ansible:hosts.ini
expect "the cause that Ansible printed is told" says "Expected key=value host variable assignment"
finish
