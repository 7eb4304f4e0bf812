. "$(dirname "$0")/../../library.sh"
inputs
skep inventory -i ansible:hosts.ini --toml
expect "hosts that are not reached over SSH are left out" is "$(grep -c "^\[hosts" <<<"$OUT")" 1
expect "the sentence names the variable" says "ansible_connection is local"
finish
