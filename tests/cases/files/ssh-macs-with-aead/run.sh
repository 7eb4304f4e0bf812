. "$(dirname "$0")/../../library.sh"
inputs "$ROOT/tests/cases/sshd.sh"
sh sshd.sh
ping_sshd
expect "a cipher with its own authentication needs no MAC" is "$RC" 0
finish
