. "$(dirname "$0")/../../library.sh"
inputs
terraform_inventory
expect "the message says sensitive" says "sensitive"
expect "the remedy is nonsensitive" says "nonsensitive"
finish
