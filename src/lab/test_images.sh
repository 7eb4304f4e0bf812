# Runs inside the node image: builds small container images from Debian's packages, as tars for
# `docker import`. /archives holds the packages, the tars are written to /out.
set -eu
unpack() { for archive in /archives/"$1"_*.deb; do dpkg-deb -x "$archive" "$2"; done; }

# busybox: a shell, a web server, nslookup, wget.
tree=/tmp/busybox
mkdir -p "$tree/bin" "$tree/etc" "$tree/tmp" "$tree/srv"
unpack busybox-static /tmp/busybox-package
cp "$(find /tmp/busybox-package -path '*bin/busybox' -type f | head -n 1)" "$tree/bin/busybox"
applets=$("$tree/bin/busybox" --list)
for applet in $applets; do
    [ "$applet" = busybox ] || ln -s busybox "$tree/bin/$applet"
done
echo 'root:x:0:0:root:/:/bin/sh' >"$tree/etc/passwd"
echo 'root:x:0:' >"$tree/etc/group"
chmod 1777 "$tree/tmp"
tar -C "$tree" -cf /out/busybox.tar .

# registry: Debian's docker-registry over busybox, with the libraries that it is linked to.
if ls /archives/docker-registry_*.deb >/dev/null 2>&1; then
    unpack docker-registry "$tree"
    for library in $(ldd "$tree/usr/bin/docker-registry" | grep -o '/[^ ]*' || true); do
        mkdir -p "$tree$(dirname "$library")"
        cp -L "$library" "$tree$library"
    done
    mkdir -p "$tree/var/lib/registry"
    rm -rf "$tree/usr/share/doc" "$tree/usr/share/man"
    # Debian's configuration demands a password; this one is open, as in the image `registry`.
    printf '%s\n' 'version: 0.1' 'storage: { filesystem: { rootdirectory: /var/lib/registry }, delete: { enabled: true } }' \
        'http: { addr: ":5000" }' >"$tree/etc/docker/registry/config.yml"
    tar -C "$tree" -cf /out/registry.tar .
fi
# The account that runs skep owns the result, also if that is not root.
chown --reference=/out /out/*.tar
chmod 0644 /out/*.tar
