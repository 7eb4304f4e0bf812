. "$(dirname "$0")/../../library.sh"
inputs
terraform_inventory
expect "become is a boolean" says "become = true"
expect "the group is kept" says "managers"
finish
