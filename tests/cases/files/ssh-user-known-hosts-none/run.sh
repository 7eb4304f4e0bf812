. "$(dirname "$0")/../../library.sh"
inputs "$ROOT/tests/cases/sshd.sh"
sh sshd.sh
echo "# of the administrator" >t/global
skep ping -i inv.toml -F cfg
global=$(cat t/global)
sh sshd.sh stop
expect "the global file stays as it is" is "$global" "# of the administrator"
finish
