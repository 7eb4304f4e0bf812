# Slow: about 8 minutes while the fault is there.
. "$(dirname "$0")/../library.sh"
environment 1 0 docker
on docker01 'kill -STOP $(pidof dockerd); cp /etc/docker/daemon.json /root/before'
B=$(playbook mirror '{ daemon_json = { registry-mirrors = ["http://10.0.0.1:5000"], insecure-registries = [] , log-driver = "json-file", log-opts = { max-size = "10m", max-file = "3" } } },')
skep apply -y "$B"; echo "took $SECS s"
expect "docs: an Engine that is not back after 60 s gets its old file back (two minutes granted)" below "$SECS" 150
expect "the old file is back" on docker01 'cmp -s /root/before /etc/docker/daemon.json'
expect "no scrap is left" is "$(on docker01 'ls /etc/docker')" daemon.json
on docker01 'kill -CONT $(pidof dockerd)'
finish
