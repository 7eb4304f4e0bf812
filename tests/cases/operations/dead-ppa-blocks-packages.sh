. "$(dirname "$0")/../library.sh"
environment 1 0 bare
on docker01 'u=$(sed -n "s/^URIs: //p" /etc/apt/sources.list.d/skep-lab.sources); echo "deb $u/gone nosuch main" >/etc/apt/sources.list.d/gone-ppa.list; rm -f /var/lib/apt/lists/*Packages*'
skep apply -y "$(playbook tree '{ package = { name = "tree" } },')"
expect "a package that apt can install is installed, though another source is dead" is "$RC" 0
finish
