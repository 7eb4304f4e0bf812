. "$(dirname "$0")/../library.sh"
environment 1 0 docker
skep apply -y "$(playbook label '{ node_labels = { a = "b" } },')"
expect "a label of a host that is in no swarm is an error of the order, not a defect of skep" silent 'defect:'
finish
