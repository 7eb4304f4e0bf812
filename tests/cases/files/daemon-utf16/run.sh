. "$(dirname "$0")/../../library.sh"
INPUTS=$HERE
environment 1 1
cd "$INPUTS" || exit 2
on docker02 'cat >/etc/docker/daemon.json; rm -f /var/lib/skep/daemon.json; systemctl reset-failed docker; systemctl restart docker; sleep 3' <base.json
on docker02 "cat >/etc/docker/daemon.json" <utf16.json
skep plan -l docker02 pb.toml
expect "UTF-16 is read" silent "not valid JSON"
finish
