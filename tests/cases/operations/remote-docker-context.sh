. "$(dirname "$0")/../library.sh"
environment 1 0 docker
on docker01 'docker context create far --docker host=tcp://192.0.2.1:2375 >/dev/null; docker context use far' >/dev/null 2>&1
B=$(playbook size '{ daemon_json = { log-driver = "json-file", log-opts = { max-size = "12m", max-file = "3" } } },')
skep apply -y "$B"
expect "the host's own Engine is asked, whatever root's context says" is "$RC" 0
expect "the file is new" on docker01 'grep -q 12m /etc/docker/daemon.json'
expect "no time is lost at the other Engine" below "$SECS" 60
finish
