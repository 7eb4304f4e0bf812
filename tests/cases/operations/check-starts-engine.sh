. "$(dirname "$0")/../library.sh"
environment 1 0 docker
on docker01 'systemctl stop docker' 2>/dev/null     # docker.socket stays, as systemd itself warns
skep check "$DOCKER"
expect "check left the Engine as it was (stopped)" is "$(on docker01 'systemctl is-active docker')" inactive
expect "check says that it does not run" mentions 'running: (inactive|stopped)'
expect "check ends with 3" is "$RC" 3
finish
