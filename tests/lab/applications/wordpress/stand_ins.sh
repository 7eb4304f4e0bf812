# Runs in a node that has services:lab and busybox:lab: builds stand-ins from Debian's packages with
# the contract of the official images: the same ports, paths, environment and commands.
set -e
mkdir -p /root/stand-ins && cd /root/stand-ins

# mariadb: MARIADB_ROOT_PASSWORD_FILE, MARIADB_DATABASE, MARIADB_USER, MARIADB_PASSWORD_FILE; data
# in /var/lib/mysql.
cat >mariadb <<'END'
#!/bin/sh
set -eu
if [ ! -d /var/lib/mysql/mysql ]; then
  mariadb-install-db --no-defaults --datadir=/var/lib/mysql --auth-root-authentication-method=normal --skip-test-db >/dev/null
  root=$(cat "$MARIADB_ROOT_PASSWORD_FILE") password=$(cat "$MARIADB_PASSWORD_FILE")
  cat >/tmp/first.sql <<SQL
ALTER USER root@localhost IDENTIFIED BY '$root';
CREATE USER IF NOT EXISTS root@'%' IDENTIFIED BY '$root';
GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;
CREATE DATABASE IF NOT EXISTS $MARIADB_DATABASE;
CREATE USER IF NOT EXISTS $MARIADB_USER@'%' IDENTIFIED BY '$password';
GRANT ALL ON $MARIADB_DATABASE.* TO $MARIADB_USER@'%';
SQL
  set -- --init-file=/tmp/first.sql
fi
exec mariadbd --no-defaults --datadir=/var/lib/mysql --bind-address=0.0.0.0 --skip-name-resolve --socket=/tmp/mariadb.sock --pid-file=/tmp/mariadb.pid "$@"
END

# wordpress: Apache on port 80; WordPress in /var/www/html, copied there if the folder is empty;
# WORDPRESS_* as in its wp-config-docker.php.
cat >wordpress <<'END'
#!/bin/sh
set -eu
cd /var/www/html
if [ ! -e wp-includes/version.php ]; then
  cp -a /usr/share/wordpress/. .
  rm -f wp-config.php
  cp /wp-config.php .
  chown -R www-data:www-data .
fi
mkdir -p /run/php
$(command -v /usr/sbin/php-fpm?.?) --nodaemonize --fpm-config /fpm.conf &
exec apache2 -D FOREGROUND -f /apache.conf
END
cat >wp-config.php <<'END'
<?php
function given($name, $otherwise = '') {
    $file = getenv($name . '_FILE');
    if ($file !== false) return rtrim(file_get_contents($file), "\r\n");
    $value = getenv($name);
    return $value === false ? $otherwise : $value;
}
define('DB_HOST', given('WORDPRESS_DB_HOST', 'mysql'));
define('DB_NAME', given('WORDPRESS_DB_NAME', 'wordpress'));
define('DB_USER', given('WORDPRESS_DB_USER', 'example username'));
define('DB_PASSWORD', given('WORDPRESS_DB_PASSWORD', 'example password'));
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $use) {
    define($use . '_KEY', sha1($use . DB_PASSWORD));
    define($use . '_SALT', sha1(DB_PASSWORD . $use));
}
$table_prefix = given('WORDPRESS_TABLE_PREFIX', 'wp_');
define('WP_DEBUG', (bool) given('WORDPRESS_DEBUG'));
if ($extra = given('WORDPRESS_CONFIG_EXTRA')) eval($extra);
if (!defined('ABSPATH')) define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
END
cat >fpm.conf <<'END'
[global]
error_log = /proc/self/fd/2
[www]
user = www-data
group = www-data
listen = /run/php/wordpress.sock
listen.owner = www-data
pm = static
pm.max_children = 3
clear_env = no
END
{
  echo 'ServerRoot /etc/apache2'
  for module in mpm_event authz_core dir mime proxy proxy_fcgi; do
    echo "LoadModule ${module}_module /usr/lib/apache2/modules/mod_$module.so"
  done
  cat <<'END'
PidFile /tmp/apache.pid
ErrorLog /proc/self/fd/2
User www-data
Group www-data
Listen 80
ServerName wordpress
DocumentRoot /var/www/html
DirectoryIndex index.php
TypesConfig /etc/mime.types
<FilesMatch \.php$>
  SetHandler "proxy:unix:/run/php/wordpress.sock|fcgi://localhost"
</FilesMatch>
END
} >apache.conf

# A stand-in for Grafana, which Debian does not have: the same port and paths. It reads Grafana's
# provisioning, demands the admin's name and password, lists dashboards, and passes queries on to
# the datasource. It draws nothing.
cat >grafana.py <<'END'
import base64, glob, json, os, re, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
secret = lambda name: open(os.environ[name]).read()
admin = f"{secret('GF_SECURITY_ADMIN_USER__FILE')}:{secret('GF_SECURITY_ADMIN_PASSWORD__FILE')}"
provisioned = lambda part: open(glob.glob(f"/etc/grafana/provisioning/{part}/*.yml")[0]).read()
source = re.search(r"url: (\S+)", provisioned("datasources"))[1]
folder = re.search(r"path: (\S+)", provisioned("dashboards"))[1]
dashboards = [json.load(open(path)) for path in glob.glob(f"{folder}/*.json")]
open("/var/lib/grafana/grafana.db", "a").close()
class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        proxied = re.fullmatch("/api/datasources/proxy/uid/prometheus(/.*)", self.path)
        known = self.headers.get("Authorization") == "Basic " + base64.b64encode(admin.encode()).decode()
        status, answer = 200, {"database": "ok", "version": "stand-in"}
        if self.path != "/api/health":
            if not known: status, answer = 401, {"message": "Unauthorized"}
            elif self.path == "/api/search": answer = [{"title": d["title"], "uid": d["uid"]} for d in dashboards]
            elif proxied: answer = json.load(urllib.request.urlopen(source + proxied[1], timeout=10))
            else: status, answer = 404, {"message": "Not found"}
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())
ThreadingHTTPServer(("", 3000), Answer).serve_forever()
END
chmod 755 mariadb wordpress

make() { # NAME, lines of its Dockerfile
  name=$1
  shift
  printf '%s\n' "FROM services:lab" "$@" >Dockerfile
  docker build -q -t "$name" . >/dev/null
}
make mariadb:lab 'COPY mariadb /start' 'USER mysql' 'CMD ["/start"]'
make wordpress:lab 'COPY wordpress wp-config.php fpm.conf apache.conf /' 'CMD ["/wordpress"]'
make adminer:lab 'USER nobody' 'CMD ["php", "-S", "0.0.0.0:8080", "/usr/share/adminer/adminer.php"]'
make prometheus:lab 'USER nobody' 'ENTRYPOINT ["prometheus"]'
make blackbox:lab 'USER nobody' 'ENTRYPOINT ["prometheus-blackbox-exporter"]'
make grafana-stand-in:lab 'COPY grafana.py /' 'USER 472' 'CMD ["python3", "/grafana.py"]'

# Bases of the images that skep builds: small, since they go through the registry.
small() { # NAME, files: with the libraries of the first
  name=$1
  shift
  printf '%s\n' 'FROM services:lab AS whole' \
    "RUN mkdir /out && cp -a --parents $* /out && cp -L --parents \$(ldd $1 | grep -o '/[^ ]*') /out" \
    'FROM busybox:lab' 'COPY --from=whole /out /' >Dockerfile
  docker build -q -t "$name" . >/dev/null
}
small caddy:lab /usr/bin/caddy
small python:lab '$(readlink -f /usr/bin/python3)' /usr/bin/python3 '/usr/lib/python3.*'
