. "$(dirname "$0")/../library.sh"
environment 1 0 docker
on docker01 'sed -i "s/^{/{ \"hosts\": [\"unix:\/\/\/var\/run\/docker.sock\"],/" /etc/docker/daemon.json; systemctl restart docker; sleep 8; systemctl reset-failed docker docker.socket' >/dev/null 2>&1
skep apply -y "$DOCKER"
expect "the reason is said: hosts is given as a flag and in the file" mentions 'hosts.*(flag|both)|specified both'
finish
