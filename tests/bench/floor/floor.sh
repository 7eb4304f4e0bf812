#!/usr/bin/env bash
# The floor of a bootstrap: no checks, no report, nothing read before it is written. One OpenSSH connection and one script a host,
# all hosts at once; the workers join when both they and the token are ready; then the label.
#   floor.sh HOSTS KEY KNOWN_HOSTS REPOSITORY SUITE REGISTRY     HOSTS: lines `name address`: manager, database node, workers
set -euo pipefail
hosts=$1 key=$2 known=$3 repository=$4 suite=$5 registry=$6
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
options=(-F none -o BatchMode=yes -o LogLevel=ERROR -o IdentitiesOnly=yes -o "IdentityFile=$key" -o "UserKnownHostsFile=$known"
    -o StrictHostKeyChecking=yes -o ControlMaster=auto -o "ControlPath=$work/%h" -o ControlPersist=60 -l vagrant)
names=() addresses=()
while read -r name address; do
    names+=("$name") addresses+=("$address")
done <"$hosts"
manager=${addresses[0]}
finish() {
    for address in "${addresses[@]}"; do ssh "${options[@]}" -O exit "$address" >/dev/null 2>&1 || :; done
    rm -rf "$work"
}
trap finish EXIT

# Prints the script of the host number $1.
script_of() {
    printf 'repository=%q suite=%q registry=%q\n' "$repository" "$suite" "$registry"
    printf 'entries() {\n'
    for i in "${!names[@]}"; do
        [ "$i" = "$1" ] || printf 'printf "%%s\\t%%s\\n" %q %q\n' "${addresses[$i]}" "${names[$i]}"
    done
    printf ':\n}\n'
    cat "$here/node.sh"
    if [ "$1" = 0 ]; then
        printf 'docker swarm init --advertise-addr %q >/dev/null\ndocker swarm join-token -q worker\n' "$manager"
    fi
}

for i in "${!names[@]}"; do [ "$i" = 0 ] || mkfifo "$work/token.$i"; done
processes=()
for i in "${!names[@]}"; do
    [ "$i" != 0 ] || continue
    (
        script_of "$i" | ssh "${options[@]}" "${addresses[$i]}" sudo sh -s
        read -r token <"$work/token.$i"
        echo "docker swarm join --token $token --advertise-addr ${addresses[$i]} $manager:2377 >/dev/null; docker info -f '{{.Swarm.NodeID}}'" |
            ssh "${options[@]}" "${addresses[$i]}" sudo sh -s >"$work/id.$i"
    ) &
    processes+=($!)
done
token=$(script_of 0 | ssh "${options[@]}" "$manager" sudo sh -s | tail -n 1)
for i in "${!names[@]}"; do [ "$i" = 0 ] || printf '%s\n' "$token" >"$work/token.$i" & done
for process in "${processes[@]}"; do wait "$process"; done
ssh "${options[@]}" "$manager" sudo docker node update --label-add web2py.tier.db=true "$(cat "$work/id.1")" >/dev/null
