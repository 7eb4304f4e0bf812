. "$(dirname "$0")/../../library.sh"
inputs
terraform_inventory
expect "the key is beside the files of Terraform" mentions 'identity_file = \[".*infra/keys/id"\]'
finish
