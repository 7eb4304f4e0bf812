. "$(dirname "$0")/../../library.sh"
inputs "$ROOT/tests/cases/sshd.sh"
OPTIONS='command="echo Please log in as the user ann rather than root.; sleep 2; exit 142"' sh sshd.sh
ping_sshd
expect "the host's own words are shown" says "Please log in as the user"
expect "the remedy is the other user" mentions 'user = "ann"'
finish
