. "$(dirname "$0")/../../library.sh"
inputs
skep inventory -i ./hosts.py
expect "the script is asked for the host" says "ann@10.0.0.1:2222"
finish
