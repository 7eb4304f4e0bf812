. "$(dirname "$0")/../../library.sh"
INPUTS=$HERE
environment 1 1
cd "$INPUTS" || exit 2
on docker02 'cat >/etc/docker/daemon.json; rm -f /var/lib/skep/daemon.json; systemctl reset-failed docker; systemctl restart docker; sleep 3' <base.json
on docker02 "cat >/etc/docker/daemon.json; systemctl reload docker; sleep 1" <slash.json
skep plan -l docker02 pb.toml
expect "the two spellings are the same mirror" silent "m.example"
expect "nothing is to change" is "$RC" 0
finish
