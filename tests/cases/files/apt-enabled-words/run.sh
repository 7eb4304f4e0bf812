. "$(dirname "$0")/../../library.sh"
two_nodes
mirror=$(on docker02 "sed -n 's/^URIs: //p' /etc/apt/sources.list.d/docker.sources")
sed "s|@U@|$mirror|" old.sources | on docker02 "cat >/etc/apt/sources.list.d/old.sources"
skep plan -l docker02 pb.toml
expect "a paragraph that is switched off is left alone" silent "together with others"
expect "nothing fails" is "$RC" 0
finish
