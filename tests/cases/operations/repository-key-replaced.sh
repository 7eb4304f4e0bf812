. "$(dirname "$0")/../library.sh"
environment 1 0 docker
on docker01 'cp /etc/apt/keyrings/docker.asc /root/good; sed "s|^Signed-By.*|Signed-By: /etc/apt/keyrings/skep-lab.asc|" /dev/null'
export GNUPGHOME=$WORK/gnupg; rm -rf "$GNUPGHOME"; mkdir -m 700 "$GNUPGHOME"
gpg --batch --passphrase '' --quick-gen-key 'old <a@b.c>' rsa2048 sign 1d >/dev/null 2>&1; gpg --armor --export | on docker01 'cat >/etc/apt/keyrings/docker.asc'
skep check "$DOCKER"
expect "another key than apply fetched is drift" isnt "$RC" 0
on docker01 'rm -f /var/lib/apt/lists/*docker_linux*'
skep apply -y "$DOCKER"
expect "a key that verifies nothing any more is fetched again, or the error says how" mentions 'keyrings/docker.asc|Applied'
finish
