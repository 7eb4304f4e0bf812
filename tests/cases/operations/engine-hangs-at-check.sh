. "$(dirname "$0")/../library.sh"
environment 1 0 docker
on docker01 'kill -STOP $(pidof dockerd)'
skep check "$DOCKER"
expect "a hung Engine is not in sync" isnt "$RC" 0
expect "a hung Engine does not make the host unreachable" silent 'unreachable'
expect "its time is limited ($SECS s)" below "$SECS" 90
on docker01 'kill -CONT $(pidof dockerd)'
finish
