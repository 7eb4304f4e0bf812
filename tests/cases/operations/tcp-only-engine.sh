. "$(dirname "$0")/../library.sh"
environment 1 0 docker
# Somebody has moved the Engine to TCP, with a unit of their own that needs no socket.
on docker01 'systemctl stop docker docker.socket; systemctl mask docker.socket; printf "[Service]\nType=notify\nExecStart=$(command -v dockerd) -H tcp://127.0.0.1:2375 --containerd=/run/containerd/containerd.sock\n[Install]\nWantedBy=multi-user.target\n" >/etc/systemd/system/docker.service; systemctl daemon-reload; rm -f /run/docker.sock; systemctl start docker; sleep 2' >/dev/null 2>&1
expect "the Engine runs" is "$(on docker01 'systemctl is-active docker')" active
skep check "$DOCKER"
expect "an Engine that does not answer at its socket is not in sync" isnt "$RC" 0
expect "the socket is named" mentions 'docker.sock'
expect "the host is reachable" silent 'unreachable'
finish
