. "$(dirname "$0")/../../library.sh"
inputs "$ROOT/tests/cases/sshd.sh"
sh sshd.sh
ping_sshd
expect "a revoked key is refused" mentions "revoked"
expect "no login" isnt "$RC" 0
finish
