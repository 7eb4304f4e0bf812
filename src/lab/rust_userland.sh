# Puts uutils coreutils and sudo-rs in the places of GNU coreutils and sudo, as on Ubuntu 26.04. A
# diversion keeps the files of Debian's packages, so that an update of them changes nothing here.
tools=/usr/lib/cargo/bin/coreutils
for new in "$tools"/*; do
    old=/usr/bin/${new##*/}
    [ "$("$tools/readlink" "$old")" != "$new" ] || continue
    dpkg-divert --quiet --local --no-rename --divert "$old.gnu" --add "$old"
    [ ! -e "$old" ] || "$tools/mv" "$old" "$old.gnu"
    "$tools/ln" -s "$new" "$old"
done
if [ "$(readlink /usr/bin/sudo)" != sudo-rs ]; then
    dpkg-divert --quiet --local --no-rename --divert /usr/bin/sudo.ws --add /usr/bin/sudo
    mv /usr/bin/sudo /usr/bin/sudo.ws
    ln -s sudo-rs /usr/bin/sudo
fi
