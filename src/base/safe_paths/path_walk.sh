# Functions for scripts that work on paths as root. Root never follows a name that another account
# controls: an account that may write in a directory can put a link, or another file, in the place
# of a name at any moment.
#
# `enter` walks from / to a directory, one component at a time, and stays in it, so that a later
# change of the names above has no effect. It follows a link only if root made it in a directory
# where no other account can replace it. Below the first directory of another account, every
# directory must belong to that account.
#
# Messages are in `why` and `hint`. The working directory is `here`. `control` says who can replace
# names in it: `root`, `sticky` (the owner of the name, as in /tmp) or `other`, where `ruler` is the
# owner of the directory and `rule` says so in words, about the directory `open_directory`.

own_uid=$(id -u)

# Trusts root, and the account that runs the script.
is_own() { [ "$1" -eq 0 ] || [ "$1" -eq "$own_uid" ]; }

refuse() { why=$1 hint=$2; }

# Prints the owner of a name, for messages.
owner_of() {
  set -- "$1" "$(stat -c %U -- "$1")"
  [ "$2" != UNKNOWN ] || set -- "$1" "the account $(stat -c %u -- "$1")"
  printf %s "$2"
}

give_up() {
  printf '%s: %s\n' "$why" "$hint" >&2
  exit 1
}

# Enters the directory `$1`. Returns 1 for a refusal, and 2 if there is no such directory. With
# make=yes, missing directories are made.
enter() {
  left=$1 hops=0
  start || return 1
  while :; do
    while [ "${left#/}" != "$left" ]; do left=${left#/}; done
    [ -n "$left" ] || return 0
    part=${left%%/*}
    case $left in */*) left=${left#*/} ;; *) left= ;; esac
    case $part in
    .) continue ;;
    ..) left=${here%/*}/$left; start || return 1; continue ;;
    esac
    if [ -L "./$part" ]; then
      follow || return 1
    elif [ -d "./$part" ]; then
      descend || return 1
    elif [ -e "./$part" ]; then
      refuse "$here/$part is not a directory" "move it away, or give another path"
      return 2
    elif [ "${make-}" = yes ]; then
      make_parent || return 1
      descend || return 1
    else
      refuse "the directory $here/$part is not there" "create it with a \`directory\` before this resource"
      return 2
    fi
  done
}

start() {
  here= control=root ruler=0 rule= open_directory=
  cd -P / && assess
}

# Enters the directory `$part`. A link that has taken its place meanwhile leads to another path.
descend() {
  cd -P -- "./$part" 2>/dev/null || { refuse "root cannot enter $here/$part" "check its file system"; return 1; }
  if [ "$PWD" != "$here/$part" ]; then
    refuse "$here/$part was replaced while skep worked in it" "find out who did that${rule:+: $rule}"
    return 1
  fi
  here=$PWD
  assess
}

# Finds out who can replace names in the working directory.
assess() {
  set -- $(stat -c '%u %g %a' .)
  [ $# -eq 3 ] || { refuse "the owner of ${here:-/} cannot be read" "check its file system"; return 1; }
  if [ "$control" = other ]; then
    [ "$1" != "$ruler" ] || return 0
    refuse "$here belongs to $(owner_of .), but $rule, so that another directory can take its place" \
      "give both directories the same owner, or use a path whose parents belong to root"
    return 1
  fi
  if ! is_own "$1"; then
    control=other ruler=$1 rule="$here belongs to $(owner_of .)"
    reader=$1 open_directory=$here
    # An account of a container has no entry on the host, and usually its directory the right group.
    reader_group=$(id -g -- "$1" 2>/dev/null) || reader_group=$2
    return 0
  fi
  control=root
  case $3 in
  *[2367]) writers='every account' reader_group=65534 ;;
  *[2367]?)
    # Nobody but root is in the group of root. With an access control list (the + of ls), these
    # bits are about other accounts.
    if [ "$2" -eq 0 ]; then
      case $(ls -ld .) in ??????????+*) ;; *) return 0 ;; esac
    fi
    writers="the group $(stat -c %G .)" reader_group=$2
    ;;
  *) return 0 ;;
  esac
  case $3 in
  [1357]???) control=sticky ;;
  *) control=other ruler=$1 ;;
  esac
  reader=65534 rule="$writers may write in ${here:-/}" open_directory=${here:-/}
}

# Continues at the target of the link `$part`. Nobody can change the target of a link: one that
# belongs to root, and that nobody else can replace, was made by root.
follow() {
  hops=$((hops + 1))
  [ "$hops" -le 40 ] || { refuse "$here/$part: too many levels of symbolic links" "remove the loop"; return 1; }
  link_owner=$(stat -c %u -- "./$part") || link_owner=
  shown=$(readlink -- "./$part" | tr -d '[:cntrl:]') || shown=
  if [ "$control" = other ]; then
    refuse "root does not follow the link $here/$part to $shown, because $rule" \
      "give the path of the directory itself, or replace the link by a directory"
    return 1
  fi
  if [ -z "$link_owner" ] || ! is_own "$link_owner"; then
    refuse "root does not follow the link $here/$part to $shown, because the link belongs to $(owner_of "./$part")" \
      "give the path of the directory itself, or make the link again as root"
    return 1
  fi
  target=$(readlink -n -- "./$part" && printf x) || { refuse "the link $here/$part cannot be read" "run again"; return 1; }
  case $target in
  /*) left=${target%x}/$left ;;
  *) left=$here/${target%x}/$left ;;
  esac
  start
}

# Enters the folder of the path `$1`, and sets `name` to its last component.
enter_folder() {
  name=${1##*/} folder=${1%/*}
  enter "${folder:-/}"
}

# Ends the script unless only root can replace names in the directory `$1` and above. A missing
# directory is fine if only root can make it.
only_root() {
  (
    status=0
    enter "$1" || status=$?
    [ "$status" -ne 1 ] || give_up
    [ "$control" != root ] || exit 0
    refuse "$rule, and this resource trusts the files in $1" "use a directory where only root can write"
    give_up
  ) || exit 1
}
