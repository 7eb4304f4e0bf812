. "$(dirname "$0")/../library.sh"
environment 1 0 docker
on docker01 'systemctl stop docker docker.socket containerd; systemctl mask containerd' >/dev/null 2>&1
skep apply -y "$DOCKER"
expect "the reason is told: containerd is masked" mentions 'containerd.*masked|masked.*containerd'
expect "the apply fails" isnt "$RC" 0
finish
