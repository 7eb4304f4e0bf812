# Functions that change paths, for scripts that begin with path_walk.sh.
#
# New files, links and directories are made in a folder that only root can use. They get their
# owner and mode there, and rename(2), which follows no link, moves them to their name. No function
# sets the owner or the mode of a name that another account can replace.

# Gives the name `$1` to owner:group `$2`; `-` leaves them. A link is not followed. The tests run
# these functions as other accounts, too, whose files cannot become root's.
give() {
  [ "$2" != - ] || return 0
  [ "$2" != 0:0 ] || [ "$own_uid" -eq 0 ] || return 0
  chown -h -- "$2" "$1"
}

# Returns 0 if a new name in the working directory gets the owner:group `$1` by itself.
has_by_itself() {
  [ "$1" = 0:0 ] && [ "$own_uid" -eq 0 ] && [ ! -g . ] && [ -G / ]
}

# As `give`, for a new name in the working directory.
give_new() {
  has_by_itself "$2" || give "$@"
}

# Makes a folder in the working directory that only root can use, and enters it. Where another
# account can replace names, it may have put another folder of root in its place, which is empty or
# not used.
stage() {
  staged=$(mktemp -d ./.skep.XXXXXXXX) ||
    { staged=; refuse "no folder can be made in ${here:-/}" "see the message above"; return 1; }
  trap unstage EXIT
  if cd -P -- "$staged" 2>/dev/null; then
    [ "$control" != root ] || return 0
    set -- $(stat -c '%u %a %d:%i' . ..)
    if [ $# -eq 6 ] && [ "$1" = "$own_uid" ] && [ "$6" = "$base" ] && is_empty; then
      case $2 in *[2367]? | *[2367]) ;; *) return 0 ;; esac
    fi
  fi
  staged=
  refuse "a folder that skep made in ${here:-/} was replaced" "find out who did that${rule:+: $rule}"
  return 1
}

# Leaves and removes the folder of `stage`.
unstage() {
  [ -n "${staged-}" ] || return 0
  is_empty || find . -xdev -mindepth 1 -delete || :
  if cd -P .. && { [ "$control" = root ] || [ "$(stat -c %d:%i .)" = "$base" ]; }; then
    rmdir -- "$staged" 2>/dev/null || :
  fi
  staged=
}

# Makes the missing directory `$part`. In a directory of another account it belongs to that account.
make_parent() {
  stage || return 1
  mkdir ./new || { refuse "$here/$part cannot be made" "see the message above"; return 1; }
  if [ "$control" = other ] && ! is_own "$ruler"; then
    give ./new "$ruler:$(stat -c %g ..)" || return 1
  fi
  chmod 0755 ./new && mv -fT -- ./new "../$part" || { refuse "$here/$part cannot be made" "see the message above"; return 1; }
  unstage
}

# Writes standard input into the file `$1` with owner:group `$2` and mode `$3`. `$4` is the number
# of bytes, because a dropped connection truncates standard input.
write_file() {
  enter_folder "$1" || give_up
  if [ -d "./$name" ] && [ ! -L "./$name" ]; then
    refuse "$1 is a directory" "move it away, or give the path of a file"
    give_up
  fi
  stage || give_up
  cat >./new
  [ "$(stat -c %s ./new)" = "$4" ] || { echo "only a part of the content arrived" >&2; exit 1; }
  give_new ./new "$2"
  chmod -- "$3" ./new
  [ "$control" != other ] || reader_can_read || give_up
  sync -- ./new
  mv -fT -- ./new "../$name"
  sync -- ..
  unstage
}

# Refuses a file that root could not read again, because it reads names of another account with the
# rights of that account.
reader_can_read() {
  set -- $(stat -c '%u %g 0%a' ./new)
  find_reader_group
  if [ "$1" -eq "$reader" ]; then
    readable=$(($3 & 0400))
  elif [ "$2" -eq "$reader_group" ]; then
    readable=$(($3 & 0040))
  else
    readable=$(($3 & 0004))
  fi
  [ "$readable" -eq 0 ] || return 0
  [ "$own_uid" -eq 0 ] || return 0
  refuse "$here/$name would not be readable for the account that controls its directory ($rule), and root could not read it again" \
    "give the file to that account, give it another mode, or use a path whose parents belong to root"
  return 1
}

# Sets owner:group `$2` (`-` leaves it) and mode `$3` of the existing file `$1`, where only root can
# replace names.
keep_file() {
  enter_folder "$1" || give_up
  require_root "${1%/*}"
  if [ ! -f "./$name" ] || [ -L "./$name" ]; then
    refuse "$1 is no longer a file" "run again"
    give_up
  fi
  # The owner comes first, because chown(2) clears set-user-ID bits.
  give "./$name" "$2"
  chmod -- "$3" "./$name"
}

# Sets owner:group `$2` and mode `$3` of the existing file `$1`, whose content is standard input and
# `$4` bytes long. Where another account can replace the name, the file is written anew.
set_file() {
  enter_folder "$1" || give_up
  if [ "$control" = root ]; then
    cat >/dev/null
    keep_file "$@"
  else
    write_file "$@"
  fi
}

# Makes the link `$1` to `$2` with owner:group `$3`, or replaces it. A new link that needs no other
# owner is made at its place: ln(1) fails if another account was faster.
make_link() {
  enter_folder "$1" || give_up
  if [ ! -e "./$name" ] && [ ! -L "./$name" ] && has_by_itself "$3"; then
    ln -sT -- "$2" "./$name"
    return
  fi
  stage || give_up
  ln -s -- "$2" ./new
  give_new ./new "$3"
  mv -fT -- ./new "../$name"
  unstage
}

# Removes the file or link `$1`.
remove_file() {
  status=0
  enter_folder "$1" || status=$?
  case $status in
  0) rm -f -- "./$name" ;;
  2) ;;
  *) give_up ;;
  esac
}

# Removes the link `$1`; a file that has taken its place stays.
remove_link() {
  enter_folder "$1" || give_up
  [ ! -L "./$name" ] || rm -f -- "./$name"
}

# Makes the missing directory `$1` with owner:group `$2` and mode `$3`; an existing one stays as it
# is.
ensure_directory() {
  make=yes
  enter_folder "$1" || give_up
  make=
  [ -d "./$name" ] || new_directory "$@"
}

# Makes the directory `$1` with owner:group `$2` and mode `$3`, and the missing directories above.
make_directory() {
  make=yes
  enter_folder "$1" || give_up
  make=
  if [ -d "./$name" ]; then
    set_directory "$@"
  else
    new_directory "$@"
  fi
}

# Puts a new directory in the place of `$name`; rename(2) replaces an empty directory. Where only
# root can replace names, the directory is made at its place: nobody else can enter it before it has
# its owner and mode.
new_directory() {
  if [ "$control" = root ] && [ ! -e "./$name" ] && [ ! -L "./$name" ]; then
    mkdir -m 0700 -- "./$name"
    give_new "./$name" "$2"
    chmod -- "$3" "./$name"
    return
  fi
  stage || give_up
  mkdir ./new
  give_new ./new "$2"
  chmod -- "$3" ./new
  mv -fT -- ./new "../$name"
  unstage
}

# Sets owner:group `$2` and mode `$3` of the existing directory `$1`. Where another account can put
# another directory in its place, only a directory of that account changes hands.
set_directory() {
  enter_folder "$1" || give_up
  cd -P -- "./$name"
  if [ "$PWD" != "$here/$name" ]; then
    refuse "$1 is a link, not a directory" "give the path of the directory itself"
    give_up
  fi
  [ "$control" = root ] || uid=$(stat -c %u .)
  case $control in
  root) may=yes ;;
  sticky)
    wanted=$(id -u -- "${2%%:*}" 2>/dev/null) || wanted=${2%%:*}
    if is_own "$uid" || [ "$uid" = "$wanted" ]; then may=yes; else may=no; fi
    ;;
  *) if ! is_own "$ruler" && [ "$uid" = "$ruler" ]; then may=yes; else may=no; fi ;;
  esac
  if [ "$may" = yes ]; then
    give . "$2"
    chmod -- "$3" .
    return
  fi
  if ! is_empty || ! cd -P .. || [ "$(stat -c %d:%i .)" != "$base" ]; then
    refuse "$1 belongs to $(owner_of .) and is not empty, and $rule: root does not change a directory that can be another one" \
      "set its owner and mode by hand, or use a path whose parents belong to root"
    give_up
  fi
  new_directory "$@"
}

# Removes the empty directory `$1`.
remove_directory() {
  enter_folder "$1" || give_up
  if [ -d "./$name" ] && [ ! -L "./$name" ] && [ -n "$(ls -A -- "./$name")" ]; then
    refuse "$1 is not empty" "recursive = true also removes its content"
    give_up
  fi
  rmdir -- "./$name"
}

# Removes the directory `$1` if it is empty; otherwise it stays.
remove_empty_directory() {
  enter_folder "$1" || give_up
  rmdir --ignore-fail-on-non-empty -- "./$name"
}

# Removes the directory `$1` with its content. rm(1) follows no link below its argument.
remove_tree() {
  enter_folder "$1" || give_up
  rm -rf --one-file-system -- "./$name"
}
