. "$(dirname "$0")/../../library.sh"
inputs
PATH=/nonexistent skep inventory -i ansible:hosts.ini
expect "the comment ends the value" says "ann@10.0.0.1:22"
finish
