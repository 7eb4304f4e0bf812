. "$(dirname "$0")/../library.sh"
environment 1 0 bare
on docker01 'sed "s/^ID=.*/ID=linuxmint\nID_LIKE=\"ubuntu debian\"/; s/^VERSION_CODENAME=.*/VERSION_CODENAME=wilma/" /usr/lib/os-release >/root/o; rm /etc/os-release; cp /root/o /etc/os-release'
skep plan "$DOCKER"
expect "the plan says that linuxmint is not a release that it knows a repository for" mentions 'not supported|unsupported|not tried|not known|supports'
finish
