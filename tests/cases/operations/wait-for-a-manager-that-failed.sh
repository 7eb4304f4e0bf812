. "$(dirname "$0")/../library.sh"
environment 1 1 docker
on docker01 'printf "%s\n" "use IO::Socket::INET; my \$s = IO::Socket::INET->new(LocalPort=>2377, Proto=>\"tcp\", Listen=>5) or die; sleep 9999;" >/root/l.pl; setsid perl /root/l.pl >/dev/null 2>&1 & sleep 0.5'
skep apply -y "$CLUSTER"; echo "took $SECS s"
expect "the manager failed in this run: others do not wait two minutes for it" below "$SECS" 40
finish
