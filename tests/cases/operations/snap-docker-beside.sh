. "$(dirname "$0")/../library.sh"
environment 1 1 bare
skep apply -y "$DOCKER" --limit docker02
docker exec skep-$NAME-docker02 sh -c 'tar -C / -chf - usr/sbin/dockerd usr/bin/containerd usr/bin/containerd-shim-runc-v2 usr/sbin/runc usr/bin/runc usr/sbin/docker-init usr/bin/docker-init usr/bin/docker-proxy usr/sbin/docker-proxy 2>/dev/null' | docker exec -i skep-$NAME-docker01 sh -c 'mkdir -p /snap/docker/1/bin; cd /snap/docker/1; tar -xf -; find usr -type f -exec mv {} bin/ \;; ln -s 1 ../current'
on docker01 'printf "[Service]\nEnvironment=PATH=/snap/docker/current/bin:/usr/sbin:/usr/bin:/sbin:/bin\nExecStart=/snap/docker/current/bin/dockerd --data-root /var/snap/docker/common/var-lib-docker --exec-root /run/snap.docker --pidfile /run/snap.docker/docker.pid -H unix:///var/run/docker.sock\n[Install]\nWantedBy=multi-user.target\n" >/etc/systemd/system/snap.docker.dockerd.service; mkdir -p /snap/bin; ln -s /snap/docker/current/bin/dockerd /snap/bin/; apt-get update >/dev/null; apt-get -y -q install iptables >/dev/null 2>&1; systemctl daemon-reload; systemctl start snap.docker.dockerd; sleep 5; systemctl is-active snap.docker.dockerd' || exit 2
skep plan "$DOCKER" --limit docker01
expect "the plan says that another dockerd already serves /var/run/docker.sock" mentions 'snap|another (Engine|dockerd)'
skep apply -y "$DOCKER" --limit docker01
n=$(on docker01 'pidof dockerd | wc -w'); echo "dockerd processes: $n"
expect "two Engines do not end up beside each other, unsaid" test "$n" -lt 2 -o "$RC" != 0
finish
