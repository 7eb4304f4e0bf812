# The work of one host; floor.sh writes the variables and the function `entries` before it.
set -e
export DEBIAN_FRONTEND=noninteractive
mkdir -p /etc/docker
cat > /etc/docker/daemon.json <<END
{"insecure-registries": ["$registry"], "registry-mirrors": [], "log-driver": "json-file", "log-opts": {"max-size": "10m", "max-file": "3"}}
END
curl -fsS -o /etc/apt/keyrings/docker.asc "$repository/linux/debian/gpg"
cat > /etc/apt/sources.list.d/docker.sources <<END
Types: deb
URIs: $repository/linux/debian
Suites: $suite
Components: stable
Architectures: amd64
Signed-By: /etc/apt/keyrings/docker.asc
END
entries >> /etc/hosts
srv=/srv/web2py home=/home/vagrant/web2py
mkdir -p -m 0755 $srv/apache2/conf $srv/apache2/htdocs $srv/mysql5/mysql_cnf/mysql.conf.d $srv/mysql5/init $srv/mysql5/datadir $home/apache2 $home/mysql5
chown 999:999 $srv/mysql5/datadir
chmod 0750 $srv/mysql5/datadir
for link in apache2/conf apache2/htdocs mysql5/mysql_cnf mysql5/init mysql5/datadir; do ln -s $srv/$link $home/$link; done
cat > $home/env_for_cluster.sh <<END
# Written by skep. Source it before \`docker stack deploy\`: the stack's variables point to these directories.
export REGISTRY=$registry
export APACHE_CONF_DIR=$home/apache2/conf
export APACHE_HTDOCS_DIR=$home/apache2/htdocs
export MYSQL_CONF_DIR=$home/mysql5/mysql_cnf/mysql.conf.d
export MYSQL_INIT_DIR=$home/mysql5/init
export MYSQL_DATA_DIR=$home/mysql5/datadir
END
chown vagrant:vagrant $home $home/apache2 $home/mysql5 $home/env_for_cluster.sh
# Only the lists of the new source: what the packages need of Debian is there.
apt-get -qq -o Dir::Etc::sourcelist=/etc/apt/sources.list.d/docker.sources -o Dir::Etc::sourceparts=- update </dev/null >/dev/null
apt-get -y -qq -o Dpkg::Use-Pty=0 install docker-ce docker-ce-cli containerd.io docker-buildx-plugin docker-compose-plugin </dev/null >/dev/null
usermod -aG docker vagrant
