# Tries a repository with apt before any file of it is in its place: if its package lists cannot be
# fetched, nothing on the host has changed. Then puts all files in place.
# $1 file of the source   $2 bytes of its content on standard input
# $3 file of the key, or empty   $4 none|keep|fetch, or the bytes of a given key on standard input
# $5 address of the key, or empty   $6 fingerprints of the key, separated by spaces, or empty
# $7 bytes of all contents on standard input
# Then the older entries: `remove PATH`, or `write PATH BYTES` with content on standard input.
# The contents are on standard input in the order of the arguments.
source=$1 source_bytes=$2 key=$3 key_from=$4 url=$5 fingerprints=$6 bytes=$7
shift 7
# Only root can replace names in these directories, so the names below may be used as they are.
only_root "${source%/*}"
[ -z "$key" ] || only_root "${key%/*}"
for argument in "$@"; do
  case $argument in /*) only_root "${argument%/*}" ;; esac
done
stage=$(mktemp -d -- "${TMPDIR:-/tmp}/skep-apt.XXXXXXXX")
finish() {
  # Files that were written beside their place, and are not in their place yet.
  while IFS= read -r scrap; do rm -f -- "$scrap.skep-new"; done <"$stage/prepared"
  rm -rf -- "$stage"
}
: >"$stage/prepared"
trap finish EXIT
# Apt reads keys under an account of its own.
chmod 0755 "$stage"
cat >"$stage/input"
if [ "$(stat -c %s -- "$stage/input")" != "$bytes" ]; then
  echo 'only a part of the content arrived' >&2
  exit 1
fi
# Writes the next $1 bytes of the input to standard output.
part() {
  tail -c +"$((offset + 1))" "$stage/input" | head -c "$1"
}

part "$source_bytes" >"$stage/source"
offset=$source_bytes
staged_key=''
[ -z "$key" ] || staged_key=$stage/key.${key##*.}

# Fetches the key. Bare hosts have neither curl nor wget, but always have apt's own helper. A binary
# key is armoured, because the plan names the file before the content is known.
fetch_key() {
  if command -v curl >/dev/null 2>&1; then
    curl -fsSLg --retry 3 --connect-timeout 20 --max-time 90 -o "$stage/fetched" --url "$url"
  elif command -v wget >/dev/null 2>&1; then
    wget -nv -T 20 -t 3 -O "$stage/fetched" -- "$url"
  else
    /usr/lib/apt/apt-helper download-file "$url" "$stage/fetched" >/dev/null
  fi
  first=$(od -A n -t u1 -N 1 "$stage/fetched" | tr -d ' ')
  if grep -q -e '-----BEGIN PGP PUBLIC KEY BLOCK-----' "$stage/fetched"; then
    cat <"$stage/fetched" >"$staged_key"
  elif [ "${first:-0}" -ge 128 ]; then
    {
      printf '%s\n\n' '-----BEGIN PGP PUBLIC KEY BLOCK-----'
      base64 <"$stage/fetched"
      printf '%s\n' '-----END PGP PUBLIC KEY BLOCK-----'
    } >"$staged_key"
  else
    printf '%s is not an OpenPGP public key\n' "$url" >&2
    exit 1
  fi
}

# Prints version, start and length of each primary public key in the file $1 (RFC 9580, 4.2).
public_keys() {
  od -A n -v -t u1 "$1" | awk '
    { for (i = 1; i <= NF; i++) b[n++] = $i }
    END {
      for (p = 0; p < n; p += l) {
        h = b[p++]
        if (h >= 192) {
          tag = h - 192
          l = b[p++]
          if (l >= 192 && l <= 223) l = (l - 192) * 256 + b[p++] + 192
          else if (l == 255) { l = ((b[p] * 256 + b[p + 1]) * 256 + b[p + 2]) * 256 + b[p + 3]; p += 4 }
          else if (l > 223) exit 1
        } else if (h >= 128 && h % 4 < 3) {
          tag = int((h - 128) / 4)
          size = 2 ^ (h % 4)
          for (l = 0; size > 0; size--) l = l * 256 + b[p++]
        } else exit 1
        if (p + l > n) exit 1
        if (tag == 6) print b[p], p, l
      }
    }'
}
byte() {
  printf "\\$(printf '%03o' "$(($1 % 256))")"
}
# Prints the fingerprint of a key: $1 file, $2 version, $3 start, $4 length (RFC 9580, 5.5.4).
fingerprint() {
  case $2 in
  4) {
    byte 153
    byte "$(($4 / 256))"
    byte "$4"
    tail -c +"$(($3 + 1))" "$1" | head -c "$4"
  } | sha1sum ;;
  6) {
    byte 155
    byte "$(($4 / 16777216))"
    byte "$(($4 / 65536))"
    byte "$(($4 / 256))"
    byte "$4"
    tail -c +"$(($3 + 1))" "$1" | head -c "$4"
  } | sha256sum ;;
  *) printf 'version-%s\n' "$2" ;;
  esac | cut -d ' ' -f 1 | tr a-f A-F
}
# Ends the script if the staged key holds another primary key than the expected ones: apt trusts
# every key of the file.
check_key() {
  [ -n "$fingerprints" ] || return 0
  case $staged_key in
  *.asc)
    tr -d '\r' <"$staged_key" | awk '/^-----BEGIN/ { x = 1; next } /^-----END/ { x = 0 } x == 1 && /^[ \t]*$/ { x = 2; next } x == 2 && !/^=/' |
      base64 -d >"$stage/binary" 2>/dev/null || : >"$stage/binary"
    ;;
  *) cat <"$staged_key" >"$stage/binary" ;;
  esac
  keys=$(public_keys "$stage/binary") || keys=''
  if [ -z "$keys" ]; then
    printf 'there is no OpenPGP public key in %s\n' "${url:-$key}" >&2
    exit 1
  fi
  printf '%s\n' "$keys" >"$stage/keys"
  while read -r version start length; do
    found=$(fingerprint "$stage/binary" "$version" "$start" "$length")
    case " $fingerprints " in
    *" $found "*) ;;
    *)
      printf 'the key at %s has the fingerprint %s, but the playbook expects %s\n' "${url:-$key}" "$found" "$fingerprints" >&2
      exit 1
      ;;
    esac
  done <"$stage/keys"
}

case $key_from in
none) ;;
keep) cat <"$key" >"$staged_key" ;;
fetch) fetch_key ;;
*)
  part "$key_from" >"$staged_key"
  offset=$((offset + key_from))
  ;;
esac
[ -z "$key" ] || check_key

# Fetches the package lists of the staged source alone; every warning about them is an error.
try() {
  sed ${staged_key:+-e "s|^Signed-By: .*|Signed-By: $staged_key|"} -e '' "$stage/source" >"$stage/try.sources"
  patiently apt-get -q -o Dir::Etc::sourcelist="$stage/try.sources" -o Dir::Etc::sourceparts=- \
    -o APT::Get::List-Cleanup=0 -o APT::Update::Error-Mode=any update
}
if ! said=$(try 2>&1); then
  case $key_from in
  keep)
    # A vendor may have extended the life of its key; the fingerprint tells that it is the same key.
    if [ -n "$url" ] && [ -n "$fingerprints" ]; then
      fetch_key
      check_key
      key_from=fetch
      said=$(try 2>&1) || key_from=failed
    else
      key_from=failed
    fi
    ;;
  *) key_from=failed ;;
  esac
fi
if [ "$key_from" = failed ]; then
  printf '%s\n' "$said" | tail -n 4 >&2
  case $said in
  *NO_PUBKEY* | *KEYSIG* | *BADSIG* | *"not signed"* | *"Missing key"* | *"couldn't be verified"* | *"could not be verified"*)
    [ -z "$key" ] || printf 'the key in %s does not verify the repository: if the vendor has another key now, remove this file on the host, then run again\n' "$key" >&2
    ;;
  esac
  printf 'nothing was changed: the repository would fail every later apt-get update\n' >&2
  exit 1
fi

# Everything is written beside its place first, so that a full disk changes nothing.
prepare() {
  printf '%s\n' "$1" >>"$stage/prepared"
  cat >"$1.skep-new"
  chmod 0644 -- "$1.skep-new"
  sync -- "$1.skep-new"
}
if [ -n "$key" ]; then
  mkdir -p -m 0755 -- "${key%/*}"
  prepare "$key" <"$staged_key"
fi
if [ -n "$url" ]; then
  # The next check notices that somebody has replaced the key.
  digest=$(sha256sum <"$staged_key")
  sed "1a # Key: sha256:${digest%% *}" "$stage/source" >"$stage/final"
else
  cat <"$stage/source" >"$stage/final"
fi
prepare "$source" <"$stage/final"
count=0
for argument in "$@"; do
  count=$((count + 1))
  case $count/$argument in
  1/remove) count=-1 ;;
  2/*) path=$argument ;;
  3/*)
    part "$argument" >"$stage/entry"
    offset=$((offset + argument))
    prepare "$path" <"$stage/entry"
    count=0
    ;;
  esac
done

# A file that is the same stays as it is.
place() {
  if cmp -s -- "$1.skep-new" "$1" && [ "$(stat -c %a -- "$1")" = 644 ]; then
    rm -f -- "$1.skep-new"
  else
    mv -fT -- "$1.skep-new" "$1"
  fi
}
# Two entries of one repository with different keys stop apt altogether: the older ones go first.
while [ "$#" -gt 0 ]; do
  case $1 in
  remove)
    rm -f -- "$2"
    shift 2
    ;;
  *)
    place "$2"
    shift 3
    ;;
  esac
done
[ -z "$key" ] || place "$key"
place "$source"
