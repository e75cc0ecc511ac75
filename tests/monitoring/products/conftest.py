"""The servers, for every test of this directory."""

from tests.monitoring.products.servers import (
    apache,
    fpm_port,
    haproxy,
    jolokia,
    mariadb,
    memcached,
    nginx,
    node_exporter,
    own_redis,
    phpfpm,
    postgres,
    rabbitmq,
    tomcat,
    zookeeper,
)

__all__ = [
    "apache",
    "fpm_port",
    "haproxy",
    "jolokia",
    "mariadb",
    "memcached",
    "nginx",
    "node_exporter",
    "own_redis",
    "phpfpm",
    "postgres",
    "rabbitmq",
    "tomcat",
    "zookeeper",
]
