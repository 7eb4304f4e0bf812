#!/bin/sh
# docker-ce of the stand-in: like Docker's own, starts the Engine, and restarts it on an upgrade.
set -e
if [ "$1" = configure ]; then
    getent group docker >/dev/null || addgroup --system docker >/dev/null
    action=start
    [ -z "${2:-}" ] || action=restart
    for unit in docker.service docker.socket; do
        deb-systemd-helper unmask "$unit" >/dev/null || true
        if deb-systemd-helper --quiet was-enabled "$unit"; then
            deb-systemd-helper enable "$unit" >/dev/null || true
        fi
    done
    if [ -d /run/systemd/system ]; then
        systemctl --system daemon-reload >/dev/null || true
        deb-systemd-invoke "$action" docker.service docker.socket >/dev/null || true
    fi
fi
