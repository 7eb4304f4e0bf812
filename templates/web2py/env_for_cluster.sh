# Written by skep. Source this file before `docker stack deploy`: the variables of the stack point
# to these directories.
export REGISTRY={{ web2py_registry }}
export APACHE_CONF_DIR=/home/{{ user }}/web2py/apache2/conf
export APACHE_HTDOCS_DIR=/home/{{ user }}/web2py/apache2/htdocs
export MYSQL_CONF_DIR=/home/{{ user }}/web2py/mysql5/mysql_cnf/mysql.conf.d
export MYSQL_INIT_DIR=/home/{{ user }}/web2py/mysql5/init
export MYSQL_DATA_DIR=/home/{{ user }}/web2py/mysql5/datadir
