. "$(dirname "$0")/../library.sh"
environment 1 0 docker
on docker01 'systemctl stop docker docker.socket; systemctl mask docker.socket' >/dev/null 2>&1
skep apply -y "$DOCKER"
expect "the reason is said: docker.socket is masked" mentions 'docker.socket.*masked'
finish
