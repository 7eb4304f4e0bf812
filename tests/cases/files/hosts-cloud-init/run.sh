. "$(dirname "$0")/../../library.sh"
INPUTS=$HERE
environment 1 1
cd "$INPUTS" || exit 2
on docker02 'cat - /etc/hosts >/root/hosts; cat /root/hosts >/etc/hosts' <head
skep plan -l docker02 pb.toml
expect "the note names cloud-init" says cloud-init
finish
