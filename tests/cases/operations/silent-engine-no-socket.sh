. "$(dirname "$0")/../library.sh"
environment 1 0 docker
on docker01 'rm /run/docker.sock'
skep check "$DOCKER"
expect "an Engine that nobody can reach is not in sync" isnt "$RC" 0
expect "the socket is named" mentions 'docker.sock'
skep apply -y "$DOCKER"
expect "apply mends it, or fails" test "$RC" != 0 -o "$(on docker01 "test -S /run/docker.sock && echo there")" = there
finish
