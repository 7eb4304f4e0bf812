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

# The first process belongs to root; this costs no process.
if [ -O /proc/1 ]; then own_uid=0; else own_uid=$(id -u); fi
line_end='
'

# Trusts root, and the account that runs the script.
is_own() { [ "$1" -eq 0 ] || [ "$1" -eq "$own_uid" ]; }

refuse() { why=$1 hint=$2; }

# Prints the owner of a name, for messages.
owner_of() {
  set -- $(stat -c '%u %U' -- "$1")
  name_account "$@"
  printf %s "$account"
}

# Sets `account` to the name of the account `$1`, which stat(1) prints as the words behind it.
name_account() {
  account="the account $1"
  shift
  [ "$*" = UNKNOWN ] || account=$*
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
  here= control=root ruler=0 rule= open_directory= base=
  pass_safe && return 0
  cd -P / && assess
}

# Goes at once to the deepest directory on the way to `$left` at which only root can replace every
# name above: nobody else can change these names between the look at them and the step. One `find`
# looks at all of them, where the walk would start a process for each.
pass_safe() {
  case $left in *"$line_end"* | *//* | */./* | */../* | */. | */.. | [!/]* | '') return 1 ;; esac
  rest=${left#/} above=
  set -- /
  while [ -n "$rest" ]; do
    above=$above/${rest%%/*}
    set -- "$@" "$above"
    case $rest in */*) rest=${rest#*/} ;; *) rest= ;; esac
  done
  safe=$(find "$@" -maxdepth 0 \( ! -type d -o ! -uid 0 ! -uid "$own_uid" -o -perm /022 \) -quit -o -print 2>/dev/null) || :
  safe=${safe##*"$line_end"}
  case $safe in /?*) ;; *) return 1 ;; esac
  cd -P -- "$safe" 2>/dev/null && [ "$PWD" = "$safe" ] || return 1
  here=$safe left=${left#"$safe"}
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
  set -- $(stat -c '%g %a %d:%i %u %U' .)
  [ $# -ge 5 ] || { refuse "the owner of ${here:-/} cannot be read" "check its file system"; return 1; }
  group=$1 mode=$2 base=$3
  shift 3
  if [ "$control" = other ]; then
    [ "$1" != "$ruler" ] || return 0
    name_account "$@"
    refuse "$here belongs to $account, but $rule, so that another directory can take its place" \
      "give both directories the same owner, or use a path whose parents belong to root"
    return 1
  fi
  if ! is_own "$1"; then
    name_account "$@"
    control=other ruler=$1 rule="$here belongs to $account"
    reader=$1 reader_group= group_of_ruler=$group open_directory=$here
    return 0
  fi
  control=root
  case $mode in
  *[2367]) writers='every account' reader_group=65534 ;;
  *[2367]?)
    # Nobody but root is in the group of root. With an access control list (the + of ls), these
    # bits are about other accounts.
    if [ "$group" -eq 0 ]; then
      case $(ls -ld .) in ??????????+*) ;; *) return 0 ;; esac
    fi
    writers="the group $(stat -c %G .)" reader_group=$group
    ;;
  *) return 0 ;;
  esac
  case $mode in
  [1357]???) control=sticky ;;
  *) control=other ruler=$1 ;;
  esac
  reader=65534 rule="$writers may write in ${here:-/}" open_directory=${here:-/}
}

# Sets `reader_group` to the group of the account `reader`. An account of a container has no entry on
# the host, and usually its directory the right group.
find_reader_group() {
  [ -n "$reader_group" ] || reader_group=$(id -g -- "$reader" 2>/dev/null) || reader_group=$group_of_ruler
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
    require_root "$1"
  ) || exit 1
}

# Ends the script unless only root can replace names in the working directory, which the messages
# call `$1`.
require_root() {
  [ "$control" != root ] || return 0
  refuse "$rule, and this resource trusts the files in $1" "use a directory where only root can write"
  give_up
}

# Returns 0 if the working directory is empty.
is_empty() {
  for entry in ./* ./.[!.]* ./..?*; do
    [ ! -e "$entry" ] && [ ! -L "$entry" ] || return 1
  done
}
