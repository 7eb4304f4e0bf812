# Functions for reading paths, behind those of path_walk.sh. `suspects` lists, one on a line, the
# directories above the paths that are links, or in which an account other than root may write.
# Where there is none, names are read as they are, which costs one `find` for all paths.

# Returns 0 if an account other than root may control a name of the path `$1`.
suspect() {
  case $1 in
  *"$line_end"*) return 0 ;;
  esac
  [ -n "$suspects" ] || return 1
  set -f
  IFS=$line_end
  found=1
  for one in $suspects; do
    case $1 in
    "${one%/}"/*) found=0 && break ;;
    esac
  done
  unset IFS
  set +f
  return "$found"
}

# Prints the states of the paths.
path_states() {
  for path do
    shift
    if suspect "$path"; then
      walked_state "$path"
    else
      set -- "$@" "$path"
    fi
  done
  [ $# -eq 0 ] || find "$@" -maxdepth 0 -printf "%p\\0$path_format\\0"
}

# Prints the reason why root does not look at a path, the remedy, and the directory to close.
refusal() { printf '!\t%s\t%s\t%s' "$why" "$hint" "$open_directory"; }

# Prints the state of the path `$1`, or the reason why root does not look at it. The walk to the
# folder of the path before serves the next path of that folder, too.
walked_state() {
  if [ "${1%/*}" = "${walked-none}" ]; then
    name=${1##*/}
  else
    walked=${1%/*} walk_status=0
    enter_folder "$1" || walk_status=$?
  fi
  case $walk_status in
  0)
    [ -e "./$name" ] || [ -L "./$name" ] || return 0
    fields=$(find "./$name" -maxdepth 0 -printf "$path_format" && echo x) || return
    printf '%s\0%s\0' "$1" "${fields%x}"
    ;;
  1) printf '%s\0%s\0' "$1" "$(refusal)" ;;
  esac
}

# Prints up to `$2` bytes of the regular file `$1`. In a directory of another account, the rights of
# that account decide what is read.
file_content() {
  if ! suspect "$1"; then
    if [ -f "$1" ] && [ ! -L "$1" ]; then head -c "$2" -- "$1"; fi
    return
  fi
  (
    enter_folder "$1" || return 0
    [ -f "./$name" ] && [ ! -L "./$name" ] || return 0
    if [ "$control" = sticky ]; then
      reader=$(stat -c %u -- "./$name") || reader=65534
      reader_group= group_of_ruler=65534
      # A second hard link would be one that another account made.
      if is_own "$reader" && [ "$(stat -c %h -- "./$name")" = 1 ]; then control=root; else reader=${reader#0}; fi
    fi
    if [ "$control" = root ]; then
      head -c "$2" -- "./$name"
    else
      as_reader dd "if=./$name" iflag=nofollow,nonblock,fullblock,count_bytes bs=65536 "count=$2" status=none ||
        {
          refuse "root does not read $1, because $rule, so that another account can have put the file there" \
            "let only root write in $open_directory (\`chown root\`, \`chmod go-w\`), or manage it with a \`directory\` before this resource"
          refusal >&2
          return 1
        }
    fi
  )
}

# Runs a command with the rights of the account that controls the working directory.
as_reader() {
  find_reader_group
  if [ "$own_uid" -eq 0 ]; then
    setpriv "--reuid=${reader:-65534}" "--regid=$reader_group" --clear-groups -- "$@"
  else
    "$@"
  fi
}
