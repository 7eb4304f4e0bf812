. "$(dirname "$0")/../../library.sh"
two_nodes
on docker02 'cat - /etc/hosts >/root/hosts; cat /root/hosts >/etc/hosts' <head
skep plan -l docker02 pb.toml
expect "the note names cloud-init" says cloud-init
finish
