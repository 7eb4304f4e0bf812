# Lets the Engine validate a new daemon.json before anything is disturbed. The content is on standard input.
# $1 path of the file, for messages   $2 number of bytes of the content   $3 time limit in seconds
input=$(mktemp)
trap 'rm -f -- "$input"' EXIT
cat >"$input"
if [ "$(stat -c %s -- "$input")" != "$2" ]; then
    echo 'only a part of the content arrived' >&2
    exit 1
fi
# Engines before 23.0 cannot validate.
if command -v dockerd >/dev/null 2>&1 && dockerd --help 2>/dev/null | grep -e --validate >/dev/null; then
    if ! said=$(timeout "$3" dockerd --validate --config-file="$input" 2>&1); then
        printf 'the Engine refuses the new %s; the old file is unchanged: %s\n' "$1" "$said" >&2
        exit 1
    fi
fi
