. "$(dirname "$0")/../../library.sh"
inputs
cd project || exit 2
skep inventory -i ansible:inventories/hosts.ini --toml
expect "the key is an absolute path" mentions 'identity_file = \["/.*/keys/id"\]'
finish
