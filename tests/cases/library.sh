# Functions of all cases: `bash CASE` in the environment that .ci/cases makes. Exit status 0: skep behaves as
# expected. 1: the fault is there. 2: the lab cannot be used.
# SKEP=program  ROOT=checkout  NAME=lab environment, made anew by each case that needs one  WORK=folder for files
set -u
: "${SKEP:?the program}" "${ROOT:?the checkout}" "${NAME:=cases}" "${WORK:=/var/tmp/skep-cases}"
export XDG_STATE_HOME=$WORK/state NO_COLOR=1
HERE=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$WORK"
rm -rf "$WORK/playbooks" "$WORK/templates"
cp -r "$ROOT/playbooks" "$ROOT/templates" "$WORK/"
printf 'include = ["docker.toml", "swarm.toml"]\n' >"$WORK/playbooks/cluster.toml"
INV=$WORK/lab.toml CLUSTER=$WORK/playbooks/cluster.toml DOCKER=$WORK/playbooks/docker.toml
cd "$WORK" || exit 2
FAULTS=0 HAS_NODES=

# inputs [FILE...]: enters a copy of the case's folder, with further files. skep runs without an inventory of its own.
inputs() {
    INVENTORY_ARG=
    rm -rf "$WORK/inputs"
    cp -r "$HERE" "$WORK/inputs"
    [ "$#" -eq 0 ] || cp "$@" "$WORK/inputs/"
    cd "$WORK/inputs" || exit 2
}
# Asks skep for the settings of inv.toml and cfg on a machine without `ssh` and without a network. Sets OUT.
ping_without_ssh() {
    OUT=$(PATH=/nonexistent /usr/bin/timeout 30 /usr/bin/unshare -n "$SKEP" ping -v -i inv.toml -F cfg 2>&1)
}
# Converts the outputs in out.json, which a stand-in for `terraform` prints.
terraform_inventory() {
    export PATH=$PWD/bin:$PATH FAKE=$PWD/out.json
    skep inventory -i terraform:infra --toml
}
# Pings the server of sshd.sh, and ends it.
ping_sshd() {
    skep ping -i inv.toml -F cfg
    sh sshd.sh stop
}
# Makes a swarm of two nodes, and enters the case's folder. docker02 gets the configuration of base.json, if it is there.
two_nodes() {
    environment 1 1
    cd "$HERE" || exit 2
    [ ! -e base.json ] || on docker02 'cat >/etc/docker/daemon.json; rm -f /var/lib/skep/daemon.json; systemctl reset-failed docker; systemctl restart docker; sleep 3' <base.json
}

# environment MANAGERS WORKERS [bare|docker|cluster]: makes nodes; by default they are a swarm.
environment() {
    HAS_NODES=yes
    "$SKEP" lab down --name "$NAME" >/dev/null 2>&1
    "$SKEP" lab up --name "$NAME" --managers "$1" --workers "$2" --user root --inventory "$INV" >"$WORK/up" 2>&1 || {
        cat "$WORK/up"
        exit 2
    }
    case ${3:-cluster} in
    docker) skep apply -y "$DOCKER" ;;
    cluster) skep apply -y "$CLUSTER" ;;
    *) return 0 ;;
    esac
    [ "$RC" = 0 ] || {
        printf '%s\n' "$OUT"
        exit 2
    }
}
# Runs a command on a node.
on() {
    local node=$1
    shift
    docker exec -i "skep-$NAME-$node" sh -c "$*"
}
# Runs skep with the inventory of the lab environment, or without with INVENTORY_ARG=. Sets OUT, RC and SECS.
skep() {
    local start=$SECONDS
    OUT=$(/usr/bin/timeout -k 30 "${LIMIT:-900}" "$SKEP" "$@" ${INVENTORY_ARG--i "$INV"} 2>&1)
    RC=$?
    SECS=$((SECONDS - start))
}
# playbook NAME RESOURCES: writes a playbook for all hosts, or for those of HOSTS, and prints its path.
playbook() {
    printf '[[plays]]\nhosts = "%s"\nresources = [\n%s\n]\n' "${HOSTS:-all}" "$2" >"$WORK/playbooks/$1.toml"
    echo "$WORK/playbooks/$1.toml"
}
# expect TEXT CONDITION...: names a condition that must hold.
expect() {
    local text=$1
    shift
    if "$@"; then echo "ok    $text"; else
        echo "FAULT $text"
        FAULTS=1
    fi
}
says() { case $OUT in *"$1"*) return 0 ;; esac; return 1; }
silent() { ! says "$1"; }
mentions() { printf '%s' "$OUT" | grep -qiE -e "$1"; }
is() { [ "$1" = "$2" ]; }
isnt() { [ "$1" != "$2" ]; }
below() { [ "$1" -lt "$2" ]; }
finish() {
    [ -z "$HAS_NODES" ] || [ -n "${KEEP-}" ] || "$SKEP" lab down --name "$NAME" >/dev/null 2>&1
    [ -z "${SHOW-}" ] && [ "$FAULTS" = 0 ] || printf '%s\n' "$OUT"
    exit "$FAULTS"
}
