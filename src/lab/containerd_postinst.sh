#!/bin/sh
# containerd.io of the stand-in: like Docker's own, starts the service, and restarts it on an
# upgrade.
set -e
if [ "$1" = configure ]; then
    action=start
    [ -z "${2:-}" ] || action=restart
    deb-systemd-helper unmask containerd.service >/dev/null || true
    if deb-systemd-helper --quiet was-enabled containerd.service; then
        deb-systemd-helper enable containerd.service >/dev/null || true
    fi
    if [ -d /run/systemd/system ]; then
        systemctl --system daemon-reload >/dev/null || true
        deb-systemd-invoke "$action" containerd.service >/dev/null || true
    fi
fi
