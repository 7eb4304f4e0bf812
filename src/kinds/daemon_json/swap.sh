# Swaps daemon.json as one transaction: the Engine validates the new file first, and the old file
# returns if the Engine does not come back.
# $1 file   $2 record of the last applied keys   $3 none|reload|restart
# $4 number of bytes of the new file on standard input (the record follows them)
# $5 path for a copy of an invalid file, or empty   $6 seconds for the Engine to come back
path=$1 record=$2 mode=$3 length=$4 keep=$5 patience=$6
# Only root can replace names in these directories, so the names below may be used as they are.
only_root "${path%/*}"
only_root "${record%/*}"
new=$path.skep-new old=$path.skep-old
input=$(mktemp)
trap 'rm -f -- "$input" "$new" "$record.new"' EXIT
cat >"$input"

mkdir -p -- "${path%/*}"
[ -d "${record%/*}" ] || (umask 077 && mkdir -p -- "${record%/*}")
head -c "$length" "$input" >"$new"
if [ -e "$path" ]; then
    chown --reference="$path" -- "$new"
    chmod --reference="$path" -- "$new"
else
    chmod 0644 "$new"
fi

# Engines before 23.0 cannot validate.
if command -v dockerd >/dev/null 2>&1 && dockerd --help 2>/dev/null | grep -e --validate >/dev/null; then
    if ! said=$(dockerd --validate --config-file="$new" 2>&1); then
        printf 'the Engine refuses the new %s; the old file is unchanged: %s\n' "$path" "$said" >&2
        exit 1
    fi
fi

# The record is complete before the file changes, so that a full disk leaves both as they are.
(umask 077 && tail -c +"$((length + 1))" "$input" >"$record.new")
[ -z "$keep" ] || cp -p -- "$path" "$keep"
rm -f -- "$old"
trap 'rm -f -- "$input" "$new" "$record.new" "$old"' EXIT
[ ! -e "$path" ] || cp -p -- "$path" "$old"
sync -- "$new"
# From here on, an interrupted run leaves the old file for the operator.
trap 'rm -f -- "$input" "$new" "$record.new"' EXIT
mv -f -- "$new" "$path"

# `systemctl reload` returns once the signal is sent; the Engine reports with an event that it has
# read the file.
taken() {
    [ "$1" = reload ] || return 0
    polls=$((patience * 4))
    while [ "$polls" -ge 0 ]; do
        event=$(timeout 5 docker events --since "$asked" --until "$(date +%s.%N)" --filter type=daemon --filter event=reload \
            --format '{{.Action}}' 2>/dev/null) || event=
        [ -z "$event" ] || return 0
        sleep 0.25
        polls=$((polls - 1))
    done
    return 1
}
take() {
    case $1 in
    reload) systemctl reload docker ;;
    restart)
        # Earlier failures count towards systemd's start limit, which could refuse this start.
        systemctl reset-failed docker 2>/dev/null || :
        systemctl restart docker
        ;;
    esac
}
answers() {
    waited=0
    while [ "$waited" -le "$patience" ]; do
        if systemctl is-active --quiet docker && timeout 5 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; then
            return 0
        fi
        sleep 1
        waited=$((waited + 1))
    done
    return 1
}

asked=$(date +%s.%N)
if [ "$mode" != none ] && ! { take "$mode" && taken "$mode" && answers; }; then
    why=$(journalctl -u docker -n 4 -o cat --no-pager 2>/dev/null | tr '\n' ' ') || why=
    if [ -e "$old" ]; then mv -f -- "$old" "$path"; else rm -f -- "$path"; fi
    if [ "$mode" = reload ] && answers; then
        printf 'the running Engine did not load the new %s; the old file was restored, and the Engine still runs: %s\n' "$path" "$why" >&2
    elif take restart && answers; then
        printf 'the Engine did not come back with the new %s; the old file was restored, and the Engine runs: %s\n' "$path" "$why" >&2
    else
        printf 'the Engine came back neither with the new %s nor with the restored old file: %s\n' "$path" "$why" >&2
    fi
    exit 1
fi

mv -f -- "$record.new" "$record"
rm -f -- "$old"
