. "$(dirname "$0")/../library.sh"
environment 3 2
on docker03 'kill -STOP $(pidof dockerd)'; sleep 15
skep check "$CLUSTER"; echo "check of 5 hosts took $SECS s"
on docker03 'kill -CONT $(pidof dockerd)'
expect "one Engine that hangs costs its time once, not once a host" below "$SECS" 70
finish
