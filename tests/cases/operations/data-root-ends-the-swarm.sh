. "$(dirname "$0")/../library.sh"
environment 1 1
on docker01 'docker secret create keep /etc/hostname' >/dev/null
before=$(on docker01 'docker info 2>/dev/null | grep -i clusterid')
sed -i 's/^daemon_json = { /daemon_json = { data-root = "\/srv\/docker-data", /' "$DOCKER"
skep plan "$CLUSTER"
expect "the plan says what moving data-root costs (node identity, swarm, images, volumes), or refuses" mentions 'swarm.*(lost|left behind|empty|identity)|data-root.*(refus|move|copy)|another swarm|left behind'
skep apply -y "$CLUSTER"
expect "apply made no new, empty swarm in place of the old one" is "$(on docker01 'docker info 2>/dev/null | grep -i clusterid')" "$before"
expect "the secret is still there" is "$(on docker01 'docker secret ls --format {{.Name}} 2>/dev/null')" keep
finish
