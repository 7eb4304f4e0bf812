. "$(dirname "$0")/../../library.sh"
inputs
skep inventory -i ansible:hosts.yml --toml
expect "become is on" says "become = true"
expect "the path of the key is rendered" mentions 'identity_file = \["/[^{]*/keys/id"\]'
finish
