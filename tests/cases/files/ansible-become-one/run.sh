. "$(dirname "$0")/../../library.sh"
inputs
skep inventory -i ansible:hosts.ini --toml
expect "1 means true" says "become = true"
finish
