"""Redis by INFO, and big keys by a scan that goes on a little each time.

The client is redis-py in a thread, over a socket that the guard has checked.
"""

from __future__ import annotations

import socket
import time
from typing import Any, Final

import redis
from redis.connection import Connection, SSLConnection

from monitoring.collectors.products.frame import CannotReadError, Option, Prerequisite, Product, Visit, share

GAUGES: Final = {
    "connected_clients": "redis.clients",
    "blocked_clients": "redis.blocked_clients",
    "client_biggest_input_buf": "redis.client_input_buf_bytes",
    "client_recent_max_input_buffer": "redis.client_input_buf_bytes",
    "client_longest_output_list": "redis.client_output_list",
    "client_recent_max_output_buffer": "redis.client_output_buf_bytes",
    "active_defrag_hits": "redis.defrag_hits",
    "active_defrag_misses": "redis.defrag_misses",
    "active_defrag_key_hits": "redis.defrag_key_hits",
    "active_defrag_key_misses": "redis.defrag_key_misses",
    "connected_slaves": "redis.replicas",
    "uptime_in_seconds": "redis.uptime_s",
}
"""Redis 5 renamed the two buffers of clients, and gives the output in bytes where it was a list's length before."""
SCAN_KEYS: Final = 2000
"""Keys looked at per run, so that a scan never burdens the server."""
SCAN_S: Final = 1.0
SAMPLES: Final = 5
PAGE: Final = 200


def _ask(visit: Visit, sock: socket.socket) -> dict[str, Any]:
    given = _over(sock, visit)
    try:
        given.connect()
        found = _info(given)
        if visit.option("scan_big_keys", default=False):
            _scan(given, visit, found)
    finally:
        given.disconnect()
    return found


class _Plain(Connection):
    """A redis-py connection that takes a connected socket instead of making one."""

    def __init__(self, given: socket.socket, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]  # of redis-py
        self._given = given

    def _connect(self) -> socket.socket:
        return self._given


class _Encrypted(SSLConnection):
    """The same with TLS."""

    def __init__(self, given: socket.socket, **options: Any) -> None:
        super().__init__(**options)
        self._given = given

    def _connect(self) -> socket.socket:
        wrapped: socket.socket = self._wrap_socket_with_ssl(self._given)  # type: ignore[no-untyped-call]
        return wrapped


def _over(sock: socket.socket, visit: Visit) -> Any:  # redis-py leaves the methods of its connections untyped
    config = visit.config
    options: dict[str, Any] = {
        "host": config.host,
        "port": config.port,
        "username": config.user or None,
        "password": visit.password or None,
        "socket_timeout": config.timeout_s,
        "driver_info": None,
        "protocol": 2,
    }
    if not config.tls:
        return _Plain(sock, **options)
    checks = {"ssl_cert_reqs": "required" if config.verify_tls else "none", "ssl_check_hostname": config.verify_tls}
    return _Encrypted(sock, **options, **checks)


def _say(connection: Any, *words: Any) -> Any:
    connection.send_command(*words)
    return connection.read_response()


def _info(connection: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    text = _say(connection, "INFO")
    for line in (text.decode() if isinstance(text, bytes) else str(text)).splitlines():
        name, colon, value = line.partition(":")
        if colon:
            found[name] = value
    return found


def _scan(connection: Any, visit: Visit, found: dict[str, Any]) -> None:
    """Go on with the scan for a while. A round that is through gives the count; until then the last round's stands."""
    limit = float(visit.option("big_key_kib", 1024)) * 1024
    databases = sorted(int(name[2:]) for name in found if name.startswith("db") and name[2:].isdigit())
    memory = visit.memory
    database, cursor, big = memory.get("database", -1), memory.get("cursor", 0), memory.get("big", 0)
    if database not in databases:
        database, cursor, big = (databases[0] if databases else -1), 0, 0
    seen, until = 0, time.monotonic() + SCAN_S
    while database >= 0 and seen < SCAN_KEYS and time.monotonic() < until:
        _say(connection, "SELECT", database)
        cursor, keys = _say(connection, "SCAN", cursor, "COUNT", PAGE)
        cursor = int(cursor)
        for key in keys:
            connection.send_command("MEMORY", "USAGE", key, "SAMPLES", SAMPLES)
        big += sum((connection.read_response() or 0) >= limit for _ in keys)
        seen += max(len(keys), 1)
        if cursor == 0:
            later = [one for one in databases if one > database]
            if not later:
                memory["round"], database = big, -1
                break
            database = later[0]
    if not databases:
        memory["round"] = 0
    memory |= {"database": database, "cursor": cursor, "big": big}


async def collect(visit: Visit) -> None:
    try:
        info = await visit.blocking(lambda sock: _ask(visit, sock))
    except redis.exceptions.RedisError as error:
        raise _refusal(error, visit) from error
    if "redis_version" not in info:
        raise CannotReadError("wrong_page", "INFO")
    if visit.config.user or visit.password:
        visit.step("signed_in", visit.config.user or "default")
    visit.version("Redis", info["redis_version"], at_least=(2, 8))
    visit.fact("role", info.get("role", ""))
    visit.counters.of_life(info.get("run_id", ""))
    for name, metric in GAUGES.items():
        if name in info:
            visit.add(metric, float(info[name]))
    _derived(visit, info)
    if "round" in visit.memory:
        visit.add("redis.bigkeys", visit.memory["round"])


def _derived(visit: Visit, info: dict[str, Any]) -> None:
    limit = float(info.get("maxmemory", 0)) or float(info.get("total_system_memory", 0))
    visit.add("redis.mem.util", share(float(info.get("used_memory", 0)), limit))
    visit.add("redis.connection.util", share(float(info["connected_clients"]), float(info.get("maxclients", 0))))
    visit.rate("redis.ops_per_s", int(info.get("total_commands_processed", 0)))
    visit.rate("redis.evicted_per_s", int(info.get("evicted_keys", 0)))
    visit.rate("redis.rejected_per_s", int(info.get("rejected_connections", 0)))
    hits = visit.counters.increase("hits", int(info.get("keyspace_hits", 0)))
    misses = visit.counters.increase("misses", int(info.get("keyspace_misses", 0)))
    if hits is not None and misses is not None:
        visit.add("redis.hit_pct", share(hits, hits + misses))
    if "master_link_status" in info:
        visit.add("redis.replica.link", info["master_link_status"] == "up")


def _refusal(error: redis.exceptions.RedisError, visit: Visit) -> CannotReadError | OSError:
    text = str(error)
    if isinstance(error, redis.exceptions.TimeoutError):
        return TimeoutError(text)
    if isinstance(error, redis.exceptions.NoPermissionError):
        scan = " +select +scan +memory|usage ~*" if visit.option("scan_big_keys", default=False) else ""
        return CannotReadError("privilege", f"ACL SETUSER {visit.config.user or 'default'} +info +ping{scan}")
    if isinstance(error, redis.exceptions.AuthenticationError) or "AUTH" in text or "WRONGPASS" in text:
        return CannotReadError("sign_in", text)
    if isinstance(error, redis.exceptions.ConnectionError):
        return ConnectionResetError(text)
    return CannotReadError("wrong_page", text)


PRODUCT: Final = Product(
    slug="redis",
    name_zh="Redis",
    name_en="Redis",
    icon="database",
    port=6379,
    collect=collect,
    asks=frozenset({"user", "password", "tls"}),
    needs="Redis ≥ 2.8",
    options=(
        Option(
            "scan_big_keys",
            "扫描大 key",
            "Scan for big keys",
            default=False,
            help_zh="每次采集最多查看 2000 个 key，逐步扫完全库。",
            help_en="At most 2000 keys a run, until all are seen.",
        ),
        Option("big_key_kib", "大 key 阈值（KiB）", "A key is big from, KiB", 1024),
    ),
    prerequisites=(
        Prerequisite(
            "创建只能执行 info 的用户（Redis 6 及以上；更早的版本使用 requirepass 的密码，用户名留空）。",
            "Create a user that may only run info (Redis 6 and newer; before that, leave the user empty and use the "
            "password of requirepass).",
            "ACL SETUSER rdmp on >******** +info +ping\nACL SAVE",
        ),
        Prerequisite(
            "如需扫描大 key，再增加这些权限。",
            "To scan for big keys, add these rights.",
            "ACL SETUSER rdmp +select +scan +memory|usage ~*",
        ),
        Prerequisite("验证。", "Verify.", "redis-cli -h 127.0.0.1 --user rdmp --askpass info server"),
    ),
)
