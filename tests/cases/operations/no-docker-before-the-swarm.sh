. "$(dirname "$0")/../library.sh"
environment 1 0 bare
skep plan "$WORK/playbooks/swarm.toml"
expect "the plan says that there is no Docker, and that nothing installs it" mentions 'no Docker Engine.*installs it'
skep plan "$CLUSTER"
expect "with docker.toml before it, there is nothing to say" silent 'no Docker Engine'
finish
