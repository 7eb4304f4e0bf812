. "$(dirname "$0")/../../library.sh"
INPUTS=$HERE
environment 1 1
cd "$INPUTS" || exit 2
on docker02 'cat >/etc/docker/daemon.json; rm -f /var/lib/skep/daemon.json; systemctl reset-failed docker; systemctl restart docker; sleep 3' <base.json
skep apply -y -l docker02 pb.toml
expect "the setting is refused" isnt "$RC" 0
on docker02 "systemctl restart docker; sleep 2" 2>/dev/null
expect "the Engine starts again" is "$(on docker02 "systemctl is-active docker")" active
finish
