. "$(dirname "$0")/../library.sh"
environment 1 0 bare
on docker01 'rm -f /var/lib/apt/lists/*Packages*; echo "Acquire::http::Proxy \"http://127.0.0.1:3128\";" >/etc/apt/apt.conf.d/95proxy'
skep apply -y "$(playbook tree '{ package = { name = "tree" } },')"
expect "the reason is said: the proxy does not answer, not only that the package cannot be located" mentions '127.0.0.1:3128|connection refused|could not connect|failed to fetch'
finish
