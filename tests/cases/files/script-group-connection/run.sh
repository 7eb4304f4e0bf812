. "$(dirname "$0")/../../library.sh"
inputs
skep inventory -i ./hosts.py
expect "variables of groups hold" says "ann@10.0.0.1:2222"
finish
