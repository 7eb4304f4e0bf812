. "$(dirname "$0")/../library.sh"
environment 1 0 docker
# The Engine listens on TCP only: the usual socket belongs to systemd, and nobody accepts there.
on docker01 'mkdir -p /etc/systemd/system/docker.service.d; printf "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -H tcp://127.0.0.1:2375 --containerd=/run/containerd/containerd.sock\n" >/etc/systemd/system/docker.service.d/tcp.conf; systemctl daemon-reload; systemctl stop docker.socket docker; rm -f /run/docker.sock; systemctl mask docker.socket; systemctl start docker; sleep 3' >/dev/null 2>&1
skep check "$DOCKER"
expect "the host is not said to be in sync" isnt "$RC" 0
expect "the socket is named" mentions 'docker.sock'
expect "the host is reachable" silent 'unreachable'
finish
