. "$(dirname "$0")/../../library.sh"
inputs "$ROOT/tests/cases/sshd.sh"
sh sshd.sh
echo "127.0.0.1 $(cut -d" " -f1,2 t/host.pub)" >t/kh
ping_sshd
expect "a key known without the port is known" is "$RC" 0
finish
