. "$(dirname "$0")/../library.sh"
environment 1 0 docker
# Somebody breaks the file and tries again and again; the socket hits its own limit of starts, too. Then the file is put right.
on docker01 'cp /etc/docker/daemon.json /root/ok; echo "{ \"debug\": true, }" >/etc/docker/daemon.json; for i in $(seq 14); do systemctl restart docker; done; cp /root/ok /etc/docker/daemon.json' >/dev/null 2>&1
echo "docker.socket: $(on docker01 'systemctl show docker.socket -p Result --value')"
skep apply -y "$DOCKER"
expect "the file is right again: apply starts the Engine (reset-failed of the service and of the socket that it requires)" is "$(on docker01 'systemctl is-active docker')" active
expect "exit 0" is "$RC" 0
finish
