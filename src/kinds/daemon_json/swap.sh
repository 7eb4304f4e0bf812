# Swaps daemon.json as one transaction: the Engine validates the new file first (see validate.sh), and the old file
# returns if the Engine does not come back in time, or comes back as another node of a swarm.
# $1 file   $2 record of the last applied keys   $3 none|reload|restart
# $4 number of bytes of the new file on standard input (the record follows them)
# $5 path for a copy of an invalid file, or empty
# $6 seconds for the Engine to answer after its start, or after a reload   $7 seconds for its stop
# $8 ID of the node in its swarm, or empty   $9 ID of the cluster, or empty
path=$1 record=$2 mode=$3 length=$4 keep=$5 patience=$6 stop_patience=$7 node=$8 cluster=$9
# Only root can replace names in these directories, so the names below may be used as they are.
only_root "${path%/*}"
only_root "${record%/*}"
input='' staged='' new='' old='' swapped=''

restore() {
    if [ -n "$old" ]; then mv -fT -- "$old" "$path"; else rm -f -- "$path"; fi
    old='' swapped=''
}
# A signal may end the script between the swap and its result: the old file returns.
finish() {
    [ -z "$swapped" ] || restore
    for scrap in "$input" "$staged" "$new" "$old"; do
        [ -z "$scrap" ] || rm -f -- "$scrap"
    done
}
trap finish EXIT

mkdir -p -- "${path%/*}"
[ -d "${record%/*}" ] || (umask 077 && mkdir -p -- "${record%/*}")
# The lock ends with this script, however it ends.
exec 8<"${record%/*}"
if ! flock -w "$patience" 8; then
    printf 'another change of %s is still under way\n' "$path" >&2
    exit 1
fi
# A swap that was killed, or whose machine lost its power, may have left its files; with the lock, no
# other swap uses them. The names are fixed, so that a later plan finds them.
rm -f -- "$path".skep-new* "$path".skep-old* "$record".new*

input=$(mktemp)
cat >"$input"
# The record is staged before the swap: it must not fail afterwards for want of space.
staged=$(mktemp -- "$record.new.XXXXXXXX")
tail -c +"$((length + 1))" "$input" >"$staged"
new=$path.skep-new
(umask 077 && : >"$new")
head -c "$length" "$input" >"$new"
if [ -e "$path" ]; then
    chown --reference="$path" -- "$new"
    chmod --reference="$path" -- "$new"
else
    chmod 0644 -- "$new"
fi

# Engines before 23.0 cannot validate. Before a restart, a step of its own has validated the content, so that no more
# time than necessary passes between the check of the other managers and the restart.
if [ "$mode" != restart ] && command -v dockerd >/dev/null 2>&1 && dockerd --help 2>/dev/null | grep -e --validate >/dev/null; then
    if ! said=$(timeout "$patience" dockerd --validate --config-file="$new" 2>&1); then
        printf 'the Engine refuses the new %s; the old file is unchanged: %s\n' "$path" "$said" >&2
        exit 1
    fi
fi

[ -z "$keep" ] || cp -p -- "$path" "$keep"
if [ -e "$path" ]; then
    old=$path.skep-old
    cp -p -- "$path" "$old"
fi
sync -- "$new" "$staged"
swapped=yes
mv -fT -- "$new" "$path"
new=''

# The host's own Engine answers, whichever one the settings of root's account name.
unset DOCKER_HOST DOCKER_CONTEXT DOCKER_CONFIG DOCKER_TLS DOCKER_TLS_VERIFY DOCKER_CERT_PATH DOCKER_API_VERSION
engine() {
    timeout -k 1 5 docker --config /nonexistent -H unix:///var/run/docker.sock "$@" 2>/dev/null
}
property() {
    timeout 5 systemctl show --property="$1" --value docker 2>/dev/null || :
}
# The seconds since the boot: no change of the clock shortens or lengthens a wait.
now() {
    read -r up _ </proc/uptime
    up=${up%%.*}
}

# Sets `back` to `yes`, to `other` if the Engine is another node than before, or to nothing if it
# does not answer or its node is not known yet.
look() {
    back=''
    if ! command -v docker >/dev/null 2>&1; then
        back=yes
        return
    fi
    found=$(engine version --format '{{.Server.Version}}') || return 0
    [ -n "$found" ] || return 0
    if [ -z "$node" ]; then
        back=yes
        return
    fi
    found=$(engine info --format '{{.Swarm.LocalNodeState}} {{.Swarm.NodeID}} {{with .Swarm.Cluster}}{{.ID}}{{end}}') || return 0
    # The words are a state and two IDs.
    set -- $found
    case ${1:-} in
    # A swarm that is locked does not tell its node; the setting does not change that.
    locked) back=yes ;;
    inactive) back=other ;;
    esac
    if [ -n "${2:-}" ]; then
        if [ "$2" = "$node" ] && { [ -z "$cluster" ] || [ -z "${3:-}" ] || [ "$3" = "$cluster" ]; }; then
            back=yes
        else
            back=other
        fi
    fi
}

# `systemctl reload` returns once the signal is sent; the Engine reports with an event that it has
# read the file.
reload() {
    now
    limit=$((up + patience)) back=''
    timeout "$patience" systemctl reload docker || return 0
    loaded=''
    while now && [ "$up" -le "$limit" ]; do
        if [ -z "$loaded" ] && command -v docker >/dev/null 2>&1; then
            loaded=$(engine events --since "$asked" --until "$(date +%s.%N)" --filter type=daemon --filter event=reload \
                --format '{{.Action}}') || loaded=''
        else
            loaded=yes
        fi
        if [ -n "$loaded" ] && systemctl is-active --quiet docker; then
            look
            [ -z "$back" ] || return 0
        fi
        sleep 0.25
    done
}

# The time limit of the start begins when systemd has started the new process: the stop of many
# containers takes its own time.
restart() {
    back='' started=''
    before=$(property InvocationID)
    # Earlier failures count towards systemd's start limit, which could refuse this start. Without
    # its socket, the service does not start either.
    for unit in docker.service docker.socket; do
        systemctl reset-failed "$unit" 2>/dev/null || :
    done
    timeout "$patience" systemctl restart --no-block docker || return 0
    now
    limit=$((up + stop_patience))
    while now && [ "$up" -le "$limit" ]; do
        run=$(property InvocationID)
        if [ -z "$started" ] && [ -n "$run" ] && [ "$run" != "$before" ]; then
            started=yes limit=$((up + patience))
        fi
        state=$(property ActiveState) part=$(property SubState) job=$(property Job)
        case $started/$state/$part in
        yes/active/*)
            look
            [ -z "$back" ] || return 0
            ;;
        # systemd would try the same file again and again.
        yes/*/auto-restart*) return 0 ;;
        */failed/* | */inactive/*) [ "${job:-0}" != 0 ] || return 0 ;;
        esac
        sleep 0.25
    done
}

# The Engine's own reason comes before systemd's lines about the unit.
cause() {
    lines=$(timeout 10 journalctl -u docker --since "@${asked%%.*}" -o cat --no-pager 2>/dev/null) || lines=''
    why=$(printf '%s\n' "$lines" | grep -E 'level=fatal|failed to start daemon|unable to configure' | tail -n 1) || why=''
    [ -n "$why" ] || why=$(printf '%s\n' "$lines" | tail -n 4 | tr '\n' ' ')
    for unit in docker.service docker.socket containerd.service; do
        [ "$(timeout 5 systemctl show --property=LoadState --value "$unit" 2>/dev/null)" != masked ] ||
            why="$unit is masked (systemctl unmask $unit); $why"
    done
}

asked=$(date +%s.%N)
back=yes
case $mode in
reload) reload ;;
restart) restart ;;
esac
if [ "$back" != yes ]; then
    first=$back
    cause
    restore
    case $mode in
    # An Engine that hangs is not restarted: the containers run on, and nobody has agreed to it.
    reload)
        state=$(property ActiveState)
        look
        case $state/$back in
        active/yes | reloading/yes)
            printf 'the running Engine did not load the new %s; the old file was restored, and the Engine still runs: %s\n' "$path" "$why" >&2
            exit 1
            ;;
        active/* | reloading/*)
            printf 'the Engine does not answer and did not load the new %s in %s s; the old file was restored, and the Engine was not restarted: %s\n' "$path" "$patience" "$why" >&2
            exit 1
            ;;
        esac
        ;;
    esac
    restart
    case $first/$back in
    other/yes)
        printf 'with the new %s the host was no longer the node %s of its swarm; the old file was restored, and the Engine runs as that node again\n' "$path" "$node" >&2
        ;;
    */yes)
        printf 'the Engine did not come back with the new %s; the old file was restored, and the Engine runs: %s\n' "$path" "$why" >&2
        ;;
    */other)
        printf 'the old %s was restored, but the Engine came back as another node of a swarm than %s: %s\n' "$path" "$node" "$why" >&2
        ;;
    *)
        printf 'the Engine came back neither with the new %s nor with the restored old file: %s\n' "$path" "$why" >&2
        ;;
    esac
    exit 1
fi

swapped=''
mv -fT -- "$staged" "$record"
staged=''
