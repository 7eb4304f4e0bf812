. "$(dirname "$0")/../../library.sh"
inputs
skep inventory -i ansible:hosts.ini --toml
expect "five words mean true" is "$(grep -c "become = true" <<<"$OUT")" 5
expect "off means false" is "$(grep -c "become = false" <<<"$OUT")" 1
finish
