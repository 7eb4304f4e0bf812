. "$(dirname "$0")/../library.sh"
environment 1 0 docker
# A container with a bind mount of a missing socket made the directory, and the Engine was installed afterwards.
on docker01 'systemctl stop docker docker.socket; rm -f /run/docker.sock; mkdir /run/docker.sock; systemctl reset-failed; systemctl start docker' >/dev/null 2>&1
skep check "$DOCKER"
expect "an Engine that nobody can reach is not in sync" isnt "$RC" 0
skep apply -y "$DOCKER"
expect "the socket is named" mentions 'docker.sock'
expect "the reason is told" mentions 'directory|is a dir|address already in use|failed to (create|listen)'
finish
